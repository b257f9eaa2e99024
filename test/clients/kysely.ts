import {
  CamelCasePlugin,
  type ControlledTransaction,
  DummyDriver,
  Kysely,
  MssqlAdapter,
  MssqlIntrospector,
  MssqlQueryCompiler,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  PostgresDialect,
  sql,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type Transaction,
} from "kysely";
import pg from "pg";
import type { OpenClient, OpenTransaction, Place, WrongHandle } from "./open_client.ts";

interface Database {
  article: { id: number; status: string };
}

const INSIDE = /Write db\.transaction\(\)\.execute\(async \(trx\) => \{ await getQueue\(trx\)\./;

/** Renames columns, as the applications of many do. Ours must not mind. */
function connect(dsn: string): Kysely<Database> {
  const pool = new pg.Pool({ connectionString: dsn, max: 2 });
  return new Kysely({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] });
}

async function wrong(db: Kysely<Database>): Promise<WrongHandle[]> {
  const dialects = {
    Mysql: [MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler],
    Sqlite: [SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler],
    Mssql: [MssqlAdapter, MssqlIntrospector, MssqlQueryCompiler],
  } as const;
  const foreign = Object.entries(dialects).map(([name, [Adapter, Introspector, Compiler]]) => {
    const other = new Kysely<Database>({
      dialect: {
        createAdapter: () => new Adapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new Introspector(db),
        createQueryCompiler: () => new Compiler(),
      },
    });
    const says = new RegExp(`is a transaction of Kysely for ${name}\\. Use the client of the`);
    return other.transaction().execute((handle) => Promise.resolve({ what: name, handle, says }));
  });
  return [
    { what: "the root", handle: db, says: /is the root instance of Kysely, so/ },
    { what: "the root", handle: db, says: INSIDE },
    ...await Promise.all(foreign),
  ];
}

export async function open({ dsn, names }: Place): Promise<OpenClient> {
  const db = connect(dsn);
  const opened = (trx: Transaction<Database>): OpenTransaction => ({
    handle: trx,
    insert: (id) =>
      trx.withSchema(names.schema).insertInto("article").values({ id, status: "new" }).execute(),
    async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
      await sql`savepoint by_hand`.execute(trx);
      try {
        return await run(opened(trx));
      } catch (error) {
        await sql`rollback to savepoint by_hand`.execute(trx);
        throw error;
      }
    },
  });
  return {
    root: db,
    transaction: (run) => db.transaction().execute((trx) => run(opened(trx))),
    wrong: await wrong(db),
    close: () => db.destroy(),
  };
}

export async function openControlled({ dsn, names }: Place): Promise<OpenClient> {
  const db = connect(dsn);
  const opened = (trx: ControlledTransaction<Database, string[]>): OpenTransaction => ({
    handle: trx,
    insert: (id) =>
      trx.withSchema(names.schema).insertInto("article").values({ id, status: "new" }).execute(),
    async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
      const inner = await trx.savepoint("by_hand").execute();
      try {
        return await run(opened(inner as ControlledTransaction<Database, string[]>));
      } catch (error) {
        await inner.rollbackToSavepoint("by_hand").execute();
        throw error;
      }
    },
  });
  return await Promise.resolve({
    root: db,
    async transaction<T>(run: (tx: OpenTransaction) => Promise<T>) {
      const trx = await db.startTransaction().execute();
      try {
        const result = await run(opened(trx as ControlledTransaction<Database, string[]>));
        await trx.commit().execute();
        return result;
      } catch (error) {
        await trx.rollback().execute();
        throw error;
      }
    },
    wrong: [],
    close: () => db.destroy(),
  });
}
