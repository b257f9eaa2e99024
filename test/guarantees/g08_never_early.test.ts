/** G8: a deferred job never starts before its time by the database's clock, and starts promptly when due. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { NO_POLL } from "../support/pooler.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

test("deferred jobs start when they are due and not before, also while a backlog keeps the worker busy", async () => {
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {});
  pgq.entrypoint("busy", () => new Promise((resolve) => setTimeout(resolve, 2)));
  // No notification tells that a job is due, and this poll comes too late: the worker must know the time by itself.
  const run = pgq.run({ dequeueTimeout: NO_POLL, maxConcurrentTasks: 4 });
  const delays = Array.from({ length: 40 }, (_, n) => n * 37);
  await queue.queries.enqueue("work", delays.map(() => null), { executeAfter: delays });
  const instant = new Date(Date.now() + 700);
  await queue.queries.enqueue("work", null, { executeAfter: instant });
  const due = await queue.sql`select id::int, execute_after from ${queue.sql(queue.table)}`;
  await queue.queries.enqueue("busy", Array(500).fill(null));

  await until(
    "all have run",
    async () => (await queue.log()).filter((row) => row.status === "successful").length === 541,
  );
  await pgq.stop();
  await run;

  // The log's microseconds, compared by the server.
  const early = await queue.sql`
    select log.job_id from ${queue.sql(queue.logTable)} log
    join jsonb_to_recordset(${
    queue.sql.json(due as never)
  }) as due(id int, execute_after timestamptz)
      on due.id = log.job_id
    where log.status = 'picked' and log.created < due.execute_after`;
  expect(early).toHaveLength(0);
});

test("an idle worker wakes for a job that is due later", async () => {
  const started: number[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("work", (job) => void started.push(job.id));
  const run = pgq.run({ dequeueTimeout: NO_POLL });

  const id = await queue.queries.enqueue("work", null, { executeAfter: { milliseconds: 400 } });
  await until("the job has run", () => started.includes(id!));

  await pgq.stop();
  await run;
  const [wait] = await queue.sql`
    select extract(epoch from max(created) filter (where status = 'picked')
      - max(created) filter (where status = 'queued')) * 1000 as ms
    from ${queue.sql(queue.logTable)} where job_id = ${id}`;
  expect(Number(wait!["ms"])).toBeGreaterThanOrEqual(400);
});

test("a job of the past is ready at once", async () => {
  const id = await queue.queries.enqueue("work", null, {
    executeAfter: new Date(Date.now() - 60_000),
  });
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {});

  await pgq.run({ mode: "drain" });

  expect(await queue.history(id!)).toEqual(["queued", "picked", "successful"]);
});

test("a drain leaves jobs that are not due", async () => {
  const id = await queue.queries.enqueue("work", null, { executeAfter: { hours: 1 } });
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {});

  await pgq.run({ mode: "drain" });

  expect(await queue.history(id!)).toEqual(["queued"]);
});
