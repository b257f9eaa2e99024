import type { Parameter } from "../driver.ts";
import { type Client, hasMethods, type Standing } from "./client.ts";

/** A transaction of [Kysely](https://kysely.dev), of a callback or a controlled one. */
export interface KyselyTransaction {
  /** Only a transaction has `true`. */
  readonly isTransaction: true;
  /** Runs a statement that is compiled. */
  executeQuery(
    // deno-lint-ignore no-explicit-any -- the client's own types are branded.
    query: any,
  ): Promise<{ readonly rows: unknown[] }>;
  /** What knows the dialect. */
  getExecutor(): { readonly adapter: object };
}

/** What only some transactions can tell. */
interface Controlled {
  readonly isCommitted?: boolean;
  readonly isRolledBack?: boolean;
}

/** Recognizes instances and transactions of Kysely. */
export function kysely(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "executeQuery", "getExecutor")) return undefined;
  const db = handle as unknown as KyselyTransaction & Controlled;
  const { isTransaction } = db;
  return {
    what: isTransaction ? "a transaction of Kysely" : "the root instance of Kysely",
    inside: "db.transaction().execute(async (trx) => { await getQueue(trx).enqueue(…) })",
    outside: "new Queries(fromClient(db))",
    foreign: foreign(db.getExecutor().adapter),
    isTransaction,
    standing: () => isTransaction ? standing(db) : "outside",
    hasEnded: (error) => /^Transaction is already /.test((error as Error | null)?.message ?? ""),
    query: async (text, parameters) => (await db.executeQuery(compiled(text, parameters))).rows,
  };
}

function standing({ isCommitted, isRolledBack }: Controlled): Standing {
  if (isCommitted === undefined) return "unknown";
  return isCommitted || isRolledBack ? "ended" : "open";
}

/** Of the dialects that come with Kysely, only that of PostgreSQL has both. */
function foreign(adapter: object): string | undefined {
  const { supportsReturning, supportsTransactionalDdl } = adapter as Record<string, unknown>;
  if (supportsReturning && supportsTransactionalDdl) return undefined;
  return adapter.constructor.name.replace(/Adapter$/, "");
}

/** The same as `CompiledQuery.raw()`. */
function compiled(sql: string, parameters: readonly Parameter[]): object {
  return {
    sql,
    parameters,
    query: { kind: "RawNode", sqlFragments: [sql], parameters: [] },
    queryId: { queryId: crypto.randomUUID() },
  };
}
