/** G4: at no instant are more than `concurrencyLimit` jobs of an entrypoint picked, whoever claims at the same time. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import postgres from "postgres";
import { fromPostgresJs, openWorkerDriver, PgQueuer, Queries } from "../../mod.ts";
import { RUNTIME } from "../clients/clients.ts";
import { POLLS_ONLY, POOLED_DSN } from "../support/pooler.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

const LIMIT = 20;
/** Whole once: what could pass the limit is in the database, and each claim of many more is the same. */
const JOBS = RUNTIME === "node" && POOLED_DSN === undefined ? 20_000 : 5_000;

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

/** Looks at the table every few milliseconds over a connection of its own. */
function sample(
  entrypoint: string,
): { stop(): Promise<{ most: number; looks: number; seats: number }> } {
  const sql = postgres(queue.dsn, { max: 1, onnotice: () => {} });
  let stopped = false;
  let most = 0;
  let seats = 0;
  let looks = 0;
  const loop = (async () => {
    while (!stopped) {
      const [row] = await sql`
        select count(*)::int as picked, coalesce(max(slot), 0)::int + 1 as seats from ${
        sql(queue.table)
      }
        where entrypoint = ${entrypoint} and status = 'picked'`;
      most = Math.max(most, row!["picked"]);
      seats = Math.max(seats, row!["seats"]);
      looks++;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  return {
    async stop() {
      stopped = true;
      await loop;
      await sql.end();
      return { most, looks, seats };
    },
  };
}

const done = async (): Promise<number> => {
  const [row] = await queue.sql`
    select count(*)::int as jobs from ${queue.sql(queue.logTable)} where status = 'successful'`;
  return row!["jobs"] as number;
};

test("four worker processes never hold more than the limit, and use all of it", async () => {
  for (let batch = 0; batch < JOBS / 1_000; batch++) {
    await queue.queries.enqueue("limited", Array(1_000).fill(null));
  }
  const sampler = sample("limited");
  for (let n = 0; n < 4; n++) {
    workers.push(
      await startWorkerProcess(queue, { concurrencyLimit: LIMIT, heartbeatTimeoutMs: 2_000 }),
    );
  }
  // One dies holding seats, in the middle of it: they come back.
  await until("they work", async () => await done() > 500);
  workers[0]!.kill("SIGKILL");

  await until("all are done", async () => await done() === JOBS, 120_000);

  const { most, looks, seats } = await sampler.stop();
  expect(most).toBe(LIMIT);
  expect(seats).toBe(LIMIT);
  expect(looks).toBeGreaterThan(50);
  expect(await queue.rows()).toEqual([]);
  for (const worker of workers) worker.kill("SIGKILL");
}, 150_000);

test("a rival that keeps its claim open holds up neither the limit nor other entrypoints", async () => {
  const locked = deferred();
  const finish = deferred();
  await queue.queries.enqueue(["limited", "free"], [null, null]);
  const pgq = await queue.worker();
  const started: string[] = [];
  pgq.entrypoint("limited", { concurrencyLimit: 1 }, () => void started.push("limited"));
  pgq.entrypoint("free", () => void started.push("free"));
  await queue.sql`
    insert into ${
    queue.sql(`${queue.table}_limits`)
  } (entrypoint, tokens, refilled) values ('limited', 1, now())
    on conflict do nothing`;
  const rival = queue.sql.begin(async (tx) => {
    await tx`select 1 from ${tx(`${queue.table}_limits`)} where entrypoint = 'limited' for update`;
    locked.resolve();
    await finish.promise;
  });
  await locked.promise;

  const run = pgq.run();
  await until("the other entrypoint runs", () => started.includes("free"));
  expect(started).toEqual(["free"]);
  finish.resolve();
  await rival;
  await until("the limited one runs", () => started.includes("limited"));

  await pgq.stop();
  await run;
});

test.skipIf(POLLS_ONLY)(
  "an idle worker sleeps while a limit is full, and wakes when a seat frees",
  async () => {
    const finish = deferred();
    const running: number[] = [];
    const holder = await queue.worker();
    holder.entrypoint("limited", { concurrencyLimit: 1 }, async (job) => {
      running.push(job.id);
      await finish.promise;
    });
    const held = holder.run({ dequeueTimeout: { minutes: 10 } });
    const [first, second] = await queue.queries.enqueue("limited", [null, null]);
    await until("the first runs", () => running.length === 1);
    const waiter = await queue.worker();
    const taken: number[] = [];
    waiter.entrypoint("limited", { concurrencyLimit: 1 }, (job) => void taken.push(job.id));
    const waiting = waiter.run({ dequeueTimeout: { minutes: 10 } });
    const calls = async (): Promise<number> => {
      await queue.sql`select pg_stat_force_next_flush()`.catch(() => {});
      const [row] = await queue.sql`
      select seq_scan + idx_scan as scans from pg_stat_user_tables
      where relname = ${`${queue.names.prefix}pgqueuer`} and schemaname = ${queue.names.schema}`;
      return Number(row!["scans"]);
    };
    // Settled when two looks half a second apart see the same.
    const before = await until("both sleep", async () => {
      const scans = await calls();
      await queue.sql`select pg_sleep(0.6)`;
      return await calls() === scans ? scans : 0;
    });
    await queue.sql`select pg_sleep(1)`;
    expect(await calls()).toBe(before);

    finish.resolve();
    await until("the second has run", () => taken.includes(second!) || running.includes(second!));
    expect(running[0]).toBe(first);
    await Promise.all([holder.stop(), waiter.stop()]);
    await Promise.all([held, waiting]);
  },
);

test("limited entrypoints go on after a crash that emptied the table of limits", async () => {
  const applicationName = `${queue.names.prefix}limits`;
  const driver = await openWorkerDriver(queue.dsn, { applicationName, statementTimeout: 2_000 });
  const pgq = new PgQueuer(driver, queue.names);
  const ran: number[] = [];
  pgq.entrypoint("limited", { concurrencyLimit: 2 }, (job) => void ran.push(job.id));
  const run = pgq.run({ dequeueTimeout: 200 });
  const first = await queue.queries.enqueue("limited", null);
  await until("it works", () => ran.includes(first!));

  await queue.sql`truncate ${queue.sql(`${queue.table}_limits`)}`;
  await queue.sql`
    select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${applicationName}`;
  // Past a pooler, which may have lent a session that was just killed to the other producer.
  const direct = new Queries(fromPostgresJs(queue.sql), queue.names);
  const second = await direct.enqueue("limited", null);

  await until("it works again", () => ran.includes(second!));
  await pgq.stop();
  await run;
});
