import { type Client, hasMethods } from "./client.ts";
import { knex } from "./knex.ts";
import { kysely } from "./kysely.ts";

/** An `EntityManager` of [MikroORM](https://mikro-orm.io): what `em.transactional()` gives to its callback, or after `em.begin()`. */
export interface MikroOrmEntityManager {
  /** Whether a transaction is open. */
  isInTransaction(): boolean;
  /** The transaction of the query builder that it stands on: Knex before release 7, Kysely since. */
  // deno-lint-ignore no-explicit-any -- the client's own types leave it open.
  getTransactionContext(): any;
  /** What knows the dialect. */
  getPlatform(): object;
  /** The connection of the query builder. */
  // deno-lint-ignore no-explicit-any -- the client's own types leave it open.
  getConnection(): any;
}

/** Recognizes entity managers of MikroORM, and uses the query builder that they stand on. */
export function mikroOrm(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "isInTransaction", "getTransactionContext", "getPlatform")) {
    return undefined;
  }
  const em = handle as unknown as MikroOrmEntityManager;
  const inner = (): Client | undefined => {
    const context = em.isInTransaction() ? em.getTransactionContext() : rootOf(em.getConnection());
    return kysely(context) ?? knex(context);
  };
  const platform = em.getPlatform().constructor.name.replace(/Platform$/, "");
  return {
    what: "an EntityManager of MikroORM",
    inside: "em.transactional(async (em) => { await getQueue(em).enqueue(…) })",
    outside: "new Queries(fromClient(em))",
    foreign: platform === "PostgreSql" ? undefined : platform,
    isTransaction: false,
    standing: () => em.isInTransaction() ? inner()!.standing() : "ended",
    query: (text, parameters) => inner()!.query(text, parameters),
  };
}

function rootOf(connection: { getClient?(): unknown; getKnex?(): unknown }): unknown {
  return connection.getClient?.() ?? connection.getKnex?.();
}
