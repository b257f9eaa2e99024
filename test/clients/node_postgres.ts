import pg from "pg";
import type { QueryFunction } from "../../mod.ts";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";

/** What both kinds of connection have. */
type Connection = pg.Client | pg.PoolClient;

async function inTransaction<T>(connection: Connection, run: () => Promise<T>): Promise<T> {
  await connection.query("BEGIN");
  try {
    const result = await run();
    await connection.query("COMMIT");
    return result;
  } catch (error) {
    await connection.query("ROLLBACK");
    throw error;
  }
}

function opened(
  connection: Connection,
  article: string,
  handle: OpenTransaction["handle"] = connection,
): OpenTransaction {
  const tx: OpenTransaction = {
    handle,
    insert: (id) => connection.query(`INSERT INTO ${article} VALUES ($1, 'new')`, [id]),
    async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
      await connection.query("SAVEPOINT by_hand");
      try {
        return await run(tx);
      } catch (error) {
        await connection.query("ROLLBACK TO SAVEPOINT by_hand");
        throw error;
      }
    },
  };
  return tx;
}

export async function openPool({ dsn, article }: Place): Promise<OpenClient> {
  const pool = new pg.Pool({ connectionString: dsn, max: 2 });
  const idle = await pool.connect();
  return {
    root: pool,
    async transaction<T>(run: (tx: OpenTransaction) => Promise<T>) {
      const client = await pool.connect();
      try {
        return await inTransaction(client, () => run(opened(client, article)));
      } finally {
        client.release();
      }
    },
    wrong: [
      { what: "the pool", handle: pool, says: /is a Pool of pg, so/ },
      {
        what: "the pool",
        handle: pool,
        says: /Write await client\.query\("BEGIN"\); await getQue/,
      },
      {
        what: "a client without a transaction",
        handle: idle,
        says: /is a connection of pg that is in no transaction/,
      },
    ],
    async close() {
      idle.release();
      await pool.end();
    },
  };
}

export async function openClient({ dsn, article }: Place): Promise<OpenClient> {
  const client = new pg.Client(dsn);
  await client.connect();
  return {
    root: client,
    transaction: (run) => inTransaction(client, () => run(opened(client, article))),
    wrong: [],
    close: () => client.end(),
  };
}

/** A client that no adapter knows, as one function. */
export async function openFunction({ dsn, article }: Place): Promise<OpenClient> {
  const client = new pg.Client(dsn);
  await client.connect();
  const rows: QueryFunction = {
    query: async (text, parameters) => (await client.query(text, parameters)).rows,
  };
  const result: QueryFunction = {
    query: (text, parameters) => client.query(text, parameters),
  };
  let calls = 0;
  return {
    root: rows,
    transaction: (run) =>
      // Both forms of an answer, in turn.
      inTransaction(client, () => run(opened(client, article, calls++ % 2 ? rows : result))),
    wrong: [
      {
        what: "a function that works outside transactions",
        handle: rows,
        says: /is an object with query\(\) that is in no transaction/,
      },
      {
        what: "a function that gives no rows",
        handle: { query: () => Promise.resolve(7) },
        says: /Cannot read the answer of query\(\) as it must be an array of rows/,
      },
      {
        what: "a function of another database",
        handle: { query: () => Promise.reject(new Error('near "LOCK": syntax error')) },
        says: /must be of PostgreSQL: current value is an object with query\(\) whose database/,
      },
    ],
    close: () => client.end(),
  };
}
