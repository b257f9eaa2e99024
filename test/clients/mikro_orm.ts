import { type EntityManager, EntitySchema, MikroORM } from "@mikro-orm/postgresql";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

const INSIDE =
  /Write em\.transactional\(async \(em\) => \{ await getQueue\(em\)\.enqueue\(…\) \}\)/;

interface ArticleRow {
  id: number;
  status: string;
}

/** No decorators: the tests run without a compiler. */
const Article = new EntitySchema<ArticleRow>({
  name: "Article",
  tableName: "article",
  properties: { id: { type: "integer", primary: true }, status: { type: "string" } },
});

async function connect({ dsn, names }: Place): Promise<MikroORM> {
  return await MikroORM.init({
    clientUrl: dsn,
    schema: names.schema,
    entities: [Article],
    pool: { min: 0, max: 2 },
    discovery: { checkDuplicateTableNames: false },
  });
}

export async function open(place: Place): Promise<OpenClient> {
  const orm = await connect(place);
  const opened = (em: EntityManager): OpenTransaction => ({
    handle: em,
    insert: (id) => em.insert(Article, { id, status: "new" }),
    savepoint: (run) => em.transactional((inner) => run(opened(inner))),
  });
  return {
    root: orm.em.fork(),
    transaction: (run) => orm.em.fork().transactional((em) => run(opened(em))),
    wrong: [
      {
        what: "the root",
        handle: orm.em,
        says: /is an EntityManager of MikroORM that is in no transaction, so/,
      },
      { what: "a fork", handle: orm.em.fork(), says: INSIDE },
      {
        what: "SQLite",
        handle: {
          isInTransaction: () => true,
          getTransactionContext: () => ({}),
          getPlatform: () => new class SqlitePlatform {}(),
        },
        says: /is an EntityManager of MikroORM for Sqlite\. Use the client of the database/,
      },
    ],
    close: () => orm.close(),
  };
}

/** With `begin()` and `commit()`. */
export async function openExplicit(place: Place): Promise<OpenClient> {
  const orm = await connect(place);
  return {
    async transaction<T>(run: (tx: OpenTransaction) => Promise<T>) {
      const em = orm.em.fork();
      const tx: OpenTransaction = {
        handle: em,
        insert: (id) => em.insert(Article, { id, status: "new" }),
        savepoint: <T>(run: (inner: OpenTransaction) => Promise<T>) =>
          em.transactional((inner) => run({ ...tx, handle: inner })),
      };
      await em.begin();
      try {
        const result = await run(tx);
        await em.commit();
        return result;
      } catch (error) {
        await em.rollback();
        throw error;
      }
    },
    wrong: [],
    close: () => orm.close(),
  };
}
