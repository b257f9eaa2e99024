/** How getQueue() finds out that a transaction is open: what it asks, and what the answers come to. */
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getQueue, type KyselyTransaction, SchemaError } from "../../mod.ts";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
let client: pg.Client;
beforeAll(async () => {
  queue = await openTestQueue();
  client = new pg.Client(queue.dsn);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await queue.close();
});

/** A handle that cannot tell, and the texts that it was sent. */
function recorder(): { handle: { query: typeof query }; sent: string[] } {
  const sent: string[] = [];
  const query = (text: string, parameters: unknown[]) => {
    sent.push(text);
    return client.query(text, parameters);
  };
  return { handle: { query }, sent };
}

/** How often the server was asked for the transaction, and whether there is one. */
const asks = (sent: readonly string[]): [insert: number, other: number] => [
  sent.filter((text) => text.startsWith("SELECT pg_backend_pid()")).length,
  sent.filter((text) => text.startsWith("LOCK TABLE")).length,
];

test("a handle that cannot tell is asked about once for each queue, also by calls at once", async () => {
  const { handle, sent } = recorder();
  await client.query("begin");

  const first = getQueue(handle, queue.names);
  await Promise.all([first.enqueue("one", null), first.enqueue("two", null)]);
  expect([asks(sent), sent.length]).toEqual([[1, 0], 3]);
  await Promise.all([first.queueSize(), first.listFailed(), first.enqueue("three", null)]);
  expect([asks(sent), sent.length]).toEqual([[1, 1], 7]);
  await getQueue(handle, queue.names).enqueue("four", null);
  expect([asks(sent), sent.length]).toEqual([[2, 1], 9]);

  await client.query("rollback");
});

test("a queue that was used before does not enqueue after the end, nor in the next transaction", async () => {
  const { handle } = recorder();
  await client.query("begin");
  const inside = getQueue(handle, queue.names);
  await inside.enqueue("one", null);
  await client.query("rollback");
  const over =
    /must be an open transaction: current value is an object with query\(\) that is in no/;

  await expect(inside.enqueue("late", null)).rejects.toThrow(over);
  await expect(inside.enqueue("late", [null, null])).rejects.toThrow(over);
  await client.query("begin");
  await expect(inside.enqueue("late", null)).rejects.toThrow(over);
  await client.query("commit");

  expect(await queue.rows()).toEqual([]);
});

test("an enqueue that nobody awaits is in the transaction or fails", async () => {
  const outcomes: Promise<unknown>[] = [];
  await queue.sql.begin((tx) => {
    const enqueued = getQueue(tx, queue.names).enqueue("late", null);
    outcomes.push(enqueued.catch((error: unknown) => error));
    return Promise.resolve();
  });

  const [error] = await Promise.all(outcomes);

  expect(error).toBeInstanceOf(TypeError);
  expect(String(error)).toContain("a transaction of postgres.js that has ended");
  expect(await queue.rows()).toEqual([]);
});

test("a client that can tell is not asked about, and tells again before each statement", async () => {
  const sent: string[] = [];
  const knowing = new Proxy(client, {
    get(target, name) {
      if (name !== "query") return Reflect.get(target, name);
      return (text: string, parameters: unknown[]) => {
        sent.push(text);
        return target.query(text, parameters);
      };
    },
  });
  await client.query("begin");
  const inside = getQueue(knowing, queue.names);
  await inside.enqueue("one", null);
  expect(asks(sent)).toEqual([0, 0]);

  await client.query("rollback");

  // A queue that is kept beyond its transaction.
  await expect(inside.enqueue("late", null)).rejects.toThrow(
    /must be an open transaction: current value is a connection of pg that is in no transaction/,
  );
  expect(await queue.rows()).toEqual([]);
});

test("a connection of an older pg, which cannot tell, is asked about", async () => {
  const older = new Proxy(client, {
    get: (target, name) =>
      name === "getTransactionStatus"
        ? undefined
        : name === "query"
        ? target.query.bind(target)
        : Reflect.get(target, name),
  });

  await expect(getQueue(older, queue.names).enqueue("one", null)).rejects.toThrow(TypeError);
  await client.query("begin");
  await getQueue(older, queue.names).enqueue("one", null);
  await client.query("rollback");

  expect(await queue.rows()).toEqual([]);
});

test("a transaction of an older Kysely, which runs what comes late, is asked about", async () => {
  const older: KyselyTransaction = {
    isTransaction: true,
    getExecutor: () => ({ adapter: { supportsReturning: true, supportsTransactionalDdl: true } }),
    executeQuery: ({ sql, parameters }) => client.query(sql, [...parameters]),
  };

  await expect(getQueue(older, queue.names).enqueue("late", null)).rejects.toThrow(
    /current value is a transaction of Kysely that has ended/,
  );

  expect(await queue.rows()).toEqual([]);
});

test("a BEGIN that is under way counts", async () => {
  const beginning = client.query("begin");

  await getQueue(client, queue.names).enqueue("one", null);

  await beginning;
  await client.query("rollback");
  expect(await queue.rows()).toEqual([]);
});

test("asking needs no rights and writes nothing", async () => {
  const { handle, sent } = recorder();
  await client.query("begin read only");
  await getQueue(handle, queue.names).queueSize();
  await client.query("rollback");
  // A role of the server itself, that has no right to anything of ours.
  await client.query("begin");
  await client.query("set local role pg_signal_backend");

  const error = await getQueue(handle, queue.names).queueSize().catch((error: unknown) => error);

  await client.query("rollback");
  expect(asks(sent)).toEqual([0, 2]);
  expect(error).toBeInstanceOf(SchemaError);
  expect((error as Error).message).toContain("permission denied for schema");
});

test("a transaction that has failed gives the server's own error", async () => {
  const { handle } = recorder();
  await client.query("begin");
  await client.query("select 1 / 0").catch(() => {});

  for (const failed of [handle, client]) {
    await expect(getQueue(failed, queue.names).enqueue("one", null)).rejects.toMatchObject({
      code: "25P02",
    });
  }

  await client.query("rollback");
});

test("a statement that a pooler has left on another connection says what to do", async () => {
  const sql = postgres(queue.dsn, { max: 1, onnotice: () => {} });
  const enqueue = () => sql.begin((tx) => getQueue(tx, queue.names).enqueue("one", null));
  await enqueue();
  // What is left of it in a session that was another client's before.
  await sql.unsafe("deallocate all");

  const error: Error = await enqueue().then(() => new Error("it ran"), (error) => error);
  await sql.end();

  expect(error.message).toContain("make the client with { prepare: false }");
  expect(error.cause).toMatchObject({ code: "26000" });
});

test("a lost connection says nothing about the handle, and is asked again", async () => {
  let lost = true;
  const { handle, sent } = recorder();
  const flaky = {
    query: (text: string, parameters: unknown[]) =>
      lost
        ? Promise.reject(Object.assign(new Error("connection lost"), { code: "ECONNRESET" }))
        : handle.query(text, parameters),
  };
  await client.query("begin");
  const inside = getQueue(flaky, queue.names);

  await expect(inside.enqueue("one", null)).rejects.toMatchObject({ code: "ECONNRESET" });
  await expect(inside.queueSize()).rejects.toMatchObject({ code: "ECONNRESET" });
  lost = false;
  await inside.enqueue("one", null);
  await inside.queueSize();

  expect(asks(sent)).toEqual([1, 1]);
  await client.query("rollback");
});
