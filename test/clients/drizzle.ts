import { sql } from "drizzle-orm";
import { drizzle as onPg } from "drizzle-orm/node-postgres";
import { integer, pgSchema, text } from "drizzle-orm/pg-core";
import { drizzle as onPostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import type { TransactionHandle } from "../../mod.ts";
import type { OpenClient, OpenTransaction, Place, WrongHandle } from "./open_client.ts";

const INSIDE = /Write db\.transaction\(async \(tx\) => \{ await getQueue\(tx\)\.enqueue\(…\) \}\)/;

function wrong(db: object): WrongHandle[] {
  return [
    { what: "the root", handle: db, says: /is the root database of Drizzle, so/ },
    { what: "the root", handle: db, says: INSIDE },
    { what: "MySQL", handle: ofMySql(), says: /is a transaction of Drizzle for MySql\. Use the/ },
  ];
}

/** The shape of a transaction on MySQL, whose client we do not install. */
function ofMySql(): object {
  const kind = Symbol.for("drizzle:entityKind");
  class MySqlDialect {
    static readonly [kind]: string = "MySqlDialect";
  }
  class MySql2Transaction {
    static readonly [kind]: string = "MySql2Transaction";
    dialect = new MySqlDialect();
    session = { client: { query() {} } };
    nestedIndex = 0;
  }
  return new MySql2Transaction();
}

export async function openOnPg({ dsn, names, article }: Place): Promise<OpenClient> {
  const pool = new pg.Pool({ connectionString: dsn, max: 2 });
  const db = onPg({ client: pool });
  const table = pgSchema(names.schema).table(article.split(".")[1]!, {
    id: integer(),
    status: text(),
  });
  const opened = (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]): OpenTransaction => ({
    handle: tx,
    insert: (id) => tx.insert(table).values({ id, status: "new" }),
    savepoint: (run) => tx.transaction((inner) => run(opened(inner))),
  });
  return await Promise.resolve({
    root: db,
    transaction: <T>(run: (tx: OpenTransaction) => Promise<T>) =>
      db.transaction((tx) => run(opened(tx))),
    wrong: wrong(db),
    close: () => pool.end(),
  });
}

export async function openOnPostgresJs({ dsn, article }: Place): Promise<OpenClient> {
  const client = postgres(dsn, { max: 2, onnotice: () => {} });
  const db = onPostgresJs({ client });
  const opened = (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]): OpenTransaction => ({
    handle: tx satisfies TransactionHandle,
    insert: (id) => tx.execute(sql`insert into ${sql.raw(article)} values (${id}, 'new')`),
    savepoint: (run) => tx.transaction((inner) => run(opened(inner))),
  });
  return await Promise.resolve({
    root: db,
    transaction: <T>(run: (tx: OpenTransaction) => Promise<T>) =>
      db.transaction((tx) => run(opened(tx))),
    wrong: wrong(db),
    close: () => client.end({ timeout: 1 }),
  });
}
