/** Claims while looks from the front take long, as an old snapshot keeps the entries of all that was ever there. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import type { Claimer, ClaimerParts } from "../../src/worker/claimer.ts";
import { claim, claimerOf, deliveredTo } from "../support/claimer.ts";
import { deferred, openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
let store: QueueStore;
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
});
afterEach(() => queue.clear());
afterAll(() => queue?.close());

const claimer = (names: readonly string[], parts: Partial<ClaimerParts> = {}): Claimer =>
  claimerOf(store, names, parts);

const SLOW_MS = 2_000;
const PAUSE_MS = 1_100;
/** Transactions of so many claims, and so much time between those: shorter and longer than any reach that is known then. */
const [SHORT, LONG] = [{ claims: 3, pauseMs: PAUSE_MS }, { claims: 8, pauseMs: 11_000 }];
let [ahead, fronts]: [ahead: number, fronts: number] = [0, 0];
/** As on a queue where they walk over all that was ever there. */
const slow = {
  dequeue(...args: Parameters<QueueStore["dequeue"]>) {
    if (args[3]!.every(({ after, lowest, highest }) => after === 0 && lowest < highest)) {
      fronts++;
      ahead += SLOW_MS;
    }
    return store.dequeue(...args);
  },
  lookAhead: (...args: Parameters<QueueStore["lookAhead"]>) => store.lookAhead(...args),
} as unknown as QueueStore;
beforeEach(() => {
  [ahead, fronts] = [0, 0];
  const clock = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => clock() + ahead);
});
afterEach(() => void vi.restoreAllMocks());

/** A worker that has claimed twenty jobs, has had pauses and may not look from the front, as two looks took long. */
async function aWorker(): Promise<Claimer> {
  const worker = claimer(["work"], { queue: slow });
  await queue.queries.enqueue("work", Array(20).fill(null));
  expect(await claim(worker, 10)).toHaveLength(10);
  expect(await claim(worker, 10)).toHaveLength(10);
  for (let n = 0; n < 3; n++) {
    ahead += PAUSE_MS;
    expect(await claim(worker, 10)).toEqual([]);
  }
  expect(fronts).toBe(2);
  return worker;
}

/** Commits so many jobs in a transaction that lasts while the worker claims those of others. */
async function longTransaction(
  worker: Claimer,
  count: number,
  { claims, pauseMs }: typeof LONG,
): Promise<void> {
  await queue.sql.begin(async (rival) => {
    await rival`
      insert into ${rival(queue.table)} (status, entrypoint, priority)
      select 'queued', 'work', 0 from generate_series(1, ${count}::int)`;
    for (let n = 0; n < claims; n++) {
      await queue.queries.enqueue("work", null);
      expect(await claim(worker, 10)).toHaveLength(1);
      ahead += pauseMs;
    }
  });
}

/** What a worker without work gets that is woken by the commit, and looks again whenever it has said that it will. */
async function claimWhenDue(worker: Claimer, limit: number): Promise<ClaimedJob[]> {
  while (true) {
    const jobs = await claim(worker, limit);
    if (jobs.length > 0) return jobs;
    await worker.lookAhead(null);
    const { sparedMs } = worker;
    expect(sparedMs).toBeLessThanOrEqual(20 * SLOW_MS);
    ahead += sparedMs;
  }
}

test("jobs that were committed late are found behind the last claims", async () => {
  const worker = await aWorker();
  await queue.sql.begin(async (rival) => {
    await rival`
      insert into ${
      rival(queue.table)
    } (status, entrypoint, priority) values ('queued', 'work', 0)`;
    await queue.queries.enqueue("work", Array(5).fill(null));
    expect(await claim(worker, 10)).toHaveLength(5);
    expect(await worker.lookAhead(null)).toMatchObject({ ready: false });
  });

  expect(await worker.lookAhead(null)).toMatchObject({ ready: true });
  expect(await claim(worker, 10)).toHaveLength(1);
  expect(fronts).toBe(2);
});

test("those of a transaction of three seconds are found by a look that reaches as far", async () => {
  const worker = await aWorker();
  await longTransaction(worker, 1, SHORT);

  expect(await claimWhenDue(worker, 10)).toHaveLength(1);

  expect(fronts).toBe(2);
});

test("those of a transaction longer than any reach are found by the next look from the front, and it is said when that is due", async () => {
  const worker = await aWorker();
  await longTransaction(worker, 1, LONG);
  const [begun, before] = [ahead, fronts];

  expect(await claimWhenDue(worker, 10)).toHaveLength(1);

  expect(fronts).toBe(before + 1);
  expect(ahead - begun).toBeLessThanOrEqual(21 * SLOW_MS);
  expect(worker.sparedMs).toBe(Infinity);
});

test.each([SHORT, LONG])(
  "where more of them stand there than one claim takes, the next ones take the rest",
  async (length) => {
    const worker = await aWorker();
    await longTransaction(worker, 20, length);

    // A look that no claim waits for takes a few of its own.
    const some = (await claimWhenDue(worker, 5)).length;
    expect(some).toBeLessThan(10);
    expect(await claim(worker, 20)).toHaveLength(20 - some);
  },
);

describe("and no claim waits for them", () => {
  /** The look from the front that `open` holds up, as the server does while it walks. */
  let [open, isHeld] = [deferred(), deferred()];
  let hold = false;
  let failure: Error | undefined;
  const held = {
    ...slow,
    async dequeue(...args: Parameters<QueueStore["dequeue"]>) {
      const isFront = args[3]!.every(({ after, lowest, highest }) =>
        after === 0 && lowest < highest
      );
      if (isFront && hold) {
        isHeld.resolve();
        await open.promise;
        if (failure !== undefined) throw failure;
      }
      return await slow.dequeue(...args);
    },
    release: (...args: Parameters<QueueStore["release"]>) => store.release(...args),
  } as unknown as QueueStore;

  /** A worker whose look from the front is under way, with a late job that it will find. */
  async function aLookingWorker(
    wake: () => void = () => {},
  ): Promise<{ worker: Claimer; late: number }> {
    [open, isHeld, hold, failure] = [deferred(), deferred(), false, undefined];
    const worker = claimer(["work"], { queue: held, listener: { wake } });
    await queue.queries.enqueue("work", Array(20).fill(null));
    const [first] = await claim(worker, 10);
    await claim(worker, 20);
    ahead += PAUSE_MS;
    expect(await claim(worker, 10)).toEqual([]);
    await store.release([first!], first!.queueManagerId!);
    ahead += 21 * SLOW_MS;
    hold = true;
    // It is a second since the last look.
    await queue.queries.enqueue("work", Array(5).fill(null));
    const { jobs } = await worker.claim({ limit: 5, startable: 5 });
    await isHeld.promise;
    expect(jobs).toHaveLength(5);
    return { worker, late: first!.id };
  }

  test("claims go on, and what it finds is delivered", async () => {
    let woken = 0;
    const { worker, late } = await aLookingWorker(() => woken++);
    await queue.queries.enqueue("work", Array(5).fill(null));
    const { jobs } = await worker.claim({ limit: 10, startable: 10 });
    const before = woken;
    open.resolve();
    await worker.settled();

    expect(jobs).toHaveLength(5);
    expect(deliveredTo(worker).map(({ id }) => id)).toEqual([late]);
    expect([before, woken]).toEqual([0, 1]);
  });

  test("if it fails the next claim says so, as its answer may be lost", async () => {
    const { worker, late } = await aLookingWorker();
    failure = new Error("connection lost");
    open.resolve();
    await worker.settled();

    await expect(worker.claim({ limit: 5, startable: 5 })).rejects.toThrow("connection lost");
    hold = false;
    ahead += 21 * SLOW_MS;
    const { jobs } = await worker.claim({ limit: 5, startable: 5 });
    expect(jobs.map(({ id }) => id)).toEqual([late]);
  });

  test("a worker that stops puts back what it finds", async () => {
    const { worker, late } = await aLookingWorker();
    const closed = worker.close(10_000);
    open.resolve();
    await closed;
    await worker.settled();

    expect(deliveredTo(worker)).toEqual([]);
    expect((await queue.rows()).find(({ id }) => id === late)).toMatchObject({
      status: "queued",
    });
  });
});

test("a drain looks from the front all the same", async () => {
  const worker = claimer(["work"], { queue: slow, thorough: true });
  await queue.queries.enqueue("work", Array(20).fill(null));

  expect(await claim(worker, 10)).toHaveLength(10);
  expect(await claim(worker, 20)).toHaveLength(10);
  expect(await claim(worker, 20)).toEqual([]);
  expect(fronts).toBe(3);
});

test("a drain does not end while a job is ready that it has put back", async () => {
  const worker = claimer(["work"], { queue: slow, thorough: true });
  await queue.queries.enqueue("work", Array(20).fill(null));
  const [first] = await claim(worker, 10);
  expect(await claim(worker, 20)).toHaveLength(10);
  for (let n = 0; n < 2; n++) {
    ahead += PAUSE_MS;
    expect(await claim(worker, 20)).toEqual([]);
  }
  await store.release([first!], first!.queueManagerId!);

  expect(await worker.lookAhead(null)).toMatchObject({ ready: true });
  expect(await claim(worker, 20)).toHaveLength(1);
});
