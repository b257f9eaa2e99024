import postgres, { type Sql, type TransactionSql } from "postgres";
import { PREPARED } from "../clients/postgres_js.ts";
import { hostOptions } from "../dsn.ts";
import type {
  ChannelListener,
  Driver,
  DriverAddress,
  Executor,
  Parameter,
  Subscription,
  Transactions,
} from "../driver.ts";
import { statements } from "../sql/generated.ts";
import { withoutItsStatement } from "../clients/server_error.ts";
import { end, inSession, inTransaction, isConnectionLost } from "./postgres_js_connection.ts";
import { IDLE_S, PostgresJsTransactions } from "./postgres_js_transactions.ts";
import {
  type ResolvedDriverOptions,
  resolveDriverOptions,
  type WorkerDriverOptions,
} from "./worker_driver_options.ts";

/** What a first statement may take beside the connection. */
const CONNECT_SLACK_MS = 2_000;
/** Seconds that statements get which run on other connections of a client that is replaced, as it has lost one. */
const RETIRED_S = 2;
/** How long to wait before the next try, if there was no other connection to be had. */
const REPLACE_PAUSE_MS = 1_000;

/**
 * Opens the long-lived connections of a worker. A worker must not share a request pool: LISTEN belongs to one session,
 * and a pool gives it away.
 *
 * @example Usage
 * ```ts ignore
 * import { openWorkerDriver, PgQueuer } from "pgqueuer";
 *
 * const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));
 * ```
 *
 * @param dsn Where the database is, in any form that {@linkcode normalizeDsn} takes.
 * @param options Limits and names.
 * @returns A driver, closed by the {@linkcode PgQueuer} that it is given to when its `run` ends.
 * @throws {TypeError} If `dsn` is none, `undefined` included.
 * @throws {Error} The client's error if the database cannot be reached.
 */
export async function openWorkerDriver(
  dsn: string | undefined,
  options: WorkerDriverOptions = {},
): Promise<WorkerDriver> {
  const resolved = resolveDriverOptions(dsn, options);
  const driver = new WorkerDriver(resolved);
  // The client tries for ever where something else than PostgreSQL takes the connection and closes it.
  const hosts = resolved.dsn.split("?")[0]!.split(",").length;
  const longestMs = hosts * resolved.connectTimeoutMs + CONNECT_SLACK_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new Error(
          `Cannot connect as PostgreSQL must answer within ${longestMs} ms: check host and port of the DSN`,
        ),
      );
    }, longestMs);
  });
  try {
    await Promise.race([driver.query(statements.ping, []), late]);
    return driver;
  } catch (error) {
    await driver.abandon();
    // Deno notices that it was closed before anything was written, and the client gives up.
    if ((error as { code?: unknown }).code !== "EPIPE") throw error;
    throw new Error(
      "Cannot connect as PostgreSQL must answer: the connection was closed, check host and port of the DSN",
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Connections of a worker. Made by {@linkcode openWorkerDriver}. */
export class WorkerDriver implements Driver<TransactionSql>, AsyncDisposable {
  /** For handlers of transactional entrypoints. */
  readonly transactions: Transactions<TransactionSql>;
  readonly #options: ResolvedDriverOptions;
  readonly #transactions: PostgresJsTransactions;
  /** Replaced as a whole when a statement gets no answer. */
  #client: Sql;
  /** A client that has lost a connection. */
  #spoiled: Sql | undefined;
  /** Has been replaced, and is kept until its successor has shown that it can connect. */
  #spare: Sql | undefined;
  /** When to replace the client at the earliest, on the monotonic clock. */
  #replaceAt = 0;
  #closed = false;

  /** @internal */
  constructor(options: ResolvedDriverOptions) {
    this.#options = options;
    this.#client = this.#connect(options.maxConnections);
    this.transactions = this.#transactions = new PostgresJsTransactions(
      (onclose) => this.#connect(1, { onclose, idle_timeout: IDLE_S }),
      options.maxTransactions,
      options.statementTimeoutMs,
    );
  }

  /** Whether it does not listen: `listenDsn` is `null`. */
  get polls(): boolean {
    return this.#options.listenDsn === null;
  }

  /** Runs one statement, prepared once per connection. */
  query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
    return this.#query(this.#client, this.#client, text, parameters);
  }

  /** Runs statements on one connection, as one transaction. */
  transaction<Result>(work: (executor: Executor) => Promise<Result>): Promise<Result> {
    const client = this.#client;
    return inTransaction(client, (transaction: TransactionSql) =>
      work({
        query: (text, parameters) => this.#query(client, transaction, text, parameters),
      }));
  }

  async #query<Row>(
    client: Sql,
    session: Pick<Sql, "unsafe">,
    text: string,
    parameters: readonly Parameter[],
  ): Promise<Row[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const halfMs = this.#options.statementTimeoutMs / 2;
      // In two halves: while the event loop was blocked the answer may have come, and be read between them.
      timer = setTimeout(() => {
        timer = setTimeout(() => reject(new Error(this.#giveUp(client))), halfMs);
      }, halfMs);
    });
    try {
      const answer = session.unsafe(text, [...parameters], PREPARED);
      return Array.from(await Promise.race([answer, late])) as Row[];
    } catch (error) {
      if (isConnectionLost(error)) this.#spoiled = client;
      throw withoutItsStatement(error) ?? error;
    } finally {
      clearTimeout(timer);
      if (this.#spoiled === client) void this.#replace(client);
    }
  }

  /** Runs a script of several statements as one simple query. */
  async script(text: string): Promise<void> {
    await this.#client.unsafe(text);
  }

  /** Lends a connection. Nothing on it is given up for being slow. */
  readonly session: NonNullable<Driver["session"]> = (work) => inSession(this.#client, work);

  /** Listens on a connection of its own, so that closing the subscription closes the connection, dead or alive. */
  async listen(channel: string, listener: ChannelListener): Promise<Subscription> {
    const { listenDsn } = this.#options;
    if (listenDsn === null) {
      throw new Error(
        'Cannot listen as there must be a connection for it: current value of "listenDsn" (PGQUEUER_LISTEN_DSN) is none',
      );
    }
    const client = this.#connect(1, {}, listenDsn);
    const close = (): Promise<void> => client.end({ timeout: 0 });
    try {
      await client.listen(
        channel,
        (payload) => listener.onPayload(payload),
        () => listener.onListening(),
      );
      return { close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** How to open another connection like these. */
  address(): DriverAddress {
    const { dsn, connectTimeoutMs, statementTimeoutMs, applicationName } = this.#options;
    const options = {
      connectTimeout: connectTimeoutMs,
      statementTimeout: statementTimeoutMs,
      applicationName,
    };
    return { dsn, options };
  }

  /** Closes the connections for statements after what runs on them, but at the latest after five seconds, the others at once. */
  async close(): Promise<void> {
    // The end of a client that has lost a connection would never come by itself, and its successor may never get one.
    const connected = this.#client !== this.#spoiled && this.#spare === undefined;
    await this.#end(connected ? 5 : 0);
  }

  /**
   * Closes a driver that has never reached the database: there is nothing to wait for.
   *
   * @internal
   */
  async abandon(): Promise<void> {
    await this.#end(0);
  }

  async #end(timeout: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([
      this.#client.end({ timeout }),
      this.#spare?.end({ timeout: 0 }),
      this.#transactions.close(),
    ]);
  }

  /** The same as {@linkcode WorkerDriver.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #connect(
    max: number,
    options: Parameters<typeof postgres>[1] = {},
    dsn: string = this.#options.dsn,
  ): Sql {
    return postgres(dsn, {
      ...hostOptions(dsn),
      // As libpq and asyncpg do: TLS where the server has it, so that one DSN serves both languages.
      ...(/[?&]sslmode=/.test(dsn) ? {} : { ssl: "prefer" as const }),
      max,
      connect_timeout: Math.max(1, this.#options.connectTimeoutMs / 1_000),
      // Seconds. The default grows to twenty: too long for a queue that is back.
      backoff: (attempt) => (0.5 + Math.random() / 2) * Math.min(0.05 * 2 ** attempt, 2),
      // No statement of ours gives an array. For those of a handler see `learnArrays`.
      fetch_types: false,
      onnotice: () => {},
      connection: { application_name: this.#options.applicationName },
      ...options,
    });
  }

  /**
   * Replaces a client that has lost a connection. It is taken back if there is no other connection to be had than those that
   * it still has.
   *
   * postgres.js 3.4.9 keeps what waits to be written to a connection as that ends. Nothing is written to the next
   * connection then, so that each statement on it waits until it times out, for good.
   */
  async #replace(client: Sql): Promise<void> {
    if (this.#client !== client || this.#closed || performance.now() < this.#replaceAt) return;
    this.#replaceAt = Infinity;
    this.#spare = client;
    const successor = this.#client = this.#connect(this.#options.maxConnections);
    const timer = setTimeout(() => end(successor, 0), this.#options.statementTimeoutMs);
    try {
      await successor.unsafe(statements.ping);
      end(client, RETIRED_S);
      this.#replaceAt = 0;
    } catch {
      this.#replaceAt = performance.now() + REPLACE_PAUSE_MS;
      end(successor, 0);
      if (this.#client === successor) this.#client = client;
      else end(client, 0);
    } finally {
      clearTimeout(timer);
      this.#spare = undefined;
    }
  }

  /** Replaces a client that gave no answer and says why. Every statement under way on it is rejected. */
  #giveUp(client: Sql): string {
    const message =
      `Cannot go on with a connection as a statement got no answer in ${this.#options.statementTimeoutMs} ms`;
    if (this.#client === client && !this.#closed) {
      this.#options.logger.warn(`${message}: connecting anew`);
      this.#client = this.#connect(this.#options.maxConnections);
      end(client, 0);
    }
    return message;
  }
}
