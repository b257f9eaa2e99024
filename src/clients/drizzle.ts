import { bunSql } from "./bun_sql.ts";
import type { Client } from "./client.ts";
import { nodePostgres } from "./node_postgres.ts";
import { pglite } from "./pglite.ts";
import { postgresJs } from "./postgres_js.ts";

/** A transaction of [Drizzle](https://orm.drizzle.team) on PostgreSQL: what `db.transaction()` gives to its callback. */
export interface DrizzleTransaction {
  /** Only a transaction has it. */
  rollback: unknown;
  /** Only one of PostgreSQL has it. */
  setTransaction: unknown;
  /** Its inner parts. The session has the client that it stands on. */
  readonly _: { readonly session: unknown };
}

/** Under this name each class of Drizzle says what it is. */
const KIND = Symbol.for("drizzle:entityKind");

/** Recognizes databases and transactions of Drizzle, and uses the client that they stand on. */
export function drizzle(handle: unknown): Client | undefined {
  if (typeof handle !== "object" || handle === null || kindOf(handle) === undefined) {
    return undefined;
  }
  const { dialect, session } = handle as { dialect?: unknown; session?: { client?: unknown } };
  const client = session?.client;
  if (client === undefined) return undefined;
  const isTransaction = "nestedIndex" in handle;
  const inner = bunSql(client) ?? postgresJs(client) ?? nodePostgres(client) ?? pglite(client);
  const foreign = kindOf(dialect) === "PgDialect"
    ? inner ? undefined : "a driver that pgqueuer does not know"
    : kindOf(dialect)?.replace(/Dialect$|(Sync|Async)Dialect$/, "") ?? "another database";
  return {
    what: isTransaction ? "a transaction of Drizzle" : "the root database of Drizzle",
    inside: "db.transaction(async (tx) => { await getQueue(tx).enqueue(…) })",
    outside: "new Queries(fromClient(db))",
    foreign,
    isTransaction,
    // On a single client the root is in a transaction too, but it is not what its user has opened.
    standing: () => isTransaction ? inner?.standing() ?? "unknown" : "outside",
    query: (text, parameters) => inner!.query(text, parameters),
  };
}

function kindOf(value: unknown): string | undefined {
  const kind = (value as { constructor?: { [KIND]?: unknown } } | null | undefined)?.constructor
    ?.[KIND];
  return typeof kind === "string" ? kind : undefined;
}
