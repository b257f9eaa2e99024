import type { DrizzleTransaction } from "./clients/drizzle.ts";
import { JoinedTransaction } from "./clients/joined_transaction.ts";
import type { KnexTransaction } from "./clients/knex.ts";
import type { KyselyTransaction } from "./clients/kysely.ts";
import type { MikroOrmEntityManager } from "./clients/mikro_orm.ts";
import type { NodePostgresConnection } from "./clients/node_postgres.ts";
import type { PGliteTransaction } from "./clients/pglite.ts";
import type { PostgresJsReserved, PostgresJsTransaction } from "./clients/postgres_js.ts";
import type { PrismaTransaction } from "./clients/prisma.ts";
import type { QueryFunction } from "./clients/query_function.ts";
import { recognize } from "./clients/recognize.ts";
import type { SequelizeTransaction } from "./clients/sequelize.ts";
import type { TypeOrmEntityManager, TypeOrmQueryRunner } from "./clients/typeorm.ts";
import { Queries } from "./queries/queries.ts";
import type { SettingsOptions } from "./settings.ts";
import { shown } from "./validate.ts";

/** A transaction that {@linkcode getQueue} can join. One of `Bun.sql` has the shape of one of postgres.js. */
export type TransactionHandle =
  | PostgresJsTransaction
  | PostgresJsReserved
  | NodePostgresConnection
  | DrizzleTransaction
  | KyselyTransaction
  | KnexTransaction
  | PrismaTransaction
  | TypeOrmEntityManager
  | TypeOrmQueryRunner
  | MikroOrmEntityManager
  | SequelizeTransaction
  | PGliteTransaction
  | QueryFunction;

/**
 * Gives a queue that works inside the caller's open transaction: the jobs exist if and only if it commits, and no worker
 * sees them before.
 *
 * The handle is recognized by its shape; no client is imported. Where the client cannot tell whether the transaction is
 * open, the server is asked before the first statement, which takes one round trip.
 *
 * @example The row and the job commit together, or neither does
 * ```ts ignore
 * import { getQueue } from "pgqueuer";
 *
 * await sql.begin(async (tx) => {
 *   await tx`update article set status = 'published' where id = ${id}`;
 *   await getQueue(tx).enqueue("index_article", new TextEncoder().encode(String(id)));
 * });
 * ```
 *
 * @param transaction What the client's own transaction gives: see docs/transactions.md for each client. For any other
 * client an object with `query(text, parameters)`.
 * @param options Names of the database objects, where they differ from the defaults.
 * @returns Queries on that transaction. Use them before it ends, and get others in the next one.
 * @throws {TypeError} If the handle is not inside a transaction, of another database, or not known. Where the server had
 * to be asked, the first call on the queue throws it.
 */
export function getQueue(transaction: TransactionHandle, options: SettingsOptions = {}): Queries {
  const client = recognize(transaction);
  if (client !== undefined) {
    return new Queries(new JoinedTransaction(client), options);
  }
  throw new TypeError(
    `Cannot get a queue as the handle must be the open transaction of a known client: current value is ${
      shown(transaction)
    }. ` +
      "Write sql.begin(async (tx) => { await getQueue(tx).enqueue(…) }), or getQueue({ query: (text, parameters) => … }) for any other client",
  );
}
