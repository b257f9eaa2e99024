/** G6: in one claim, priority descending, then id ascending; a deferred job joins that order when due. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { fromPostgresJs, type Job, resolveSettings } from "../../mod.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
let store: QueueStore;
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

const inOrder = (jobs: readonly Job[]): number[] =>
  [...jobs].sort((a, b) => b.priority - a.priority || a.id - b.id).map(({ id }) => id);

test("claims take the highest priority first and the lowest id within it", async () => {
  const priorities = Array.from({ length: 200 }, () => Math.floor(Math.random() * 5) - 2);
  await queue.queries.enqueue("work", priorities.map(() => null), { priority: priorities });

  const jobs: Job[] = [];
  for (let claim = 0; claim < 20; claim++) {
    jobs.push(...await store.dequeue(10, ["work"], randomUUID()));
  }

  expect(jobs.map(({ id }) => id)).toEqual(inOrder(jobs));
  expect(jobs).toHaveLength(200);
});

test("the order holds across entrypoints", async () => {
  const names = Array.from({ length: 60 }, (_, n) => ["a", "b", "c"][n % 3]!);
  const priorities = names.map(() => Math.floor(Math.random() * 3));
  await queue.queries.enqueue(names, names.map(() => null), { priority: priorities });

  const jobs: Job[] = [];
  for (let claim = 0; claim < 6; claim++) {
    jobs.push(...await store.dequeue(10, ["c", "a", "b"], randomUUID()));
  }

  expect(jobs.map(({ id }) => id)).toEqual(inOrder(jobs));
  expect(jobs).toHaveLength(60);
});

test("a deferred job joins the order when it is due", async () => {
  await queue.queries.enqueue("work", [null, null], { priority: [1, 3] });
  await queue.queries.enqueue("work", [null, null, null], {
    priority: [2, 3, 9],
    executeAfter: [50, 50, { hours: 1 }],
  });
  await queue.sql`select pg_sleep(0.1)`;

  const jobs = await store.dequeue(10, ["work"], randomUUID());

  expect(jobs.map(({ priority }) => priority)).toEqual([3, 3, 2, 1]);
  expect(jobs.map(({ id }) => id)).toEqual(inOrder(jobs));
});

test("of more due jobs than one claim takes, it takes the highest priorities", async () => {
  const priorities = Array.from({ length: 40 }, (_, n) => n % 4);
  await queue.queries.enqueue("work", priorities.map(() => null), {
    priority: priorities,
    executeAfter: 20,
  });
  await queue.sql`select pg_sleep(0.1)`;

  const jobs = await store.dequeue(10, ["work"], randomUUID());

  expect(jobs.map(({ priority }) => priority)).toEqual(Array(10).fill(3));
  expect(jobs.map(({ id }) => id)).toEqual(inOrder(jobs));
});

test("a worker that runs one job at a time starts them in order", async () => {
  const priorities = Array.from({ length: 30 }, () => Math.floor(Math.random() * 5));
  await queue.queries.enqueue("work", priorities.map(() => null), { priority: priorities });
  const started: Job[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("work", (job) => void started.push(job));

  const run = pgq.run({ maxConcurrentTasks: 1 });
  await until("all have run", () => started.length === 30);
  await pgq.stop();
  await run;

  expect(started.map(({ id }) => id)).toEqual(inOrder(started));
});

test("a claim passes over rows that another session has locked", async () => {
  const ids = await queue.queries.enqueue("work", Array(5).fill(null)) as number[];

  await queue.sql.begin(async (rival) => {
    await rival`select 1 from ${rival(queue.table)} where id = any(${ids.slice(0, 2)}) for update`;

    const jobs = await store.dequeue(2, ["work"], randomUUID());

    expect(jobs.map(({ id }) => id)).toEqual(ids.slice(2, 4));
  });
});
