import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import type { Gate } from "../../src/queries/gate.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import { tracebackOf } from "../../src/traceback.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
let store: QueueStore;
const me = randomUUID();
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

/** What may become of an attempt, other than the end of its job. */
const returns: [string, (job: ClaimedJob) => Promise<number[]>][] = [
  ["retry", (job) => {
    const traceback = tracebackOf(new Error("no"), job);
    return store.retry([{ job, delayMs: 0, traceback }], me);
  }],
  ["hold", (job) => {
    const traceback = tracebackOf(new Error("no"), job);
    return store.hold([{ job, traceback }], me);
  }],
  ["release", (job) => store.release([job], me)],
  ["release_unknown", () => store.releaseUnknown([], me)],
];

/** A job that we run. */
async function running(): Promise<ClaimedJob> {
  await queue.queries.enqueue("work", null, { dedupeKey: "one" });
  const [job] = await store.dequeue(1, ["work"], me);
  return job!;
}

/** A statement of ours waits for the lock of a row. */
async function untilOneWaits(): Promise<void> {
  await until("it waits", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity
      where wait_event_type = 'Lock' and query like ${`%${queue.names.prefix}fn_pgqueuer_%`}`)
      .length > 0);
}

test.each(returns)("%s ends a job that was canceled while it ran", async (name, settle) => {
  const job = await running();
  await queue.queries.cancel([job.id]);

  const settled = await settle(job);

  expect(settled).toEqual([job.id]);
  expect(await queue.rows()).toEqual([]);
  expect(await queue.history(job.id)).toEqual(["queued", "picked", "canceled"]);
  // Why it failed is not lost.
  const failed = name === "retry" || name === "hold";
  expect((await queue.log()).at(-1)!.traceback === null).toBe(!failed);
});

test.each(returns)("%s sees a cancel that it had to wait for", async (_, settle) => {
  const job = await running();
  const marked = deferred();
  const commit = deferred();
  const cancel = queue.sql.begin(async (tx) => {
    await tx`update ${tx(queue.table)} set cancel_requested = true`;
    marked.resolve();
    await commit.promise;
  });
  await marked.promise;

  const settled = settle(job);
  await untilOneWaits();
  commit.resolve();
  await cancel;

  expect(await settled).toEqual([job.id]);
  expect(await queue.history(job.id)).toEqual(["queued", "picked", "canceled"]);
});

test.each(["acknowledge", "acknowledgeFailure", ...returns.map(([name]) => name)])(
  "%s does not lose a job to a heartbeat that it had to wait for",
  async (name) => {
    const job = await running();
    const renewed = deferred();
    const commit = deferred();
    const heartbeat = queue.sql.begin(async (tx) => {
      await tx`update ${tx(queue.table)} set heartbeat = clock_timestamp()`;
      renewed.resolve();
      await commit.promise;
    });
    await renewed.promise;

    const settle = returns.find(([known]) => known === name)?.[1] ??
      ((job) =>
        name === "acknowledge"
          ? store.acknowledge([job], "successful", me)
          : store.acknowledgeFailure([{ job, traceback: null }], me));
    const settled = settle(job);
    await untilOneWaits();
    commit.resolve();
    await heartbeat;

    expect(await settled).toEqual([job.id]);
    expect((await queue.rows()).filter(({ status }) => status === "picked")).toEqual([]);
  },
);

test("a job that somebody queues again is no longer to be stopped", async () => {
  const job = await running();
  await queue.queries.cancel([job.id]);
  // As a Python worker holds it, which knows nothing of the wish.
  await queue.sql`
    update ${queue.sql(queue.table)} set status = 'failed', queue_manager_id = null`;

  await queue.queries.requeue([job.id]);
  await store.dequeue(1, ["work"], me);

  expect(await store.heartbeat([job.id], me)).toEqual([{ jobId: job.id, canceled: false }]);
});

function gate(entrypoint: string, limits: Partial<Gate> = {}): Gate {
  return {
    entrypoint,
    concurrencyLimit: 0,
    requestsPerSecond: Infinity,
    serializedDispatch: false,
    leaseMs: 0,
    maxTakeOvers: 5,
    ...limits,
  };
}

/** Waits until each deferred job below a minute is due. */
async function allDue(): Promise<void> {
  await until("all are due", async () => {
    const waiting = await queue.sql`
      select 1 from ${queue.sql(queue.table)}
      where execute_after > now() and execute_after < now() + interval '1 minute'`;
    return waiting.length === 0;
  });
}

test("a worker whose group is busy waits for its end, not for jobs of the group that are due", async () => {
  const serialized = gate("work", { serializedDispatch: true });
  await queue.queries.enqueue("work", [null, null, null], {
    executeAfter: [0, 1, { hours: 1 }],
    dedupeKey: [null, null, "keyed"],
  });
  await store.claimLimited(1, 1, [serialized], me);
  await allDue();

  const outlook = await store.lookAhead([serialized], null);

  expect(outlook).toMatchObject({ ready: false, blocked: true });
  expect(outlook.dueMs).toBeGreaterThan(3_000_000);
});

test("due jobs of an entrypoint that is nearly full do not hide those of another", async () => {
  const due = await queue.queries.enqueue(["full", "full", "full", "other"], Array(4).fill(null), {
    priority: [9, 9, 9, 5],
    executeAfter: 1,
  });
  await queue.queries.enqueue("other", [null, null, null]);
  await allDue();

  const jobs = await store.claimLimited(
    3,
    3,
    [gate("full", { concurrencyLimit: 1 }), gate("other")],
    me,
  );

  expect(jobs.map(({ id }) => id)).toEqual([due[0], due[3], due[3]! + 1]);
});

test("due jobs of a serialized entrypoint that wait for each other do not hide those with a key", async () => {
  const [first, , , keyed] = await queue.queries.enqueue("work", Array(4).fill(null), {
    priority: [9, 9, 9, 5],
    executeAfter: 1,
    dedupeKey: [null, null, null, "keyed"],
  });
  await allDue();

  const jobs = await store.claimLimited(3, 3, [gate("work", { serializedDispatch: true })], me);

  expect(jobs.map(({ id }) => id)).toEqual([first, keyed]);
});

test.each([
  ["evenly", [1, 1, 1, 1, 1, 1, 1, 1]],
  ["most of them of one", [1, 1, 40, 1, 1, 1, 1, 1]],
  ["most of them of two", [30, 1, 1, 1, 1, 1, 30, 1]],
  ["of one alone", [0, 0, 0, 0, 0, 1, 0, 0]],
])(
  "claims give the first jobs of all entrypoints, however they are spread: %s",
  async (_, weights) => {
    const names = weights.map((_, index) => `work${index}`);
    const drawn = weights.flatMap((weight, index) => Array<string>(weight).fill(names[index]!));
    // By a fixed rule, as a draw that fails must fail again.
    const jobs = Array.from({ length: 1_000 }, (_, n) => ({
      entrypoint: drawn[(n * 7_919 + (n >> 3)) % drawn.length]!,
      priority: (n * 31) % 3,
    }));
    const ids = await queue.queries.enqueue(
      jobs.map((job) => job.entrypoint),
      jobs.map(() => null),
      {
        priority: jobs.map((job) => job.priority),
      },
    );
    const inOrder = jobs.map(({ priority }, index) => ({ priority, id: ids[index] as number }))
      .sort((one, other) => other.priority - one.priority || one.id - other.id).map(({ id }) => id);
    const gates = names.map((name, index) =>
      gate(name, index % 2 === 0 ? { concurrencyLimit: 900 } : {})
    );

    const first = await store.dequeue(200, names, me);
    const second = await store.claimLimited(300, 300, gates, me);

    expect(first.map(({ id }) => id)).toEqual(inOrder.slice(0, 200));
    expect(second.map(({ id }) => id)).toEqual(inOrder.slice(200, 500));
  },
);

test("jobs with limits that may not start take the place of none without limits", async () => {
  const ids = await queue.queries.enqueue(["free", "one", "two", "free"], Array(4).fill(null));
  const gates = [
    gate("free"),
    gate("one", { concurrencyLimit: 3 }),
    gate("two", { concurrencyLimit: 3 }),
  ];

  const jobs = await store.claimLimited(3, 1, gates, me);

  expect(jobs.map(({ id }) => id)).toEqual([ids[0], ids[1], ids[3]]);
});
