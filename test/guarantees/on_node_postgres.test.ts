/**
 * Each promise once for a worker on `pg`, as a second driver could break any of them. Their own tests are on postgres.js; G2
 * and G14 with killed processes and G12 run over both in their own files.
 */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import pg from "pg";
import {
  DuplicateJobError,
  fromNodePostgres,
  getQueue,
  LeaseLostError,
  PgQueuer,
  Queries,
} from "../../mod.ts";
import { poolerOptions } from "../support/drivers.ts";
import { pollingOften } from "../support/pooler.ts";
import { bytes, deferred, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let queue: TestQueue;
let pool: pg.Pool;
let queries: Queries;
const workers: { pgq: PgQueuer; run: Promise<void> }[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  pool = new pg.Pool({ connectionString: queue.dsn, max: 12, connectionTimeoutMillis: 10_000 });
  queries = new Queries(fromNodePostgres(pool, poolerOptions(queue.dsn)), queue.names);
});
beforeEach(() => queue.clear());
afterEach(stopAll);
afterAll(async () => {
  await pool.end();
  await queue.close();
});

/** A worker on the pool. */
function worker(): PgQueuer {
  return pollingOften(
    new PgQueuer(fromNodePostgres(pool, poolerOptions(queue.dsn)), queue.names),
  );
}

function start(pgq: PgQueuer, options: Parameters<PgQueuer["run"]>[0] = {}): void {
  workers.push({ pgq, run: pgq.run(options) });
}

async function stopAll(): Promise<void> {
  for (const { pgq, run } of workers.splice(0)) {
    await pgq.stop();
    await run;
  }
}

const allDone = () => until("the queue is empty", async () => (await queue.rows()).length === 0);

test("G1: a job exists if and only if its transaction commits, and none is seen earlier", async () => {
  const seen: string[] = [];
  const pgq = worker();
  pgq.entrypoint("work", (job) => void seen.push(text(job.payload)));
  start(pgq);
  const client = await pool.connect();

  await client.query("BEGIN");
  await getQueue(client, queue.names).enqueue("work", bytes("rolled back"));
  await client.query("ROLLBACK");
  await client.query("BEGIN");
  await getQueue(client, queue.names).enqueue("work", bytes("committed"));
  // What comes later and commits at once is run meanwhile.
  await queries.enqueue("work", bytes("beside"));
  await until("the other one has run", () => seen.length === 1);
  await client.query("COMMIT");
  client.release();

  await allDone();
  expect(seen).toEqual(["beside", "committed"]);
});

test("G3: who has lost the lease is told and changes nothing", async () => {
  const pgq = worker();
  const started = deferred();
  const reason = deferred<unknown>();
  pgq.entrypoint("work", async (_, { signal }) => {
    started.resolve();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    reason.resolve(signal.reason);
  });
  const id = await queries.enqueue("work", null);
  start(pgq, { heartbeatTimeout: 600 });
  await started.promise;

  const thief = randomUUID();
  await queue.sql`
    update ${queue.sql(queue.table)}
    set queue_manager_id = ${thief}, heartbeat = now() + interval '1 hour'`;

  expect(await reason.promise).toBeInstanceOf(LeaseLostError);
  await stopAll();
  expect(await queue.rows()).toMatchObject([{ id, status: "picked", queue_manager_id: thief }]);
});

test("G4 and G5: limits and rates are exact over two workers", async () => {
  let [running, most] = [0, 0];
  for (let n = 0; n < 2; n++) {
    const pgq = worker();
    pgq.entrypoint("limited", { concurrencyLimit: 2 }, async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
    });
    pgq.entrypoint("rated", { requestsPerSecond: 5 }, () => {});
    start(pgq);
  }
  await queries.enqueue("limited", Array(60).fill(null));
  await queries.enqueue("rated", Array(9).fill(null));

  await allDone();

  expect(most).toBe(2);
  const starts = (await queue.sql`
    select extract(epoch from created)::float8 as at from ${queue.sql(queue.logTable)}
    where entrypoint = 'rated' and status = 'picked' order by created`).map(({ at }) =>
    at as number
  );
  expect(starts).toHaveLength(9);
  for (let first = 0; first < starts.length; first++) {
    for (let last = first; last < starts.length; last++) {
      expect(last - first + 1).toBeLessThanOrEqual(5 * (starts[last]! - starts[first]!) + 5 + 1e-6);
    }
  }
});

test("G6 and G8: by priority, then by age, and what is deferred not before its time", async () => {
  const seen: string[] = [];
  const pgq = worker();
  let early: boolean | undefined;
  pgq.entrypoint("work", async (job) => {
    seen.push(text(job.payload));
    if (text(job.payload) !== "deferred") return;
    const [row] = await queue.sql`select clock_timestamp() < ${job.executeAfter} as early`;
    early = row!["early"];
  });
  await queries.enqueue("work", ["a", "b", "c", "d"].map(bytes), { priority: [0, 5, 5, -5] });
  await queries.enqueue("work", bytes("deferred"), { executeAfter: 400, priority: 9 });

  start(pgq, { maxConcurrentTasks: 1, batchSize: 1 });

  await allDone();
  expect(seen).toEqual(["b", "c", "a", "d", "deferred"]);
  expect(early).toBe(false);
});

test("G7 and G13: a key has one live job, and a batch is inserted whole or not at all", async () => {
  const ids = await Promise.all(
    Array.from({ length: 8 }, () => queries.enqueue("work", null, { dedupeKey: "key" })),
  );
  expect(ids.filter((id) => id !== null)).toHaveLength(1);

  const options = { dedupeKey: ["new", "key"], onConflict: "raise" as const };
  await expect(queries.enqueue("work", [null, null], options)).rejects.toThrow(DuplicateJobError);
  await expect(queries.enqueue("work", [null, "text" as never])).rejects.toThrow(TypeError);
  expect(await queue.rows()).toHaveLength(1);
});

test("G9: the job of a worker that has died runs again", async () => {
  const id = await queries.enqueue("work", null);
  await queue.sql`
    update ${queue.sql(queue.table)}
    set status = 'picked', queue_manager_id = ${crypto.randomUUID()}, heartbeat = now()`;
  const pgq = worker();
  pgq.entrypoint("work", () => {});

  start(pgq, { heartbeatTimeout: 1_000 });

  await allDone();
  expect((await queue.history(id!)).slice(-2)).toEqual(["picked", "successful"]);
});

test("G10: after a stop every claimed job has ended or is back in the queue", async () => {
  const pgq = worker();
  let started = 0;
  pgq.entrypoint("work", async (job, { signal }) => {
    started++;
    if (text(job.payload) === "ends") return;
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  const ids = await queries.enqueue("work", ["stays", "ends", "stays"].map(bytes));
  start(pgq, { shutdownTimeout: 0 });
  await until("all have begun", () => started === 3);

  await stopAll();

  expect(await queue.rows()).toMatchObject([
    { id: ids[0], status: "queued", queue_manager_id: null },
    { id: ids[2], status: "queued", queue_manager_id: null },
  ]);
});

test("G11: of two workers one fires a schedule, once for each due time", async () => {
  const fired: number[] = [];
  for (let n = 0; n < 2; n++) {
    const pgq = worker();
    pgq.schedule("tick", "* * * * * *", ({ due }) => void fired.push(due.getTime()));
    start(pgq);
  }

  await until("it has fired twice", () => fired.length >= 2);
  await stopAll();

  expect(new Set(fired).size).toBe(fired.length);
});
