/** What handlers share: the same for all of them, and alive until the last has ended. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openWorkerDriver, PgQueuer, runWorker } from "../../mod.ts";
import { deferred, openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

test("jobs and schedules get the very object that the worker was given", async () => {
  const resources = { seen: [] as string[] };
  const pgq = new PgQueuer(await openWorkerDriver(queue.dsn), { ...queue.names, resources });
  const given = new Set<unknown>([pgq.resources]);
  const fired = deferred();
  pgq.entrypoint("work", (job, { resources, signal, log }) => {
    given.add(resources);
    resources.seen.push(`job ${job.id}`);
    log.info(`${signal.aborted}`);
  });
  pgq.schedule("tick", "* * * * * *", (_, { resources }) => {
    given.add(resources);
    fired.resolve();
  });
  const ids = await queue.queries.enqueue("work", [null, null]);

  const run = pgq.run();
  await fired.promise;
  await pgq.stop();
  await run;

  expect([...given]).toEqual([resources]);
  expect([...given][0]).toBe(resources);
  expect(resources.seen).toEqual(ids.map((id) => `job ${id}`));
});

test("without resources handlers get undefined", async () => {
  const pgq = await queue.worker();
  const given: unknown[] = [];
  pgq.entrypoint("work", (_, { resources }) => void given.push(resources));
  await queue.queries.enqueue("work", null);

  await pgq.run({ mode: "drain" });

  expect(given).toEqual([undefined]);
});

test("a factory that is a generator closes them after the last handler, also where it fails itself", async () => {
  const stop = new AbortController();
  const happened: string[] = [];
  const started = deferred();
  const finish = deferred();
  let made = 0;
  async function* factory(): AsyncGenerator<PgQueuer> {
    const number = ++made;
    const resources = { note: (text: string) => happened.push(`${number} ${text}`) };
    resources.note("opened");
    try {
      if (number === 1) throw new Error("no database");
      const driver = await openWorkerDriver(queue.dsn);
      const pgq = new PgQueuer(driver, { ...queue.names, resources });
      pgq.entrypoint("work", async (_, { resources }) => {
        started.resolve();
        await finish.promise;
        resources.note("used");
      });
      yield pgq;
    } finally {
      resources.note("closed");
    }
  }
  await queue.queries.enqueue("work", null);
  const run = runWorker(factory, { signal: stop.signal, restartOnFailure: true, restartDelay: 1 });
  await started.promise;

  stop.abort();
  // Time enough for an impatient clean-up to close it.
  await queue.sql`select pg_sleep(0.1)`;
  finish.resolve();
  await run;

  expect(happened).toEqual(["1 opened", "1 closed", "2 opened", "2 used", "2 closed"]);
  expect(await queue.rows()).toEqual([]);
});
