import type { PostgresJsTransaction } from "../clients/postgres_js.ts";
import type { ChannelListener, Driver, Executor, Parameter, Subscription } from "../driver.ts";
import { shown } from "../validate.ts";
import { inTransaction } from "./postgres_js_connection.ts";

/** The part of a [postgres](https://www.npmjs.com/package/postgres) client that is used. */
export interface PostgresJsClient {
  /** Runs a statement with numbered parameters. */
  unsafe(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    parameters?: any[],
    options?: { prepare?: boolean; simple?: boolean } | undefined,
  ): PromiseLike<ArrayLike<unknown>>;
  /** Runs statements on one connection, as one transaction. */
  // deno-lint-ignore no-explicit-any -- as above.
  begin(work: (transaction: any) => Promise<unknown>): PromiseLike<unknown>;
  /** Listens on a connection of its own, again after each loss of it. */
  listen(
    channel: string,
    onPayload: (payload: string) => void,
    onListening?: () => void,
  ): PromiseLike<{ unlisten(): Promise<void> }>;
}

/**
 * Uses a postgres.js client for statements outside a transaction. The caller owns the client and closes it.
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
 * @param client What `postgres(dsn)` gave.
 * @returns A driver for {@linkcode Queries} and {@linkcode PgQueuer}.
 * @throws {TypeError} If `client` is no postgres.js client.
 */
export function fromPostgresJs(client: PostgresJsClient): Driver {
  if (typeof client?.unsafe !== "function" || typeof client.listen !== "function") {
    throw new TypeError(
      `Cannot use the client as it must be what postgres(dsn) gave: current value is ${
        shown(client)
      }`,
    );
  }
  return {
    ...executorOf(client),
    transaction: (work) => inTransaction(client, (transaction) => work(executorOf(transaction))),
    async script(text: string): Promise<void> {
      await client.unsafe(text);
    },
    async listen(channel: string, listener: ChannelListener): Promise<Subscription> {
      const { unlisten } = await client.listen(
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
    close: () => Promise.resolve(),
  };
}

function executorOf(client: PostgresJsClient | PostgresJsTransaction): Executor {
  return {
    async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
      return Array.from(await client.unsafe(text, [...parameters])) as Row[];
    },
  };
}
