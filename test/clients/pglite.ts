import { PGlite, type Transaction } from "@electric-sql/pglite";
import { fromClient, Queries } from "../../mod.ts";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

const INSIDE = /Write db\.transaction\(async \(tx\) => \{ await getQueue\(tx\)\.enqueue\(…\) \}\)/;

/** A database in this process, with a queue of its own. */
export async function open({ names, article }: Place): Promise<OpenClient> {
  const db = await PGlite.create();
  await new Queries(fromClient(db), names).install();
  await db.exec(`create table ${article} (id int primary key, status text)`);
  const opened = (tx: Transaction): OpenTransaction => ({
    handle: tx,
    insert: (id) => tx.query(`insert into ${article} values ($1, 'new')`, [id]),
    async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
      await tx.exec("savepoint by_hand");
      try {
        return await run(opened(tx));
      } catch (error) {
        await tx.exec("rollback to savepoint by_hand");
        throw error;
      }
    },
  });
  return {
    root: db,
    transaction: (run) => db.transaction((tx) => run(opened(tx))),
    observer: {
      query: async <Row>(text: string, parameters: readonly unknown[] = []) =>
        (await db.query<Row>(text, [...parameters])).rows,
      listen: (channel, onPayload) => db.listen(channel, onPayload),
      // One connection for all.
      concurrent: false,
    },
    wrong: [
      { what: "the root", handle: db, says: /is the root database of PGlite, so/ },
      { what: "the root", handle: db, says: INSIDE },
    ],
    close: () => db.close(),
  };
}
