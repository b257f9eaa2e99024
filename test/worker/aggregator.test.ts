import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import type { LogStore, Pruned } from "../../src/queries/log.ts";
import { Aggregator } from "../../src/worker/aggregator.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

/** An aggregator with rounds of 20 ms over a log with `rows` old rows, and the calls that it made. */
function aggregatorOver(
  rows: number,
  fields: {
    retentionMs?: number;
    fail?: () => boolean;
    uncounted?: () => boolean;
    /** How many rows of each batch another worker deletes. */
    others?: number;
  } = {},
): {
  aggregator: Aggregator;
  calls: string[];
  /** Ids behind which it looked for old rows. */
  afters: number[];
  state: { stopping: boolean };
} {
  const calls: string[] = [];
  const afters: number[] = [];
  let last = 0;
  const state = { stopping: false };
  const log = {
    aggregate(): Promise<boolean> {
      calls.push("aggregate");
      if (fields.fail?.()) return Promise.reject(new Error("down"));
      return Promise.resolve(fields.uncounted?.() ?? false);
    },
    pruneLog(_: number, limit: number, after: number): Promise<Pruned> {
      calls.push("prune_log");
      afters.push(after);
      const gone = Math.min(rows, limit);
      rows -= gone;
      last += gone;
      return Promise.resolve({
        gone: Math.max(0, gone - (fields.others ?? 0)),
        last: gone === 0 ? null : last,
      });
    },
    pruneStatistics(): Promise<number> {
      calls.push("prune_statistics");
      return Promise.resolve(0);
    },
  } as unknown as LogStore;
  const aggregator = new Aggregator({
    log,
    retentionMs: fields.retentionMs ?? 1,
    stopping: () => state.stopping,
    logger: silentLogger,
    intervalMs: 20,
  });
  return { aggregator, calls, afters, state };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("a worker that has run no job since its last round sends nothing", async () => {
  const { aggregator, calls } = aggregatorOver(0);
  aggregator.start();

  await pause(100);
  const idle = [...calls];
  aggregator.note();
  await until("it has counted", () => calls.length === 3);
  await pause(100);
  await aggregator.close();

  expect(idle).toEqual([]);
  expect(calls).toEqual(["aggregate", "prune_log", "prune_statistics"]);
});

test("a round deletes ten batches at most, and the next ones go on without a job", async () => {
  const { aggregator, calls } = aggregatorOver(25_500);
  aggregator.note();
  await aggregator.finish();
  const firstRound = calls.filter((call) => call === "prune_log").length;

  aggregator.note();
  aggregator.start();
  await until("all is deleted", () => calls.filter((call) => call === "prune_log").length === 27);
  await pause(100);
  await aggregator.close();

  expect(firstRound).toBe(10);
  expect(calls.filter((call) => call === "aggregate")).toHaveLength(3);
});

test("each look goes on where the last one ended, and one begins anew after a tenth of the retention", async () => {
  let ahead = 0;
  const clock = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => clock() + ahead);
  const { aggregator, afters } = aggregatorOver(2_500, { retentionMs: 60_000 });
  for (let round = 0; round < 3; round++) {
    aggregator.note();
    await aggregator.finish();
    ahead += 5_000;
  }
  vi.restoreAllMocks();

  expect(afters).toEqual([0, 1_000, 2_000, 2_500, 2_500, 0]);
});

test("a busy worker deletes twice as much as it writes", async () => {
  const { aggregator, calls } = aggregatorOver(100_000);
  for (let job = 0; job < 5_000; job++) aggregator.note();

  await aggregator.finish();

  expect(calls.filter((call) => call === "prune_log")).toHaveLength(30);
});

test("what another worker deletes does not count, but for a round without end", async () => {
  const half = aggregatorOver(100_000, { others: 400 });
  half.aggregator.note();
  await half.aggregator.finish();
  const none = aggregatorOver(100_000, { others: 1_000 });
  none.aggregator.note();
  await none.aggregator.finish();

  expect(half.calls.filter((call) => call === "prune_log")).toHaveLength(17);
  expect(none.calls.filter((call) => call === "prune_log")).toHaveLength(20);
});

test.each([0, 60_000])(
  "with a retention of %d ms it goes on at once while there is more to count",
  async (retentionMs) => {
    let more = 3;
    const { aggregator, calls } = aggregatorOver(0, { retentionMs, uncounted: () => more-- > 0 });
    aggregator.note();
    aggregator.start();

    await until("all is counted", () => more < 0);
    await pause(100);
    await aggregator.close();

    expect(calls.filter((call) => call === "aggregate")).toHaveLength(4);
  },
);

test("it rests four times as long as it has counted before it counts more", async () => {
  let more = 2;
  const at: [begun: number, ended: number][] = [];
  const log = {
    async aggregate(): Promise<boolean> {
      const begun = performance.now();
      await pause(60);
      at.push([begun, performance.now()]);
      return more-- > 0;
    },
  } as unknown as LogStore;
  const aggregator = new Aggregator({
    log,
    retentionMs: 0,
    stopping: () => false,
    logger: silentLogger,
    intervalMs: 20,
  });
  aggregator.note();
  aggregator.start();

  await until("all is counted", () => at.length === 3);
  await aggregator.close();

  for (const round of [1, 2]) {
    const took = at[round - 1]![1] - at[round - 1]![0];
    // A share of the time is added or taken away, so that workers do not meet.
    expect(at[round]![0] - at[round - 1]![1]).toBeGreaterThan(4 * took * 0.8 - 5);
  }
});

test("a drain counts on without a rest: no other round follows", async () => {
  let more = 3;
  const { aggregator, calls } = aggregatorOver(0, { retentionMs: 0, uncounted: () => more-- > 0 });
  aggregator.note();

  await aggregator.finish();

  expect(calls).toEqual(Array(4).fill("aggregate"));
});

test("where nothing old is left, it looks again after a hundredth of the retention", async () => {
  const { aggregator, calls } = aggregatorOver(0, { retentionMs: 20_000 });
  for (let round = 0; round < 3; round++) {
    aggregator.note();
    await aggregator.finish();
  }
  const atOnce = [...calls];

  await pause(210);
  aggregator.note();
  await aggregator.finish();

  expect(atOnce).toEqual(["aggregate", "prune_log", "prune_statistics", "aggregate", "aggregate"]);
  expect(calls.slice(5)).toEqual(["aggregate", "prune_log", "prune_statistics"]);
});

test("retention 0 keeps all, and a worker that stops does nothing more", async () => {
  const keeping = aggregatorOver(5_000, { retentionMs: 0 });
  keeping.aggregator.note();
  await keeping.aggregator.finish();
  const stopping = aggregatorOver(5_000);
  stopping.state.stopping = true;
  stopping.aggregator.note();
  stopping.aggregator.start();
  await stopping.aggregator.finish();
  await pause(60);
  await stopping.aggregator.close();

  expect(keeping.calls).toEqual(["aggregate"]);
  expect(stopping.calls).toEqual([]);
});

test("a round that failed is made up, without a further job", async () => {
  let failures = 2;
  const { aggregator, calls } = aggregatorOver(0, { fail: () => failures-- > 0 });
  aggregator.note();
  aggregator.start();

  await until("it has pruned", () => calls.includes("prune_statistics"));
  await aggregator.close();

  expect(calls).toEqual(["aggregate", "aggregate", "aggregate", "prune_log", "prune_statistics"]);
});

test("a drain counts what it ran and deletes what is older than the run's retention", async () => {
  await queue.sql`
    insert into ${queue.sql(queue.logTable)} (job_id, status, priority, entrypoint, created)
    select n, 'successful', 0, 'old', now() - interval '40 days' from generate_series(1, 1500) n`;
  const old = async (): Promise<number> =>
    (await queue.log()).filter((row) => row.entrypoint === "old").length;
  const drain = async (retention?: { days: number }): Promise<void> => {
    await queue.queries.enqueue("work", null);
    const pgq = await queue.worker();
    pgq.entrypoint("work", () => {});
    await pgq.run({ mode: "drain", retention });
  };

  await drain({ days: 0 });
  const kept = await old();
  await drain({ days: 50 });
  const young = await old();
  await drain();

  expect([kept, young, await old()]).toEqual([1_500, 1_500, 0]);
  expect(await queue.history((await queue.log()).at(-1)!.job_id)).toHaveLength(3);
  const [row] = await queue.sql`
    select coalesce(sum(count), 0)::int as sum from ${
    queue.sql(`${queue.table}_statistics`)
  } where entrypoint = 'work'`;
  expect(row!["sum"]).toBe(9);
});
