import type { Parameter } from "../driver.ts";
import { type Client, hasMethods } from "./client.ts";

/** A connection of postgres.js that may be in a transaction. */
export interface PostgresJsConnection {
  /** Runs a statement with numbered parameters. */
  unsafe(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    parameters?: any[],
    options?: { prepare?: boolean },
  ): PromiseLike<ArrayLike<unknown>>;
}

/**
 * Options of a statement: the server plans it once for each connection, where the client's own option `prepare` allows it.
 * To plan an enqueue takes several times as long as to run it.
 */
export const PREPARED = { prepare: true } as const;

/** A transaction of postgres.js: what `sql.begin()` and `tx.savepoint()` give to their callback. */
export interface PostgresJsTransaction extends PostgresJsConnection {
  /** Only a transaction has it. */
  savepoint: unknown;
}

/** A connection that `sql.reserve()` of postgres.js gave. */
export interface PostgresJsReserved extends PostgresJsConnection {
  /** Only a reserved connection has it. */
  release: unknown;
}

/** Recognizes every handle of postgres.js, a function with tagged templates. */
export function postgresJs(handle: unknown): Client | undefined {
  if (typeof handle !== "function" || !hasMethods(handle, "unsafe")) return undefined;
  const sql = handle as unknown as PostgresJsConnection;
  const isTransaction = hasMethods(handle, "savepoint");
  const isReserved = hasMethods(handle, "release");
  return {
    what: isTransaction
      ? "a transaction of postgres.js"
      : isReserved
      ? "a reserved connection of postgres.js"
      : "the root client of postgres.js",
    inside: "sql.begin(async (tx) => { await getQueue(tx).enqueue(…) })",
    outside: "new Queries(fromPostgresJs(sql))",
    isTransaction,
    // After its end a transaction runs what it is given on the same connection, for itself.
    standing: () => isTransaction || isReserved ? "unknown" : "outside",
    query: async (text: string, parameters: readonly Parameter[]) =>
      await sql.unsafe(text, [...parameters], PREPARED),
  };
}
