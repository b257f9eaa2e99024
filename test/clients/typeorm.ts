import { DataSource, type EntityManager, EntitySchema } from "typeorm";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

const INSIDE =
  /Write dataSource\.transaction\(async \(manager\) => \{ await getQueue\(manager\)\.enqueue\(…\) \}\)/;

/** No decorators: the tests run without a compiler. */
const Article = new EntitySchema<{ id: number; status: string }>({
  name: "article",
  columns: { id: { type: Number, primary: true }, status: { type: String } },
});

async function connect({ dsn, names }: Place): Promise<DataSource> {
  const source = new DataSource({
    type: "postgres",
    url: dsn,
    schema: names.schema,
    entities: [Article],
    poolSize: 3,
  });
  return await source.initialize();
}

const opened = (manager: EntityManager): OpenTransaction => ({
  handle: manager,
  insert: (id) => manager.insert(Article, { id, status: "new" }),
  savepoint: (run) => manager.transaction((inner) => run(opened(inner))),
});

export async function open(place: Place): Promise<OpenClient> {
  const source = await connect(place);
  const idle = source.createQueryRunner();
  await idle.connect();
  return {
    root: source,
    transaction: (run) => source.transaction((manager) => run(opened(manager))),
    wrong: [
      { what: "the source", handle: source, says: /is a DataSource of TypeORM, so/ },
      { what: "the source", handle: source, says: INSIDE },
      {
        what: "the manager of the source",
        handle: source.manager,
        says: /is an EntityManager of TypeORM that is in no transaction, so/,
      },
      {
        what: "a query runner without a transaction",
        handle: idle,
        says: /is a QueryRunner of TypeORM that is in no transaction, so/,
      },
      {
        what: "MySQL",
        // What differs on MySQL, whose client we do not install.
        handle: {
          query() {},
          getRepository() {},
          createQueryBuilder() {},
          queryRunner: { isTransactionActive: true, isReleased: false },
          dataSource: { options: { type: "mysql" } },
        },
        says: /is an EntityManager of TypeORM for mysql\. Use the client of the database/,
      },
    ],
    async close() {
      await idle.release();
      await source.destroy();
    },
  };
}

/** With a query runner in hand, which is the connection. */
export async function openRunner(place: Place): Promise<OpenClient> {
  const source = await connect(place);
  return {
    root: source.manager,
    async transaction<T>(run: (tx: OpenTransaction) => Promise<T>) {
      const runner = source.createQueryRunner();
      const tx: OpenTransaction = {
        handle: runner,
        insert: (id) => runner.manager.insert(Article, { id, status: "new" }),
        async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
          await runner.startTransaction();
          try {
            const result = await run(tx);
            await runner.commitTransaction();
            return result;
          } catch (error) {
            await runner.rollbackTransaction();
            throw error;
          }
        },
      };
      try {
        return await tx.savepoint(run);
      } finally {
        await runner.release();
      }
    },
    wrong: [],
    close: () => source.destroy(),
  };
}
