import postgres, { type Sql } from "postgres";
import {
  type PostgresJsConnection,
  type PostgresJsTransaction,
  PREPARED,
} from "../clients/postgres_js.ts";
import type {
  ChannelListener,
  Driver,
  Executor,
  Parameter,
  Subscription,
  Transactions,
} from "../driver.ts";
import { integerAtLeast, knownOptions, shown } from "../validate.ts";
import { withoutItsStatement } from "../clients/server_error.ts";
import {
  inSession,
  inTransaction,
  type PostgresJsReservedClient,
} from "./postgres_js_connection.ts";
import { IDLE_S, PostgresJsTransactions } from "./postgres_js_transactions.ts";

/** Longest wait for the answer to a BEGIN, an acknowledgement or a COMMIT, as of a worker's own connections. */
const STATEMENT_TIMEOUT_MS = 15_000;

/**
 * The part of a [postgres](https://www.npmjs.com/package/postgres) client that is used. `Transaction` is what it gives as
 * one.
 */
export interface PostgresJsClient<Transaction = unknown> {
  /** Runs a statement with numbered parameters. */
  unsafe(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    parameters?: any[],
    options?: { prepare?: boolean; simple?: boolean } | undefined,
  ): PromiseLike<ArrayLike<unknown>>;
  /** Runs statements on one connection, as one transaction. */
  begin(work: (transaction: Transaction) => Promise<unknown>): PromiseLike<unknown>;
  /** The same with options of the transaction. */
  begin(
    options: string,
    work: (transaction: Transaction) => Promise<unknown>,
  ): PromiseLike<unknown>;
  /** Lends one connection. */
  reserve?(): PromiseLike<PostgresJsReservedClient>;
  /** What it was made with: connections for handlers are made with the same. */
  readonly options: object;
  /** Listens on a connection of its own, again after each loss of it. */
  listen(
    channel: string,
    onPayload: (payload: string) => void,
    onListening?: () => void,
  ): PromiseLike<{ unlisten(): Promise<void> }>;
}

/** Options for {@linkcode fromPostgresJs}. */
export interface PostgresJsOptions {
  /**
   * Most connections for handlers of transactional entrypoints, each of which has one to itself while it runs. They are
   * opened when they are needed, beside those of the client and with its options. A worker with such an entrypoint runs no
   * more handlers at the same time, whatever its `maxConcurrentTasks`.
   *
   * @default {10}
   */
  maxTransactions?: number;
  /**
   * A client for LISTEN, if `client` goes through a pooler in transaction mode, which loses LISTEN: one of the server itself.
   * The caller closes it too. `null`: it does not listen, and workers poll.
   *
   * @default `client`
   */
  listenClient?: Pick<PostgresJsClient, "listen"> | null | undefined;
}

/**
 * Uses a postgres.js client for statements outside a transaction. The caller owns the client and closes it.
 *
 * In a process that must not end give the client `fetch_types: false`: postgres.js 3.4.9 asks for the types of arrays
 * outside of any promise, and where a connection ends just then the rejection ends the process. `openWorkerDriver` is safe
 * from that, and so are the transactions of handlers.
 *
 * @example Usage
 * ```ts ignore
 * import postgres from "postgres";
 * import { fromPostgresJs, Queries } from "pgqueuer";
 *
 * const queries = new Queries(fromPostgresJs(postgres(process.env.DATABASE_URL!)));
 * await queries.enqueue("send_welcome", new TextEncoder().encode("42"));
 * ```
 *
 * @param client What `postgres(dsn)` gave. Behind a pooler in transaction mode with `prepare: false`.
 * @param options How to listen, and how many connections handlers may have.
 * @returns A driver for {@linkcode Queries} and {@linkcode PgQueuer}.
 * @throws {TypeError} If `client` is no postgres.js client, or an option is unknown.
 * @throws {RangeError} If an option is out of range.
 */
export function fromPostgresJs<Transaction>(
  client: PostgresJsClient<Transaction>,
  options: PostgresJsOptions = {},
): Driver<Transaction> {
  if (typeof client?.unsafe !== "function" || typeof client.listen !== "function") {
    throw new TypeError(
      `Cannot use the client as it must be what postgres(dsn) gave: current value is ${
        shown(client)
      }`,
    );
  }
  knownOptions("options", options, ["listenClient", "maxTransactions"]);
  const { listenClient = client } = options;
  const transactions = new PostgresJsTransactions(
    (onclose) => connectAlone(client.options, onclose),
    integerAtLeast("maxTransactions", options.maxTransactions ?? 10, 1),
    STATEMENT_TIMEOUT_MS,
  );
  return {
    ...executorOf(client),
    polls: listenClient === null,
    // What a client like it gives.
    transactions: transactions as unknown as Transactions<Transaction>,
    transaction: (work) =>
      inTransaction(
        client,
        (transaction) => work(executorOf(transaction as PostgresJsTransaction)),
      ),
    async script(text: string): Promise<void> {
      await client.unsafe(text);
    },
    session: (work) => inSession(client, work),
    async listen(channel: string, listener: ChannelListener): Promise<Subscription> {
      if (listenClient === null) {
        throw new Error('Cannot listen as there must be a client for it: "listenClient" is null');
      }
      const { unlisten } = await listenClient.listen(
        channel,
        (payload) => listener.onPayload(payload),
        () => listener.onListening(),
      );
      return {
        close(): Promise<void> {
          // Not awaited: on a half-open connection the answer never comes.
          unlisten().catch(() => {});
          return Promise.resolve();
        },
      };
    },
    // Those of the client are the caller's.
    close: () => transactions.close(),
  };
}

/** A client of one connection with the options of another, whose types it may add to. */
function connectAlone(options: object, onclose: () => void): Sql {
  const { parsers, serializers } = options as { parsers?: object; serializers?: object };
  return postgres({
    ...options,
    ...{ parsers: { ...parsers }, serializers: { ...serializers } },
    fetch_types: false,
    max: 1,
    idle_timeout: IDLE_S,
    max_lifetime: null,
    onclose,
  });
}

function executorOf(client: PostgresJsConnection): Executor {
  return {
    async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
      try {
        return Array.from(await client.unsafe(text, [...parameters], PREPARED)) as Row[];
      } catch (error) {
        throw withoutItsStatement(error) ?? error;
      }
    },
  };
}
