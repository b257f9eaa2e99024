/** Handlers that never wait share the event loop with all the rest. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue?.close());

/** Holds the event loop, as a handler that computes does. */
function block(ms: number): void {
  const begunAt = performance.now();
  while (performance.now() - begunAt < ms);
}

test("timers go on while handlers that never wait run one after another", async () => {
  const jobs = 200;
  await queue.queries.enqueue("work", Array(jobs).fill(null));
  const pgq = await queue.worker();
  let ticks = 0;
  const ticksAtStart: number[] = [];
  pgq.entrypoint("work", () => {
    ticksAtStart.push(ticks);
    block(2);
  });
  const timer = setInterval(() => ticks++, 1);

  await pgq.run({ mode: "drain", maxConcurrentTasks: 100 });
  clearInterval(timer);

  expect(ticksAtStart).toHaveLength(jobs);
  // In one turn a handler more begins, at most: it found the turn not yet over.
  const turns = new Set(ticksAtStart).size;
  expect(turns).toBeGreaterThan(jobs / 4);
});

test("a worker claims no more than a fixed batch while handlers that never wait have yet to begin", async () => {
  const jobs = 80;
  await queue.clear();
  await queue.queries.enqueue("work", Array(jobs).fill(null));
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => block(10));

  await pgq.run({ mode: "drain", batchSize: 5, maxConcurrentTasks: 5 });

  // What it holds for too long goes back, and is queued twice.
  const statuses = (await queue.log()).map(({ status }) => status);
  expect(statuses.filter((status) => status === "queued")).toHaveLength(jobs);
  expect(statuses.filter((status) => status === "picked")).toHaveLength(jobs);
});

test(
  "of handlers that block the event loop a worker claims as many as can start in a tenth of a second",
  async () => {
    const jobs = 150;
    await queue.clear();
    await queue.queries.enqueue("work", Array(jobs).fill(null));
    const pgq = await queue.worker();
    pgq.entrypoint("work", () => {
      const begunAt = performance.now();
      while (performance.now() - begunAt < 10);
    });

    await pgq.run({ mode: "drain", maxConcurrentTasks: 100 });

    const claims = await queue.sql<{ jobs: number }[]>`
    select count(*)::int as jobs from ${queue.sql(queue.logTable)} where status = 'picked'
    group by created order by created`;
    // Of the first one it does not know yet how long they take. The others are ten, and two ahead of the next claim.
    const [first, ...others] = claims.map((claim) => claim.jobs);
    expect(first).toBe(100);
    expect(Math.max(...others)).toBeLessThanOrEqual(12);
    // Only the first one brought jobs that had to go back.
    expect(others.length).toBeGreaterThan(0);
    expect(first! + others.reduce((sum, count) => sum + count, 0)).toBeLessThan(jobs + 100);
  },
  30_000,
);
