import { type Client, hasMethods } from "./client.ts";
import type { PostgresJsConnection } from "./postgres_js.ts";

/** Recognizes clients of Bun's own `SQL`, which look much like those of postgres.js. */
export function bunSql(handle: unknown): Client | undefined {
  if (typeof handle !== "function" || !hasMethods(handle, "unsafe", "flush", "beginDistributed")) {
    return undefined;
  }
  const sql = handle as unknown as PostgresJsConnection & { options?: { adapter?: string } };
  const isTransaction = hasMethods(handle, "savepoint");
  const isReserved = hasMethods(handle, "release");
  const adapter = sql.options?.adapter;
  return {
    what: isTransaction
      ? "a transaction of Bun.sql"
      : isReserved
      ? "a reserved connection of Bun.sql"
      : "the root client of Bun.sql",
    inside: "Bun.sql.begin(async (tx) => { await getQueue(tx).enqueue(…) })",
    outside: "new Queries(fromClient(Bun.sql))",
    foreign: adapter === undefined || adapter === "postgres" ? undefined : adapter,
    isTransaction,
    standing: () => isTransaction || isReserved ? "unknown" : "outside",
    hasEnded: (error) =>
      (error as { code?: unknown } | null)?.code === "ERR_POSTGRES_INVALID_TRANSACTION_STATE",
    query: async (text, parameters) => await sql.unsafe(text, [...parameters]),
  };
}
