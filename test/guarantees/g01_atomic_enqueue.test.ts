/** G1: a job exists if and only if the transaction that enqueued it commits, and no worker sees it earlier. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import postgres from "postgres";
import { getQueue } from "../../mod.ts";
import { bytes, deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.sql`create table ${queue.sql(queue.names.schema)}.article (id int)`;
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

const articles = async (): Promise<number> =>
  Number(
    (await queue.sql`select count(*) from ${queue.sql(queue.names.schema)}.article`)[0]!["count"],
  );

test("a job and the caller's row commit together", async () => {
  const before = await articles();

  const id = await queue.sql.begin(async (tx) => {
    await tx`insert into ${tx(queue.names.schema)}.article values (1)`;
    return await getQueue(tx, queue.names).enqueue("index", bytes("1"));
  });

  expect(await articles()).toBe(before + 1);
  expect(await queue.rows()).toMatchObject([{ id, status: "queued" }]);
  expect(await queue.history(id!)).toEqual(["queued"]);
});

test("a rollback takes the jobs and their log rows with it", async () => {
  const before = await articles();

  const failed = queue.sql.begin(async (tx) => {
    await tx`insert into ${tx(queue.names.schema)}.article values (2)`;
    await getQueue(tx, queue.names).enqueue("index", [bytes("2"), bytes("3")]);
    throw new Error("changed my mind");
  });

  await expect(failed).rejects.toThrow("changed my mind");
  expect(await articles()).toBe(before);
  expect(await queue.rows()).toEqual([]);
  expect(await queue.log()).toEqual([]);
});

test("a savepoint that rolls back takes its jobs with it and leaves the others", async () => {
  await queue.sql.begin(async (tx) => {
    await getQueue(tx, queue.names).enqueue("kept", null);
    await tx.savepoint(async (inner) => {
      await getQueue(inner, queue.names).enqueue("dropped", null);
      throw new Error("only this part");
    }).catch(() => {});
    await tx.savepoint((inner) => getQueue(inner, queue.names).enqueue("kept", null));
  });

  expect((await queue.log()).map((row) => row.entrypoint)).toEqual(["kept", "kept"]);
});

test("a connection that dies before the commit leaves no job", async () => {
  const client = postgres(queue.dsn, { max: 1, onnotice: () => {} });
  const backend = deferred<number>();
  client.begin(async (tx) => {
    await getQueue(tx, queue.names).enqueue("index", null);
    const [row] = await tx`select pg_backend_pid() as pid`;
    backend.resolve(row!["pid"]);
    await new Promise(() => {});
  }).catch(() => {});
  const pid = await backend.promise;

  await client.end({ timeout: 0 });

  await until(
    "the server has noticed",
    async () => (await queue.sql`select 1 from pg_stat_activity where pid = ${pid}`).length === 0,
  );
  expect(await queue.rows()).toEqual([]);
  expect(await queue.log()).toEqual([]);
});

test("a running worker does not see a job before its commit", async () => {
  const started: string[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("early", () => void started.push("early"));
  pgq.entrypoint("other", () => void started.push("other"));
  const run = pgq.run();
  const commit = deferred();
  const enqueued = deferred();
  const transaction = queue.sql.begin(async (tx) => {
    await getQueue(tx, queue.names).enqueue("early", null, { priority: 9 });
    enqueued.resolve();
    await commit.promise;
  });
  await enqueued.promise;

  // Three claims that would have taken the other job had they seen it.
  for (let round = 1; round <= 3; round++) {
    await queue.queries.enqueue("other", null);
    await until("the worker has claimed", () => started.length === round);
  }
  expect(started).toEqual(["other", "other", "other"]);

  commit.resolve();
  await transaction;
  await until("the job has run", () => started.includes("early"));
  await pgq.stop();
  await run;
});
