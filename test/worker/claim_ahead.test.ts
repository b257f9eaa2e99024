/** What a worker claims beyond what it can start at once, and what becomes of it. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterEach(() => queue.clear());
afterAll(() => queue?.close());

async function picked(): Promise<number> {
  return (await queue.rows()).filter((row) => row.status === "picked").length;
}

async function mostOfAClaim(): Promise<number> {
  const [row] = await queue.sql`
    select max(jobs)::int as most from (
      select count(*) as jobs from ${
    queue.sql(queue.logTable)
  } where status = 'picked' group by created
    ) as claims`;
  return row!["most"];
}

test("while handlers are slow a worker holds no job that it cannot start", async () => {
  await queue.queries.enqueue("work", Array(50).fill(null));
  const pgq = await queue.worker();
  const gate = deferred();
  let running = 0;
  pgq.entrypoint("work", async () => {
    running++;
    await gate.promise;
  });

  const run = pgq.run({ maxConcurrentTasks: 5 });
  await until("five run", () => running === 5);
  expect(await picked()).toBe(5);

  gate.resolve();
  await pgq.stop();
  await run;
});

test("jobs that were claimed ahead go back, uncharged, when handlers turn slow", async () => {
  // Quick ones teach the worker its pace; the others then stand still.
  await queue.queries.enqueue("quick", Array(3_000).fill(null), { priority: 1 });
  await queue.queries.enqueue("slow", Array(500).fill(null));
  const pgq = await queue.worker();
  const gate = deferred();
  let running = 0;
  pgq.entrypoint("quick", () => {});
  pgq.entrypoint("slow", async () => {
    running++;
    await gate.promise;
  });

  const run = pgq.run({ maxConcurrentTasks: 5 });
  await until("five run", () => running === 5);
  await until("the others are free for other workers", async () => await picked() === 5);
  expect(running).toBe(5);
  const rows = await queue.rows();
  expect(rows.length).toBe(500);
  expect(
    rows.filter((row) => row.status === "queued").every((row) =>
      row.attempts === 0 && row.queue_manager_id === null
    ),
  ).toBe(true);

  gate.resolve();
  await until("all have run", async () => (await queue.rows()).length === 0);
  await pgq.stop();
  await run;
  expect(running).toBe(500);
});

test("handlers that start and end together are not taken for quick ones", async () => {
  await queue.queries.enqueue("work", Array(200).fill(null));
  const workers = [await queue.worker(), await queue.worker()];
  for (const pgq of workers) {
    pgq.entrypoint("work", () => new Promise((resolve) => setTimeout(resolve, 300)));
  }

  await Promise.all(workers.map((pgq) => pgq.run({ mode: "drain", maxConcurrentTasks: 20 })));

  // None was held so long that it had to be put back.
  const log = await queue.log();
  expect(log.length).toBe(600);
  expect(log.filter(({ status }) => status === "queued").length).toBe(200);
});

test("a stop puts back what was claimed ahead, and nothing is lost or run twice", async () => {
  const ids = await queue.queries.enqueue("work", Array(5_000).fill(null)) as number[];
  const ran: number[] = [];
  for (let round = 0; ran.length < ids.length; round++) {
    const pgq = await queue.worker();
    const enough = deferred();
    const goal = Math.min(ids.length, (round + 1) * 700);
    pgq.entrypoint("work", (job) => {
      ran.push(job.id);
      if (ran.length >= goal) enough.resolve();
    });
    const run = pgq.run({ maxConcurrentTasks: 10 });
    await enough.promise;
    await pgq.stop();
    await run;
    expect(await picked()).toBe(0);
  }

  expect(ran.sort((one, other) => one - other)).toEqual(ids);
  expect(await queue.rows()).toEqual([]);
});

test("a number as batchSize is the most that one claim takes, however quick the handlers are", async () => {
  await queue.queries.enqueue("work", Array(300).fill(null));
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {});

  await pgq.run({ mode: "drain", batchSize: 7 });

  expect(await mostOfAClaim()).toBe(7);
});

test("large payloads are not claimed ahead by the hundred", async () => {
  const megabyte = new Uint8Array(1_024 * 1_024);
  await queue.queries.enqueue("work", Array(60).fill(megabyte));
  const pgq = await queue.worker();
  let sizes = 0;
  pgq.entrypoint("work", ({ payload }) => {
    sizes += payload!.byteLength;
  });

  await pgq.run({ mode: "drain", maxConcurrentTasks: 20 });

  expect(sizes).toBe(60 * megabyte.byteLength);
  // As many as can run, and five megabytes besides: the mean of the sizes that it goes by is not quite one.
  expect(await mostOfAClaim()).toBeLessThanOrEqual(25);
});

test("a job of a limited entrypoint is not claimed to wait", async () => {
  await queue.queries.enqueue("quick", Array(2_000).fill(null));
  await queue.queries.enqueue("limited", Array(200).fill(null), { priority: 1 });
  const pgq = await queue.worker();
  const waits: number[] = [];
  pgq.entrypoint("quick", () => {});
  pgq.entrypoint("limited", { concurrencyLimit: 50 }, async () => {
    const rows = await queue.sql`
      select count(*)::int as n from ${
      queue.sql(queue.table)
    } where status = 'picked' and entrypoint = 'limited'`;
    waits.push(rows[0]!["n"]);
  });

  await pgq.run({ mode: "drain", maxConcurrentTasks: 3 });

  expect(waits.length).toBe(200);
  // Three run; of three more the outcome may be on its way.
  expect(Math.max(...waits)).toBeLessThanOrEqual(33);
});
