import { DataTypes, Sequelize, type Transaction } from "sequelize";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

const INSIDE =
  /Write sequelize\.transaction\(async \(transaction\) => \{ await getQueue\(transaction\)\./;

function connect({ dsn, names }: Place) {
  const sequelize = new Sequelize(dsn, { logging: false, pool: { max: 2 } });
  const Article = sequelize.define(
    "Article",
    { id: { type: DataTypes.INTEGER, primaryKey: true }, status: DataTypes.STRING },
    { tableName: "article", schema: names.schema, timestamps: false },
  );
  const opened = (transaction: Transaction): OpenTransaction => ({
    handle: transaction,
    insert: (id) => Article.create({ id, status: "new" }, { transaction, returning: false }),
    savepoint: async <T>(run: (inner: OpenTransaction) => Promise<T>) =>
      await sequelize.transaction({ transaction }, (inner) => run(opened(inner))),
  });
  return { sequelize, opened };
}

export async function open(place: Place): Promise<OpenClient> {
  const { sequelize, opened } = connect(place);
  return await Promise.resolve({
    root: sequelize,
    transaction: <T>(run: (tx: OpenTransaction) => Promise<T>) =>
      sequelize.transaction((transaction) => run(opened(transaction))),
    wrong: [
      { what: "the root", handle: sequelize, says: /is the root instance of Sequelize, so/ },
      { what: "the root", handle: sequelize, says: INSIDE },
      {
        what: "MySQL",
        // What differs on MySQL, whose client we do not install.
        handle: {
          commit() {},
          rollback() {},
          afterCommit() {},
          sequelize: { getDialect: () => "mysql" },
        },
        says: /is a transaction of Sequelize for mysql\. Use the client of the database that/,
      },
    ],
    close: () => sequelize.close(),
  });
}

/** With `commit()` and `rollback()` of one's own. */
export async function openUnmanaged(place: Place): Promise<OpenClient> {
  const { sequelize, opened } = connect(place);
  return await Promise.resolve({
    async transaction<T>(run: (tx: OpenTransaction) => Promise<T>) {
      const transaction = await sequelize.transaction();
      try {
        const result = await run(opened(transaction));
        await transaction.commit();
        return result;
      } catch (error) {
        await transaction.rollback();
        throw error;
      }
    },
    wrong: [],
    close: () => sequelize.close(),
  });
}
