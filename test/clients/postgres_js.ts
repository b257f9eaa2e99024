import postgres, { type TransactionSql } from "postgres";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

const INSIDE = /Write sql\.begin\(async \(tx\) => \{ await getQueue\(tx\)\.enqueue\(…\) \}\)/;

export async function open({ dsn, article }: Place): Promise<OpenClient> {
  const sql = postgres(dsn, { max: 2, onnotice: () => {} });
  const reserved = await sql.reserve();
  const opened = (tx: TransactionSql): OpenTransaction => ({
    handle: tx,
    insert: (id) => tx`insert into ${tx(article)} values (${id}, 'new')`,
    savepoint: async <T>(run: (inner: OpenTransaction) => Promise<T>) =>
      await tx.savepoint((inner) => run(opened(inner))) as T,
  });
  return {
    root: sql,
    transaction: async <T>(run: (tx: OpenTransaction) => Promise<T>) =>
      await sql.begin((tx) => run(opened(tx))) as T,
    wrong: [
      { what: "the root client", handle: sql, says: /is the root client of postgres\.js, so/ },
      { what: "the root client", handle: sql, says: INSIDE },
      {
        what: "a reserved connection without a transaction",
        handle: reserved,
        says: /is a reserved connection of postgres\.js that is in no transaction/,
      },
    ],
    async close() {
      reserved.release();
      await sql.end({ timeout: 1 });
    },
  };
}

/** A reserved connection with a transaction by hand. */
export async function openReserved({ dsn, article }: Place): Promise<OpenClient> {
  const sql = postgres(dsn, { max: 1, onnotice: () => {} });
  const reserved = await sql.reserve();
  const tx: OpenTransaction = {
    handle: reserved,
    insert: (id) => reserved`insert into ${reserved(article)} values (${id}, 'new')`,
    async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
      await reserved`savepoint by_hand`;
      try {
        return await run(tx);
      } catch (error) {
        await reserved`rollback to savepoint by_hand`;
        throw error;
      }
    },
  };
  return {
    root: reserved,
    async transaction<T>(run: (tx: OpenTransaction) => Promise<T>) {
      await reserved`begin`;
      try {
        const result = await run(tx);
        await reserved`commit`;
        return result;
      } catch (error) {
        await reserved`rollback`;
        throw error;
      }
    },
    wrong: [],
    async close() {
      reserved.release();
      await sql.end({ timeout: 1 });
    },
  };
}
