import { bunSql } from "./bun_sql.ts";
import type { Adapter, Client } from "./client.ts";
import { drizzle } from "./drizzle.ts";
import { knex } from "./knex.ts";
import { kysely } from "./kysely.ts";
import { mikroOrm } from "./mikro_orm.ts";
import { nodePostgres } from "./node_postgres.ts";
import { pglite } from "./pglite.ts";
import { postgresJs } from "./postgres_js.ts";
import { prisma } from "./prisma.ts";
import { queryFunction } from "./query_function.ts";
import { sequelize } from "./sequelize.ts";
import { typeOrm } from "./typeorm.ts";

/** One for each client. The last one takes all that can run a statement. */
const ADAPTERS: readonly Adapter[] = [
  bunSql,
  postgresJs,
  nodePostgres,
  drizzle,
  kysely,
  knex,
  prisma,
  typeOrm,
  mikroOrm,
  sequelize,
  pglite,
  queryFunction,
];

/** Finds out what a handle is. Gives `undefined` if no adapter knows it. */
export function recognize(handle: unknown): Client | undefined {
  for (const adapter of ADAPTERS) {
    const client = adapter(handle);
    if (client !== undefined) return client;
  }
  return undefined;
}
