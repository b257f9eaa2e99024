/** Handlers that never wait share the event loop with all the rest. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue?.close());

test("timers go on while handlers that never wait run one after another", async () => {
  const jobs = 200;
  await queue.queries.enqueue("work", Array(jobs).fill(null));
  const pgq = await queue.worker();
  let ticks = 0;
  const ticksAtStart: number[] = [];
  pgq.entrypoint("work", () => {
    ticksAtStart.push(ticks);
    const begunAt = performance.now();
    while (performance.now() - begunAt < 2);
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
  pgq.entrypoint("work", () => {
    const begunAt = performance.now();
    while (performance.now() - begunAt < 10);
  });

  await pgq.run({ mode: "drain", batchSize: 5, maxConcurrentTasks: 5 });

  // What it holds for too long goes back, and is queued twice.
  const statuses = (await queue.log()).map(({ status }) => status);
  expect(statuses.filter((status) => status === "queued")).toHaveLength(jobs);
  expect(statuses.filter((status) => status === "picked")).toHaveLength(jobs);
});
