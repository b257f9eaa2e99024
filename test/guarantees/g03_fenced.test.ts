/** G3: a worker that lost its lease changes nothing, and its handler's signal aborts. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { fromPostgresJs, type Job, LeaseLostError, resolveSettings } from "../../mod.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import { tracebackOf } from "../../src/traceback.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

let queue: TestQueue;
let store: QueueStore;
let sleeper: WorkerProcess | undefined;
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
});
beforeEach(() => queue.clear());
afterAll(async () => {
  sleeper?.kill("SIGKILL");
  await queue.close();
});

/** A job that `loser` claimed and `winner` took over. */
async function takenOver(): Promise<
  { older: ClaimedJob; newer: ClaimedJob; loser: string; winner: string }
> {
  const [loser, winner] = [randomUUID(), randomUUID()];
  await queue.queries.enqueue("work", null);
  const [job] = await store.dequeue(1, ["work"], loser);
  await queue.sql`update ${queue.sql(queue.table)} set heartbeat = now() - interval '1 minute'`;
  const gate = {
    entrypoint: "work",
    concurrencyLimit: 0,
    requestsPerSecond: Infinity,
    serializedDispatch: false,
    leaseMs: 30_000,
    maxTakeOvers: 5,
  };
  const { claimed } = await store.takeOver(1, [gate], winner, []);
  expect(claimed.map(({ id }) => id)).toEqual([job!.id]);
  return { older: job!, newer: claimed[0]!, loser, winner };
}

const writes: [string, (job: ClaimedJob, id: string) => Promise<number[]>][] = [
  [
    "acknowledge",
    (job, id) => store.acknowledge([job], "successful", id),
  ],
  [
    "hold",
    (job, id) => store.hold([{ job, traceback: tracebackOf(new Error("x"), job) }], id),
  ],
  [
    "acknowledge_failure",
    (job, id) =>
      store.acknowledgeFailure([{ job, traceback: tracebackOf(new Error("x"), job) }], id),
  ],
  ["release", (job, id) => store.release([job], id)],
  ["release_unknown", (_, id) => store.releaseUnknown([], id)],
  [
    "retry",
    (job, id) => store.retry([{ job, delayMs: 0, traceback: null }], id),
  ],
  ["keep_leases", async (_, id) => {
    const text = new Statements(resolveSettings(queue.names)).get("keep_leases");
    return (await queue.sql.unsafe(text, [id])).map((row) => Number(row["id"]));
  }],
  ["heartbeat", async (job, id) => (await store.heartbeat([job.id], id)).map(({ jobId }) => jobId)],
];

test.each(writes)("%s by a worker that lost its lease changes nothing", async (_, write) => {
  const { older, newer, loser, winner } = await takenOver();
  const before = await queue.sql`select * from ${queue.sql(queue.table)}`;
  const logBefore = await queue.log();

  const changed = await write(older, loser);

  expect(changed).toEqual([]);
  expect(await queue.sql`select * from ${queue.sql(queue.table)}`).toEqual(before);
  expect(await queue.log()).toEqual(logBefore);
  // The same write by the worker that holds the lease does change something.
  expect(await write(newer, winner)).toEqual([newer.id]);
});

const outcomes = writes.filter(([name]) =>
  !["release_unknown", "keep_leases", "heartbeat"].includes(name)
);

test.each(outcomes)(
  "%s that comes late, or again, changes nothing once the same worker has claimed the job anew",
  async (_, write) => {
    const me = randomUUID();
    await queue.queries.enqueue("work", null);
    const [older] = await store.dequeue(1, ["work"], me);
    await store.release([older!], me);
    const [newer] = await store.dequeue(1, ["work"], me);
    const before = await queue.sql`select * from ${queue.sql(queue.table)}`;
    const logBefore = await queue.log();

    const changed = await write(older!, me);

    expect(changed).toEqual([]);
    expect(await queue.sql`select * from ${queue.sql(queue.table)}`).toEqual(before);
    expect(await queue.log()).toEqual(logBefore);
    expect(await write(newer!, me)).toEqual([newer!.id]);
  },
);

test("a release of unknown claims that reaches the server late leaves those that came after it", async () => {
  const me = randomUUID();
  const statements = new Statements(resolveSettings(queue.names));
  const sent: (readonly unknown[])[] = [];
  // Notes what is sent, and sends it.
  const noting = new QueueStore({
    async query<Row>(text: string, parameters: readonly (string | number | null)[]) {
      if (text === statements.get("release_unknown")) sent.push(parameters);
      return Array.from(await queue.sql.unsafe(text, [...parameters])) as Row[];
    },
  }, statements);
  await queue.queries.enqueue("work", null);
  const [lost] = await store.dequeue(1, ["work"], me);

  expect(await noting.releaseUnknown([], me)).toEqual([lost!.id]);
  await store.dequeue(1, ["work"], me);
  const again = await queue.sql.unsafe(statements.get("release_unknown"), sent[0] as string[]);

  expect(again.length).toBe(0);
  expect((await queue.rows()).map(({ status }) => status)).toEqual(["picked"]);
});

test("a raise of its priority leaves a running job its lease", async () => {
  const me = randomUUID();
  await queue.queries.enqueue("work", null, { dedupeKey: "one" });
  const [job] = await store.dequeue(1, ["work"], me);

  await queue.queries.enqueue("work", null, {
    dedupeKey: "one",
    priority: 5,
    onConflict: "update_priority",
  });

  expect((await queue.rows())[0]!.priority).toBe(5);
  expect(await store.acknowledge([job!], "successful", me)).toEqual([job!.id]);
});

test("a running handler's signal aborts when the lease is lost, and its outcome is dropped", async () => {
  const pgq = await queue.worker();
  const started = deferred<Job>();
  const aborted = deferred<unknown>();
  pgq.entrypoint("work", async (job, { signal }) => {
    started.resolve(job);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    aborted.resolve(signal.reason);
  });
  const run = pgq.run({ heartbeatTimeout: 600 });
  await queue.queries.enqueue("work", null);
  const job = await started.promise;

  const thief = randomUUID();
  await queue.sql`update ${
    queue.sql(queue.table)
  } set queue_manager_id = ${thief}, heartbeat = now() + interval '1 hour'`;

  expect(await aborted.promise).toBeInstanceOf(LeaseLostError);
  await pgq.stop();
  await run;
  expect(await queue.rows()).toMatchObject([{
    id: job.id,
    status: "picked",
    queue_manager_id: thief,
  }]);
  expect(await queue.history(job.id)).toEqual(["queued", "picked"]);
});

test(
  "a worker that was stopped for longer than its leases last notices when it goes on",
  async () => {
    const { sql, names } = queue;
    await sql`create table ${sql(names.schema)}.runs (job_id bigint, pid int)`;
    const asleep = await startWorkerProcess(queue, { heartbeatTimeoutMs: 1_500, threads: true });
    sleeper = asleep;
    const ids = await queue.queries.enqueue("until_aborted", [null, null, null]);
    await until(
      "the sleeper runs all",
      async () => (await sql`select 1 from ${sql(names.schema)}.runs`).length === ids.length,
    );
    asleep.kill("SIGSTOP");

    const other = await queue.worker();
    const taken: number[] = [];
    const done = deferred();
    other.entrypoint("until_aborted", async (job) => {
      taken.push(job.id);
      await done.promise;
    });
    const run = other.run({ heartbeatTimeout: 1_500 });
    await until("the other worker has taken all over", () => taken.length === ids.length);
    asleep.kill("SIGCONT");

    // Its handlers end only when their signals abort.
    await until(
      "the sleeper has dropped all",
      () => asleep.stderr().match(/dropped the outcome, as the lease was lost/g)?.length === 3,
    );
    expect(await queue.rows()).toMatchObject(ids.map((id) => ({ id, status: "picked" })));
    done.resolve();
    await until("all have ended", async () => (await queue.rows()).length === 0);
    for (const id of ids) {
      expect(await queue.history(id!)).toEqual(["queued", "picked", "picked", "successful"]);
    }
    await other.stop();
    await run;
    sleeper.kill("SIGTERM");
    expect(await sleeper.exited).toBe(0);
  },
  60_000,
);

test("the older attempt aborts when the same worker has claimed the job again", async () => {
  const pgq = await queue.worker();
  const attempts: { job: Job; signal: AbortSignal; end: () => void }[] = [];
  pgq.entrypoint("work", async (job, { signal }) => {
    const { promise, resolve } = deferred();
    attempts.push({ job, signal, end: resolve });
    await promise;
  });
  const run = pgq.run();
  const id = await queue.queries.enqueue("work", null);
  await until("the first attempt runs", () => attempts.length === 1);

  await queue.sql`
    update ${
    queue.sql(queue.table)
  } set status = 'queued', queue_manager_id = null where id = ${id}`;
  // Any job wakes the worker.
  await queue.queries.enqueue("other", null);
  await until("the second attempt runs", () => attempts.length === 2);

  expect(attempts[0]!.signal.reason).toBeInstanceOf(LeaseLostError);
  expect(attempts[1]!.signal.aborted).toBe(false);
  attempts[0]!.end();
  // The older attempt ended first: were it acknowledged, the row would be gone before the newer one ends.
  await queue.sql`select pg_sleep(0.1)`;
  expect(await queue.history(id!)).toEqual(["queued", "picked", "picked"]);
  attempts[1]!.end();
  await pgq.stop();
  await run;
  expect(await queue.history(id!)).toEqual(["queued", "picked", "picked", "successful"]);
});
