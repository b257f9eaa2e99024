import type { Parameter } from "../driver.ts";
import { type Client, hasMethods } from "./client.ts";

/** A transaction of [PGlite](https://pglite.dev): what `db.transaction()` gives to its callback. */
export interface PGliteTransaction {
  /** Whether it is over. */
  readonly closed: boolean;
  /** Only a transaction has it. */
  rollback: unknown;
  /** Runs a statement with numbered parameters. */
  query(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are these.
    parameters: any[],
  ): Promise<{ readonly rows: unknown[] }>;
}

/** Recognizes databases and transactions of PGlite. */
export function pglite(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "query", "exec") || typeof handle["closed"] !== "boolean") {
    return undefined;
  }
  const isTransaction = hasMethods(handle, "rollback");
  const db = handle as unknown as PGliteTransaction & { exec(text: string): Promise<unknown> };
  return {
    what: isTransaction ? "a transaction of PGlite" : "the root database of PGlite",
    inside: "db.transaction(async (tx) => { await getQueue(tx).enqueue(…) })",
    outside: "new Queries(fromClient(db))",
    isTransaction,
    // Older releases do not close one that commits by itself.
    standing: () => isTransaction ? db.closed ? "ended" : "unknown" : "outside",
    query: async (text: string, parameters: readonly Parameter[]) =>
      (await db.query(text, [...parameters])).rows,
    // Nothing else can reach a database in this process.
    ...(!isTransaction && { script: (text: string) => db.exec(text) }),
  };
}
