/** Which jobs a claim gives when it does not read from the front, and when more are due than it sorts. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import { ANY_AGE_MS } from "../../src/queries/ages.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import type { Claimer, ClaimerParts } from "../../src/worker/claimer.ts";
import { claim, claimerOf } from "../support/claimer.ts";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
let store: QueueStore;
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
});
afterEach(() => void vi.restoreAllMocks());
afterEach(() => queue.clear());
afterAll(() => queue?.close());

const claimer = (names: readonly string[], parts: Partial<ClaimerParts> = {}): Claimer =>
  claimerOf(store, names, parts);

test("behind the cursor a claim still sees every new priority, above, between and below", async () => {
  await queue.queries.enqueue("work", Array(40).fill(null), { priority: 10 });
  await queue.queries.enqueue("work", Array(40).fill(null), { priority: 20 });
  const worker = claimer(["work", "other"]);
  expect((await claim(worker, 50)).map((job) => job.priority)).toEqual([
    ...Array(40).fill(20),
    ...Array(10).fill(10),
  ]);

  const priorities = [2 ** 31 - 1, 30, 15, 5, -(2 ** 31)];
  await queue.queries.enqueue("work", priorities.map(() => null), { priority: priorities });
  await queue.queries.enqueue("other", null, { priority: 12 });

  const jobs = await claim(worker, 8);
  expect(jobs.map((job) => job.priority)).toEqual([2 ** 31 - 1, 30, 15, 12, 10, 10, 10, 10]);
  const rest = await claim(worker, 100);
  expect(rest.map((job) => job.priority)).toEqual([...Array(26).fill(10), 5, -(2 ** 31)]);
});

test("a large claim gives the first jobs in their order and each once", async () => {
  const priorities = Array.from({ length: 1_500 }, (_, n) => n % 3);
  const ids = await queue.queries.enqueue("work", priorities.map(() => null), {
    priority: priorities,
  });
  const byPriority = [2, 1, 0].flatMap((level) => ids.filter((_, n) => priorities[n] === level));

  const jobs = await claim(claimer(["work"]), 1_000);

  expect(jobs.map((job) => job.id)).toEqual(byPriority.slice(0, 1_000));
});

test("a job with a low id that is committed late is found before the worker waits", async () => {
  const worker = claimer(["work"]);
  let late = 0;
  await queue.sql.begin(async (rival) => {
    const [row] = await rival<{ id: string }[]>`
      insert into ${
      rival(queue.table)
    } (status, entrypoint, priority) values ('queued', 'work', 0) returning id`;
    late = Number(row!.id);
    await queue.queries.enqueue("work", Array(20).fill(null));
    expect((await claim(worker, 10)).length).toBe(10);
  });

  const jobs = await claim(worker, 100);

  expect(jobs.length).toBe(11);
  expect(jobs.map((job) => job.id)).toContain(late);
});

test("a job that is put back before the cursor is found before the worker waits", async () => {
  await queue.queries.enqueue("work", Array(20).fill(null));
  const worker = claimer(["work"]);
  const [first] = await claim(worker, 10);
  await store.release([first!], first!.queueManagerId!);

  const jobs = await claim(worker, 100);

  expect(jobs.map((job) => job.id)).toContain(first!.id);
});

test("a due job that is put back is found before the worker waits", async () => {
  await queue.queries.enqueue("work", [null, null], { executeAfter: 60_000 });
  await queue.sql`
    update ${queue.sql(queue.table)}
    set created = now() - interval '1 hour', execute_after = now() - interval '10 minutes'`;
  const worker = claimer(["work"]);
  const [first] = await claim(worker, 10);
  await worker.lookAhead(null);
  await store.release([first!], first!.queueManagerId!);

  expect((await claim(worker, 10)).map(({ id }) => id)).toEqual([first!.id]);
});

test("where looks at everything take long, due jobs are read from the first one on that there is", async () => {
  const asked: number[] = [];
  let ahead = 0;
  const clock = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => clock() + ahead);
  const worker = claimer(["work"], {
    queue: {
      dequeue(...args: Parameters<QueueStore["dequeue"]>) {
        asked.push(args[4]!);
        return store.dequeue(...args);
      },
      lookAhead(...args: Parameters<QueueStore["lookAhead"]>) {
        if (args[3]!.dueMs === ANY_AGE_MS) ahead += 20;
        return store.lookAhead(...args);
      },
    } as unknown as QueueStore,
  });
  await queue.queries.enqueue("work", null, { executeAfter: 60_000 });
  await queue.sql`
    update ${queue.sql(queue.table)}
    set created = now() - interval '1 hour', execute_after = now() - interval '10 minutes'`;
  for (let n = 0; n < 2; n++) await worker.lookAhead(null);
  const [job] = await claim(worker, 1);
  await worker.lookAhead(null);
  await claim(worker, 1);

  expect(job).toBeDefined();
  expect(asked[0]).toBeGreaterThan(600_000);
  expect(asked[0]).toBeLessThan(660_000);
  expect(asked.at(-1)).toBeLessThan(60_000);
});

test("several busy entrypoints share a claim by priority and id, and no more rows are locked than claimed", async () => {
  const names = Array.from({ length: 60 }, (_, n) => ["a", "b", "c"][n % 3]!);
  await queue.queries.enqueue(names, names.map(() => null), {
    priority: names.map((_, n) => n % 2),
  });

  const [one, other] = [claimer(["a", "b", "c"]), claimer(["a", "b", "c"])];
  await queue.sql.begin(async (rival) => {
    const theirs = new QueueStore(
      { query: (text, parameters) => rival.unsafe(text, [...parameters]) as never },
      new Statements(resolveSettings(queue.names)),
    );
    const first = await theirs.dequeue(15, ["a", "b", "c"], randomUUID());
    // Still open: the rest is free for others.
    const rest = [...await claim(one, 30), ...await claim(other, 30)];

    expect(first.length).toBe(15);
    expect(first.map((job) => job.priority)).toEqual(Array(15).fill(1));
    expect(first.map((job) => job.id)).toEqual(first.map((job) => job.id).sort((x, y) => x - y));
    expect(rest.length).toBe(45);
  });
});

test("of more due jobs than one claim sorts the highest priorities come first, and none is left", async () => {
  const priorities = Array.from({ length: 3_000 }, (_, n) => n % 100);
  await queue.queries.enqueue("work", priorities.map(() => null), {
    priority: priorities,
    executeAfter: 60_000,
  });
  // The higher the priority the shorter they are due.
  await queue.sql`
    update ${queue.sql(queue.table)}
    set created = now() - interval '1 day', execute_after = now() - interval '1 hour' - (100 - priority) * interval '1 minute'`;
  const worker = claimer(["work"]);

  const first = await claim(worker, 60);
  expect(first.map((job) => job.priority)).toEqual([...Array(30).fill(99), ...Array(30).fill(98)]);
  let count = first.length;
  while (true) {
    const jobs = await claim(worker, 500);
    if (jobs.length === 0) break;
    count += jobs.length;
  }
  expect(count).toBe(3_000);
});

test("due jobs behind more priorities than a claim looks at do not wait for ever", async () => {
  const priorities = Array.from({ length: 200 }, (_, n) => n + 1);
  await queue.queries.enqueue("work", priorities.map(() => null), {
    priority: priorities,
    executeAfter: { days: 1 },
  });
  await queue.queries.enqueue("work", Array(1_500).fill(null), { executeAfter: 60_000 });
  await queue.sql`
    update ${queue.sql(queue.table)}
    set created = created - interval '1 hour', execute_after = now() - interval '1 minute' where priority = 0`;

  const jobs = await claim(claimer(["work"]), 1_000);

  expect(jobs.length).toBe(1_000);
});

test("the next claim of an idle worker waits for no look at leases before one can have run out", async () => {
  let looks = 0;
  let ahead = 0;
  const clock = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => clock() + ahead);
  const worker = claimer(["work"], {
    queue: {
      lookAhead: store.lookAhead.bind(store),
      takeOver(...args: Parameters<QueueStore["takeOver"]>) {
        looks++;
        return store.takeOver(...args);
      },
    } as unknown as QueueStore,
  });
  const looksAfter = async (ms: number): Promise<number> => {
    ahead += ms;
    await worker.takeOver(1, () => []);
    return looks;
  };
  expect(await looksAfter(0)).toBe(1);

  // Nothing is leased: what is claimed from now on lasts for 30 s.
  await worker.lookAhead(null);
  expect(await looksAfter(28_000)).toBe(1);
  expect(await looksAfter(2_000)).toBe(2);

  // A lease has five seconds left.
  await queue.queries.enqueue("work", null);
  await claim(claimer(["work"]), 1);
  await queue.sql`update ${queue.sql(queue.table)} set heartbeat = now() - interval '25 seconds'`;
  await worker.lookAhead(null);
  expect(await looksAfter(3_000)).toBe(2);
  expect(await looksAfter(2_000)).toBe(3);
});

test("where every statement takes long, as to a server far away, no look is made beside the claims for ever", async () => {
  let ahead = 0;
  const clock = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => clock() + ahead);
  let beside = 0;
  const worker = claimer(["work"], {
    deliver: () => Promise.resolve(void beside++),
    queue: {
      lookAhead: store.lookAhead.bind(store),
      async dequeue(...args: Parameters<QueueStore["dequeue"]>) {
        await new Promise((resolve) => setTimeout(resolve, 60));
        return await store.dequeue(...args);
      },
    } as unknown as QueueStore,
  });
  await queue.queries.enqueue("work", Array(300).fill(null));
  const looks: number[] = [];
  for (let n = 0; n < 40; n++) {
    if (n < 20) await worker.lookAhead(null);
    // Long enough for each look to be due again.
    ahead += 6_000;
    await worker.claim({ limit: 4, startable: 4 });
    await worker.settled();
    looks.push(beside);
  }

  expect(looks[19]).toBeGreaterThan(0);
  // Not one each time. A busy machine may hold some of them up.
  expect(looks[39]! - looks[19]!).toBeLessThan(10);
});
