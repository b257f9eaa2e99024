/** What a worker does that was asleep for longer than its leases last. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type Driver,
  type Job,
  type JobContext,
  LeaseLostError,
  openWorkerDriver,
  PgQueuer,
  resolveSettings,
} from "../../mod.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import { type StatementName, Statements } from "../../src/sql/render.ts";
import { silentLogger } from "../../src/logger.ts";
import { Attempt } from "../../src/worker/attempt.ts";
import { Heartbeat } from "../../src/worker/heartbeat.ts";
import { momentNow } from "../../src/worker/moment.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

const HOUR_MS = 3_600_000;

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterEach(() => void vi.restoreAllMocks());
afterAll(() => queue.close());

/** The clock on the wall goes on, the monotonic one does not: a laptop whose lid was closed for an hour. */
function sleepAnHour(): void {
  const awake = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => awake() + HOUR_MS);
}

/** Another worker takes over the picked jobs of an entrypoint. Gives its id. */
async function takeOver(entrypoint: string): Promise<string> {
  const thief = randomUUID();
  await queue.sql`
    update ${queue.sql(queue.table)} set queue_manager_id = ${thief}
    where status = 'picked' and entrypoint = ${entrypoint}`;
  return thief;
}

/** A worker whose statements are noted, and that calls `after` after each that gave rows. */
async function watchedWorker(
  watched: readonly StatementName[],
  after: (name: StatementName) => Promise<void> = () => Promise.resolve(),
): Promise<{ pgq: PgQueuer; steps: string[]; warnings: string[] }> {
  const statements = new Statements(resolveSettings(queue.names));
  const steps: string[] = [];
  const warnings: string[] = [];
  const driver = await openWorkerDriver(queue.dsn);
  const watching: Driver = {
    async query<Row>(text: string, parameters: Parameters<Driver["query"]>[1]): Promise<Row[]> {
      const name = watched.find((name) => statements.get(name) === text);
      if (name !== undefined) steps.push(name);
      const rows = await driver.query<Row>(text, parameters);
      if (name !== undefined && rows.length > 0) await after(name);
      return rows;
    },
    listen: (channel, listener) => driver.listen(channel, listener),
    script: (text) => driver.script(text),
    close: () => driver.close(),
  };
  const ignore = (): void => {};
  const logger = {
    debug: ignore,
    info: ignore,
    warn: (line: string) => void warnings.push(line),
    error: ignore,
  };
  return { pgq: new PgQueuer(watching, { ...queue.names, logger }), steps, warnings };
}

test("a worker that was asleep learns what it lost before it claims", async () => {
  const { pgq, steps } = await watchedWorker(["heartbeat", "dequeue", "take_over"]);
  const signals: AbortSignal[] = [];
  const untilAborted = async (_: Job, { signal }: JobContext): Promise<void> => {
    signals.push(signal);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    steps.push("aborted");
  };
  pgq.entrypoint("kept", untilAborted);
  pgq.entrypoint("lost", untilAborted);
  pgq.entrypoint("next", () => void steps.push("next"));
  const run = pgq.run();
  const kept = await queue.queries.enqueue("kept", null);
  await until("the first runs", () => signals.length === 1);
  const lost = await queue.queries.enqueue("lost", null);
  await until("both run", () => signals.length === 2);
  const thief = await takeOver("lost");
  steps.length = 0;

  sleepAnHour();
  await queue.queries.enqueue("next", null);
  await until("it has claimed", () => steps.includes("next"));
  await queue.queries.enqueue("next", null);
  await until("it has claimed again", () => steps.lastIndexOf("next") > steps.indexOf("next"));

  // A claim that was on its way is confirmed by itself. It is the next one that must know.
  const before = steps.slice(0, steps.findIndex((step) => /dequeue|take_over/.test(step)));
  expect(before.filter((step) => step !== "next").slice(-2)).toEqual(["heartbeat", "aborted"]);
  expect(signals[0]!.aborted).toBe(false);
  expect(signals[1]!.reason).toBeInstanceOf(LeaseLostError);
  vi.restoreAllMocks();
  await pgq.stop({ timeout: 0 });
  await run;
  expect(await queue.rows()).toMatchObject([{ id: lost, queue_manager_id: thief }]);
  expect(await queue.history(lost!)).toEqual(["queued", "picked"]);
  expect(await queue.history(kept!)).toEqual(["queued", "picked", "successful"]);
});

test("a worker that was asleep does not start what it claimed before and has lost", async () => {
  const { pgq, warnings } = await watchedWorker(["dequeue"], async () => {
    // The claim has been made, and its answer arrives after the sleep.
    if (warnings.length > 0) return;
    await takeOver("lost");
    sleepAnHour();
  });
  const handler = vi.fn();
  pgq.entrypoint("lost", handler);
  const run = pgq.run();

  const lost = await queue.queries.enqueue("lost", null);

  await until("it has noticed", () => warnings.length > 0);
  vi.restoreAllMocks();
  expect(warnings).toEqual([`Lost jobs before they could start: ${lost}`]);
  // The next one runs.
  const next = await queue.queries.enqueue("lost", null);
  await until(
    "the next job has ended",
    async () => (await queue.history(next!)).includes("successful"),
  );
  expect(handler).toHaveBeenCalledTimes(1);
  await pgq.stop();
  await run;
  expect(await queue.history(lost!)).toEqual(["queued", "picked"]);
});

test("a worker that was asleep starts what it claimed before and nobody has taken over", async () => {
  let slept = false;
  const { pgq, steps } = await watchedWorker(["dequeue", "heartbeat"], (name) => {
    if (name === "dequeue" && !slept) sleepAnHour();
    slept = true;
    return Promise.resolve();
  });
  pgq.entrypoint("late", () => void steps.push("ran"));
  const run = pgq.run();

  const id = await queue.queries.enqueue("late", null);

  await until("it has ended", async () => (await queue.history(id!)).includes("successful"));
  vi.restoreAllMocks();
  expect(steps.slice(steps.indexOf("heartbeat")).slice(0, 2)).toEqual(["heartbeat", "ran"]);
  await pgq.stop();
  await run;
});

test("a lost job whose handler goes on can be claimed again", async () => {
  const { pgq } = await watchedWorker([]);
  const signals: AbortSignal[] = [];
  const ended = deferred();
  pgq.entrypoint("deaf", async (_, { signal }) => {
    signals.push(signal);
    if (signals.length === 1) await ended.promise;
  });
  const run = pgq.run({ heartbeatTimeout: 600 });
  const id = await queue.queries.enqueue("deaf", null);
  await until("it runs", () => signals.length === 1);

  await takeOver("deaf");
  await until("its signal aborts", () => signals[0]!.aborted);
  // The thief dies: nobody renews the lease.
  await until("it runs again, here", () => signals.length === 2);

  await until("it has ended", async () => (await queue.rows()).length === 0);
  expect(await queue.history(id!)).toEqual(["queued", "picked", "picked", "successful"]);
  ended.resolve();
  await pgq.stop();
  await run;
});

describe("Heartbeat", () => {
  /** A heartbeat that cannot renew the lease of its one job, and the job's attempt. */
  function cutOff(keptAgoMs: number): {
    heartbeat: Heartbeat;
    attempt: Attempt;
    held: string[];
    tries: () => number;
  } {
    const held: string[] = [];
    let tries = 0;
    const longAgo = { monotonic: performance.now() - 1_000, wall: Date.now() - 1_000 };
    const attempt = new Attempt({ id: 1 } as ClaimedJob, longAgo, longAgo, {
      logger: silentLogger,
      resources: undefined,
    });
    const heartbeat = new Heartbeat({
      timeoutMs: 300,
      attempts: () => [attempt],
      renew: () => {
        tries++;
        return Promise.reject(new Error("no database"));
      },
      keepLeases: (leaseMs) => ({
        hold: () => void held.push(`hold ${leaseMs}`),
        renewed: () => void held.push("renewed"),
        rest: () => void held.push("rest"),
        get keptAt() {
          return Date.now() - keptAgoMs;
        },
      }),
      logger: silentLogger,
    });
    return { heartbeat, attempt, held, tries: () => tries };
  }

  test("aborts a job whose lease ran out while the database was out of reach", async () => {
    const { heartbeat, attempt } = cutOff(300);

    heartbeat.start();
    await until("it has tried", () => attempt.reason);

    expect(attempt.reason).toBeInstanceOf(LeaseLostError);
    expect(attempt.lost).toBe(false);
    await heartbeat.close();
  });

  test("does not while a thread has renewed it", async () => {
    const { heartbeat, attempt, held, tries } = cutOff(200);

    heartbeat.start();
    await until("it has tried again", () => tries() === 2);
    await heartbeat.close();

    expect(attempt.reason).toBeUndefined();
    expect(held).toEqual(["rest"]);
  });

  test.each([
    ["tells the thread that it has renewed the leases", 1, ["renewed"]],
    // Quick jobs may be held whenever the thread looks, and not when the heart beats: it must hear a life sign all the same.
    ["tells the thread that no job is left, and that it is alive", 0, ["rest", "renewed"]],
  ])("%s", async (_, jobs, said) => {
    const { attempt } = cutOff(0);
    const told: string[] = [];
    const heartbeat = new Heartbeat({
      timeoutMs: 300,
      attempts: () => Array<Attempt>(jobs).fill(attempt),
      renew: () => Promise.resolve([{ jobId: attempt.job.id, canceled: false }]),
      keepLeases: () => ({
        hold: () => void told.push("hold"),
        renewed: () => void told.push("renewed"),
        rest: () => void told.push("rest"),
        keptAt: 0,
      }),
      logger: silentLogger,
    });

    heartbeat.start();
    await until("it has told", () => told.length >= said.length);

    expect(told.slice(0, said.length)).toEqual(said);
    await heartbeat.close();
    expect(told.at(-1)).toBe("rest");
  });

  test("puts the leases of a claim into the care of the thread before its jobs start", async () => {
    const { heartbeat, attempt, held } = cutOff(0);

    await heartbeat.confirm({ jobs: [], claimedAt: momentNow() });
    expect(held).toEqual([]);
    await heartbeat.confirm({ jobs: [attempt.job], claimedAt: momentNow() });
    expect(held).toEqual(["hold 300"]);
  });
});
