import type { Parameter } from "../driver.ts";
import { type Client, hasMethods, type Standing } from "./client.ts";

/** A connection of [pg](https://www.npmjs.com/package/pg): a `Client`, or a `PoolClient` of `pool.connect()`. */
export interface NodePostgresConnection {
  /** Runs a statement with numbered parameters. */
  query(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    parameters: any[],
  ): PromiseLike<{ readonly rows: unknown[] }>;
  /** A connection has it, a pool has not. */
  escapeIdentifier: unknown;
}

/** Recognizes connections and pools of `pg`, and of clients made after it. */
export function nodePostgres(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "query", "connect")) return undefined;
  const isPool = "totalCount" in handle && "idleCount" in handle;
  if (!isPool && !hasMethods(handle, "escapeIdentifier")) return undefined;
  const client = handle as unknown as NodePostgresConnection & { getTransactionStatus?(): unknown };
  return {
    what: isPool ? "a Pool of pg" : "a connection of pg",
    inside: 'await client.query("BEGIN"); await getQueue(client).enqueue(…); ' +
      'await client.query("COMMIT") with a client of pool.connect()',
    outside: "new Queries(fromNodePostgres(pool))",
    isTransaction: false,
    standing: () => isPool ? "outside" : standing(client.getTransactionStatus?.()),
    query: async (text: string, parameters: readonly Parameter[]) =>
      (await client.query(text, [...parameters])).rows,
  };
}

/** `T`: in a transaction, `E`: in one that has failed. Anything else may be of before a `BEGIN` that is under way. */
function standing(status: unknown): Standing {
  return status === "T" || status === "E" ? "open" : "unknown";
}
