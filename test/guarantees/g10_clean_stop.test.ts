/** G10: after a stop every claimed job is finished or released; no row stays picked by a stopped worker. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openWorkerDriver, PgQueuer, ShutdownError } from "../../mod.ts";
import { POLLS_ONLY, POOLED_DSN } from "../support/pooler.ts";
import { bytes, deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

let queue: TestQueue;
const workers: WorkerProcess[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.sql`create table ${queue.sql(queue.names.schema)}.runs (job_id bigint, pid int)`;
});
beforeEach(() => queue.clear());
afterAll(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await queue.close();
});

const picked = async (): Promise<number> =>
  (await queue.rows()).filter((row) => row.status === "picked").length;

test("SIGTERM under load leaves no picked job, and none is lost", async () => {
  const ids = await queue.queries.enqueue("work", Array(3_000).fill(bytes("3"))) as number[];
  const worker = await startWorkerProcess(queue, { maxConcurrentTasks: 50 });
  workers.push(worker);
  await until(
    "it is in the middle",
    async () => (await queue.log()).filter((row) => row.status === "successful").length > 300,
  );

  worker.kill("SIGTERM");

  expect(await worker.exited).toBe(0);
  const rows = await queue.rows();
  expect(rows.filter((row) => row.status !== "queued" || row.queue_manager_id !== null)).toEqual(
    [],
  );
  const done = (await queue.log()).filter((row) => row.status === "successful");
  expect(rows.length + done.length).toBe(ids.length);
  expect(rows.length).toBeGreaterThan(0);
});

test("jobs that outlast the shutdown time-out are released uncharged, whether they listen or not", async () => {
  const ids = await queue.queries.enqueue(["until_aborted", "deaf", "until_aborted"], [
    null,
    null,
    null,
  ]);
  const worker = await startWorkerProcess(queue, { shutdownTimeoutMs: 100 });
  workers.push(worker);
  await until(
    "all run",
    async () =>
      (await queue.sql`select 1 from ${
        queue.sql(queue.names.schema)
      }.runs where job_id = any(${ids as number[]})`)
        .length === 3,
  );

  worker.kill("SIGTERM");

  expect(await worker.exited).toBe(0);
  expect(await queue.rows()).toMatchObject(
    ids.map((id) => ({ id, status: "queued", attempts: 0, queue_manager_id: null })),
  );
  for (const id of ids) expect(await queue.history(id!)).toEqual(["queued", "picked", "queued"]);
});

test("a second signal puts all running jobs back uncharged, also those that nothing stops", async () => {
  const names = Array.from({ length: 120 }, (_, i) => i % 2 === 0 ? "deaf" : "until_aborted");
  const ids = await queue.queries.enqueue(names, names.map(() => null)) as number[];
  await queue.sql`update ${queue.sql(queue.table)} set attempts = 3`;
  const worker = await startWorkerProcess(queue, {
    maxConcurrentTasks: 80,
    shutdownTimeoutMs: 3_600_000,
  });
  workers.push(worker);
  const runs = queue.sql`${queue.sql(queue.names.schema)}.runs where job_id = any(${ids})`;
  await until(
    "as many run as may",
    async () => (await queue.sql`select 1 from ${runs}`).length === 80,
  );

  worker.kill("SIGTERM");
  // Two of a kind that wait in the system are one.
  await until("it has begun to stop", () => worker.stderr().includes("stopping"));
  const [clock] = await queue.sql<{ now: Date }[]>`select clock_timestamp() as now`;
  worker.kill("SIGTERM");

  expect(await worker.exited).toBe(0);
  expect(await queue.rows()).toMatchObject(
    ids.map((id) => ({ id, status: "queued", attempts: 3, queue_manager_id: null })),
  );
  const log = (await queue.log()).filter(({ created }) => created > clock!.now);
  expect(log.map(({ status }) => status)).toEqual(log.map(() => "queued"));
  expect(log.length).toBeGreaterThanOrEqual(80);
  // One second, and what a busy machine needs.
  for (const { created } of log) expect(+created - +clock!.now).toBeLessThan(2_500);
});

// Who polls only is woken by nothing.
test.skipIf(POLLS_ONLY)("a released job wakes another worker at once", async () => {
  const id = await queue.queries.enqueue("until_aborted", null);
  const leaving = await startWorkerProcess(queue, {
    shutdownTimeoutMs: 0,
    dequeueTimeoutMs: 600_000,
  });
  workers.push(leaving);
  await until("it runs", async () => await picked() === 1);
  const applicationName = `${queue.names.prefix}staying`;
  const staying = new PgQueuer(await openWorkerDriver(queue.dsn, { applicationName }), queue.names);
  const started = deferred();
  staying.entrypoint("until_aborted", () => started.resolve());
  const run = staying.run({ dequeueTimeout: { minutes: 10 } });
  await until("it has looked ahead and sleeps", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity
      where application_name = ${applicationName} and state = 'idle' and query like '%fn_pgqueuer_look_ahead%'`)
      .length > 0);

  leaving.kill("SIGTERM");

  await started.promise;
  await leaving.exited;
  await staying.stop();
  await run;
  expect(await queue.history(id!)).toEqual(["queued", "picked", "queued", "picked", "successful"]);
});

test("stop() waits for running handlers and claims no further job", async () => {
  const started = deferred();
  const finish = deferred();
  const pgq = await queue.worker();
  const aborted: boolean[] = [];
  pgq.entrypoint("work", async (_, { signal }) => {
    started.resolve();
    await finish.promise;
    aborted.push(signal.aborted);
  });
  const run = pgq.run({ maxConcurrentTasks: 1 });
  await queue.queries.enqueue("work", [null, null]);
  await started.promise;

  const stopped = pgq.stop();
  // Time enough for an impatient shutdown to abort it.
  await queue.sql`select pg_sleep(0.1)`;
  finish.resolve();
  await stopped;
  await run;
  expect(aborted).toEqual([false]);

  const statuses = (await queue.log()).map((row) => row.status);
  expect(statuses.filter((status) => status === "successful")).toHaveLength(1);
  expect(await queue.rows()).toMatchObject([{ status: "queued" }]);
});

test("stop() with a time-out of 0 aborts at once, and the reason says why", async () => {
  const reason = deferred<unknown>();
  const pgq = await queue.worker();
  pgq.entrypoint(
    "work",
    (_, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => {
          reason.resolve(signal.reason);
          reject(signal.reason);
        })
      ),
  );
  const run = pgq.run({ shutdownTimeout: { hours: 1 } });
  await queue.queries.enqueue("work", null);
  await until("it runs", async () => await picked() === 1);

  await pgq.stop({ timeout: 0 });
  await run;

  expect(await reason.promise).toBeInstanceOf(ShutdownError);
  expect(await queue.rows()).toMatchObject([{ status: "queued", attempts: 0 }]);
});

test("an aborted signal and `await using` stop a worker too", async () => {
  const controller = new AbortController();
  const bySignal = await queue.worker();
  bySignal.entrypoint("work", () => {});
  const run = bySignal.run({ signal: controller.signal });
  controller.abort();
  await run;

  const disposed = await queue.worker();
  disposed.entrypoint("work", () => {});
  const second = disposed.run();
  await disposed[Symbol.asyncDispose]();
  await second;

  const never = await queue.worker();
  await never[Symbol.asyncDispose]();

  const connections = await queue.sql`
    select 1 from pg_stat_activity where application_name = 'pgqueuer' and query like ${`%${queue.names.prefix}%`}`;
  // A pooler keeps those that it has.
  if (POOLED_DSN === undefined) expect(connections).toHaveLength(0);
});

test("a run that has been stopped before it began ends at once", async () => {
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {});
  await queue.queries.enqueue("work", null);

  await pgq.stop();
  await pgq.run();

  expect(await queue.rows()).toMatchObject([{ status: "queued" }]);
});
