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
