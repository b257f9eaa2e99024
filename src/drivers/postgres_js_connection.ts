/** What a lost connection means to a caller of postgres.js 3.4.9. */
import type { PostgresJsConnection } from "../clients/postgres_js.ts";
import { noSession, type Parameter, type Session } from "../driver.ts";

/** Whether the error says that a connection is gone, or was not made in time. */
export function isConnectionLost(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return /^(CONNECT\w*_\w+|ECONN\w+|EPIPE|ETIMEDOUT|E(HOST|NET)\w+|57P0[12])$/.test(String(code));
}

/** Whether the server has ended the session of a statement that failed, or that is on its way. */
export function endsSession(error: unknown): boolean {
  return isConnectionLost(error) || (error as { severity?: unknown })?.severity === "FATAL";
}

/** The part of a client that transactions need. */
interface Beginner<Transaction> {
  begin(work: (transaction: Transaction) => Promise<unknown>): PromiseLike<unknown>;
}

/**
 * Runs work as a transaction. When the connection is lost, the client does not hear of it from the work: it would send a
 * rollback to a socket that is gone, outside of any promise, and that ends the process.
 */
export function inTransaction<Transaction, Result>(
  client: Beginner<Transaction>,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const guarded = async (transaction: Transaction): Promise<Result> => {
      try {
        return await work(transaction);
      } catch (error) {
        if (!endsSession(error)) throw error;
        reject(error);
        // Nobody waits for it: the client gives the transaction up by itself.
        return await new Promise<never>(() => {});
      }
    };
    client.begin(guarded).then((result) => resolve(result as Result), reject);
  });
}

/** A connection that `sql.reserve()` has lent. */
export interface PostgresJsReservedClient extends PostgresJsConnection {
  /** Gives it back. */
  release(): void;
}

/** Works on one connection of a client. */
export async function inSession<Result>(
  client: { reserve?(): PromiseLike<PostgresJsReservedClient>; readonly options: object },
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  if (typeof client.reserve !== "function") {
    throw new TypeError(
      "Cannot use the client as it must have reserve(): use postgres 3.4 or later",
    );
  }
  if ((client.options as { prepare?: unknown }).prepare === false) throw noSession();
  const reserved = await client.reserve();
  try {
    return await work({
      query: async <Row>(text: string, parameters: readonly Parameter[]) =>
        Array.from(await reserved.unsafe(text, [...parameters])) as Row[],
      script: async (text) => void await reserved.unsafe(text),
    });
  } finally {
    reserved.release();
  }
}

/** Ends a client, and its statements under way after so many seconds. Does not wait for that. */
export function end(
  client: { end(options: { timeout: number }): Promise<void> },
  timeout: number,
): void {
  client.end({ timeout }).catch(() => {});
}
