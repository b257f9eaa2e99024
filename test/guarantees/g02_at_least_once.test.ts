/** G2: a committed job stays in the table until an attempt is acknowledged, whatever dies. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { bytes, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

const JOBS = 10_000;
const KILLS = 10;

let queue: TestQueue;
const workers: WorkerProcess[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.sql`create table ${queue.sql(queue.names.schema)}.runs (job_id bigint, pid int)`;
});
afterAll(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await queue.close();
});

test("no job is lost when a worker is killed ten times", async () => {
  const options = { heartbeatTimeoutMs: 1_000, maxConcurrentTasks: 20 };
  const survivor = await startWorkerProcess(queue, options);
  workers.push(survivor);
  const ids: number[] = [];
  for (let batch = 0; batch < JOBS / 500; batch++) {
    const payloads = Array.from({ length: 500 }, (_, n) => bytes(String(n % 5)));
    ids.push(...await queue.queries.enqueue("work", payloads) as number[]);
  }

  const done = async (): Promise<number> => {
    const [row] = await queue.sql`
      select count(*)::int as jobs from ${queue.sql(queue.logTable)} where status = 'successful'`;
    return row!["jobs"] as number;
  };
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = await startWorkerProcess(queue, options);
    workers.push(victim);
    // At a random moment, but while it holds jobs: a kill of an idle worker shows nothing.
    const claimed = Math.random() * 40;
    await until("the victim has run some jobs", async () => {
      const [row] = await queue.sql`
        select count(*)::int as runs from ${
        queue.sql(queue.names.schema)
      }.runs where pid = ${victim.pid}`;
      return row!["runs"] > claimed || await done() === JOBS;
    });
    victim.kill("SIGKILL");
    await victim.exited;
  }
  await until("every job is done", async () => await done() === JOBS, 60_000);

  const log = await queue.log();
  const terminal = log.filter((row) => !["queued", "picked"].includes(row.status));
  expect(terminal.every((row) => row.status === "successful")).toBe(true);
  expect(terminal.map((row) => row.job_id).sort((a, b) => a - b)).toEqual(ids);
  expect(await queue.rows()).toEqual([]);

  // A job ran more often than once only if it was claimed more often than once.
  const claims = new Map<number, number>();
  for (const row of log) {
    if (row.status === "picked") claims.set(row.job_id, (claims.get(row.job_id) ?? 0) + 1);
  }
  const runs = await queue.sql`
    select job_id::int, count(*)::int as runs from ${
    queue.sql(queue.names.schema)
  }.runs group by job_id`;
  expect(runs.length).toBe(JOBS);
  expect(runs.filter((row) => row["runs"] > claims.get(row["job_id"])!)).toEqual([]);
  // The kills did hit: some jobs were taken over.
  expect([...claims.values()].some((count) => count > 1)).toBe(true);
}, 150_000);
