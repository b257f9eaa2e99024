import knex, { type Knex } from "knex";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

const INSIDE =
  /Write knex\.transaction\(async \(trx\) => \{ await getQueue\(trx\)\.enqueue\(…\) \}\)/;

export async function open({ dsn, names }: Place): Promise<OpenClient> {
  const db = knex({ client: "pg", connection: dsn, pool: { min: 0, max: 2 } });
  const opened = (trx: Knex.Transaction): OpenTransaction => ({
    handle: trx,
    insert: (id) => trx("article").withSchema(names.schema).insert({ id, status: "new" }),
    savepoint: async (run) => await trx.transaction((inner) => run(opened(inner))),
  });
  return await Promise.resolve({
    root: db,
    // Awaited, as it is no promise but looks like one.
    transaction: async <T>(run: (tx: OpenTransaction) => Promise<T>) =>
      await db.transaction((trx) => run(opened(trx))),
    wrong: [
      { what: "the root", handle: db, says: /is the root instance of Knex, so/ },
      { what: "the root", handle: db, says: INSIDE },
      {
        what: "MySQL",
        // What differs on MySQL, whose client we do not install.
        handle: Object.assign(() => {}, {
          raw() {},
          transaction() {},
          queryBuilder() {},
          isTransaction: true,
          isCompleted: () => false,
          client: { dialect: "mysql" },
        }),
        says: /is a transaction of Knex for mysql\. Use the client of the database that holds/,
      },
    ],
    close: () => db.destroy(),
  });
}
