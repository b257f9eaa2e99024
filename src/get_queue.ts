import {
  fromPostgresJsTransaction,
  isPostgresJs,
  isPostgresJsTransaction,
  type PostgresJsTransaction,
} from "./clients/postgres_js.ts";
import { Queries } from "./queries/queries.ts";
import type { SettingsOptions } from "./settings.ts";
import { shown } from "./validate.ts";

/** A transaction that {@linkcode getQueue} can join. */
export type TransactionHandle = PostgresJsTransaction;

/**
 * Gives a queue that works inside the caller's open transaction: the jobs exist if and only if it commits, and no worker
 * sees them before.
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
 * @param transaction What `sql.begin()` or `tx.savepoint()` of postgres.js gives to its callback.
 * @param options Names of the database objects, where they differ from the defaults.
 * @returns Queries on that transaction. Use them before it ends.
 * @throws {TypeError} If the handle is not inside a transaction, or not known.
 */
export function getQueue(transaction: TransactionHandle, options: SettingsOptions = {}): Queries {
  if (isPostgresJsTransaction(transaction)) {
    const executor = fromPostgresJsTransaction(transaction);
    // It is open already: a batch of several statements is one with it.
    return new Queries({ ...executor, transaction: (work) => work(executor) }, options);
  }
  if (isPostgresJs(transaction)) {
    const client = typeof (transaction as { release?: unknown }).release === "function"
      ? "a reserved connection of postgres.js"
      : "the root client of postgres.js";
    throw new TypeError(
      `Cannot get a queue as the handle must be an open transaction: current value is ${client}, so the job would not be in your transaction. ` +
        "Write sql.begin(async (tx) => { await getQueue(tx).enqueue(…) }), or new Queries(fromPostgresJs(sql)) to enqueue without one",
    );
  }
  throw new TypeError(
    `Cannot get a queue as the handle must be the transaction that sql.begin() of postgres.js gives: current value is ${
      shown(transaction)
    }`,
  );
}
