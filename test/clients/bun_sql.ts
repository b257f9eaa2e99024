import type { PostgresJsTransaction } from "../../mod.ts";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

/** The part of Bun's `SQL` that is used. Its types would be those of a whole runtime. */
interface Connection extends PostgresJsTransaction {
  (text: TemplateStringsArray, ...values: unknown[]): Promise<unknown[]>;
  savepoint<T>(run: (inner: Connection) => Promise<T>): Promise<T>;
}
interface BunSql {
  begin<T>(run: (tx: Connection) => Promise<T>): Promise<T>;
  reserve(): Promise<Connection & { release(): void }>;
  close(options: { timeout: number }): Promise<void>;
}

const INSIDE = /Write Bun\.sql\.begin\(async \(tx\) => \{ await getQueue\(tx\)\.enqueue\(…\) \}\)/;

export async function open({ dsn, article }: Place): Promise<OpenClient> {
  const { SQL } = (globalThis as unknown as {
    Bun: { SQL: new (dsn: string, options?: object) => BunSql };
  }).Bun;
  const sql = new SQL(dsn, { max: 3 });
  const reserved = await sql.reserve();
  const lite = new SQL("sqlite://:memory:");
  const ofLite = await lite.begin((tx) => Promise.resolve(tx));
  const opened = (tx: Connection): OpenTransaction => ({
    handle: tx,
    insert: async (id) => await tx.unsafe(`insert into ${article} values ($1, 'new')`, [id]),
    savepoint: (run) => tx.savepoint((inner) => run(opened(inner))),
  });
  return {
    root: sql,
    transaction: (run) => sql.begin((tx) => run(opened(tx))),
    wrong: [
      { what: "the root", handle: sql, says: /is the root client of Bun\.sql, so/ },
      { what: "the root", handle: sql, says: INSIDE },
      {
        what: "a reserved connection without a transaction",
        handle: reserved,
        says: /is a reserved connection of Bun\.sql that is in no transaction/,
      },
      { what: "SQLite", handle: ofLite, says: /is a transaction of Bun\.sql for sqlite\. Use/ },
    ],
    async close() {
      reserved.release();
      await lite.close({ timeout: 0 });
      await sql.close({ timeout: 1 });
    },
  };
}
