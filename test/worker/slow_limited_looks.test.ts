/** Claims within limits while an old snapshot keeps the entries of all that was ever there. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import type { Gate } from "../../src/queries/gate.ts";
import { ANY_AGE_MS } from "../../src/queries/ages.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import type { Claimer } from "../../src/worker/claimer.ts";
import { claim, claimerOf } from "../support/claimer.ts";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

const SLOW_MS = 2_000;
const LEASE_MS = 30_000;
let queue: TestQueue;
let store: QueueStore;
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
});
afterEach(() => queue.clear());
afterAll(() => queue?.close());

/** What the claims and looks so far were asked for: whether from the front, and up to which age heartbeats count. */
let claims: { front: boolean; seatMs: number }[] = [];
let looks: typeof claims = [];
let ahead = 0;
beforeEach(() => {
  [claims, looks, ahead] = [[], [], 0];
  const clock = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => clock() + ahead);
});
afterEach(() => void vi.restoreAllMocks());

/** Claims from the front take long here, and so do looks at all heartbeats. */
const slow = {
  claimLimited(...args: Parameters<QueueStore["claimLimited"]>) {
    const front = args[4]!.every(({ after, lowest, highest }) => after === 0 && lowest < highest);
    claims.push({ front, seatMs: args[5]!.seatMs });
    if (front) ahead += SLOW_MS;
    return store.claimLimited(...args);
  },
  lookAhead(...args: Parameters<QueueStore["lookAhead"]>) {
    const front = args[2]!.every(({ after, lowest, highest }) => after === 0 && lowest < highest);
    looks.push({ front, seatMs: args[3]!.seatMs });
    if (args[3]!.leaseMs === ANY_AGE_MS) ahead += 20;
    return store.lookAhead(...args);
  },
  takeOver: (...args: Parameters<QueueStore["takeOver"]>) => store.takeOver(...args),
} as unknown as QueueStore;

function limited(gate: Partial<Gate> = {}): Claimer {
  return claimerOf(slow, ["work"], {
    gates: [{
      entrypoint: "work",
      concurrencyLimit: 10,
      requestsPerSecond: Infinity,
      serializedDispatch: false,
      leaseMs: LEASE_MS,
      maxTakeOvers: 5,
      ...gate,
    }],
  });
}

const add = (count: number): Promise<unknown> =>
  queue.queries.enqueue("work", Array(count).fill(null));
const endAll = () => queue.sql`delete from ${queue.sql(queue.table)} where status = 'picked'`;

test("after two from the front claims go on behind the last job, for twenty times as long", async () => {
  const worker = limited();
  await add(50);
  for (let n = 0; n < 5; n++) {
    expect(await claim(worker, 10)).toHaveLength(10);
    await endAll();
    ahead += 300;
  }
  expect(claims.map(({ front }) => front)).toEqual([true, true, false, false, false]);

  ahead += 20 * SLOW_MS;
  await add(5);
  expect(await claim(worker, 10)).toHaveLength(5);
  expect(claims.at(-1)!.front).toBe(true);
});

test("a job that was committed late is found when the worker has said that it will look, and not twice", async () => {
  const worker = limited();
  await add(20);
  for (let n = 0; n < 2; n++) {
    expect(await claim(worker, 10)).toHaveLength(10);
    await endAll();
  }
  let late = 0;
  await queue.sql.begin(async (rival) => {
    const [row] = await rival<{ id: string }[]>`
      insert into ${rival(queue.table)} (status, entrypoint, priority)
      values ('queued', 'work', 0) returning id`;
    late = Number(row!.id);
    // So long that no reach is known which would have it.
    for (let n = 0; n < 14; n++) {
      await add(1);
      expect(await claim(worker, 10)).toHaveLength(1);
      await endAll();
      ahead += 10_500;
    }
  });

  let found: ClaimedJob[] = await claim(worker, 10);
  expect(found).toEqual([]);
  while (found.length === 0) {
    await worker.lookAhead(null);
    expect(worker.sparedMs).toBeLessThanOrEqual(20 * SLOW_MS);
    ahead += worker.sparedMs;
    found = await claim(worker, 10);
  }
  expect(found.map(({ id }) => id)).toEqual([late]);

  await worker.lookAhead(null);
  expect(worker.sparedMs).toBeGreaterThan(0);
});

/** Two claims from the front, so that the worker knows how long they take. */
async function twoClaims(worker: Claimer): Promise<void> {
  for (let n = 0; n < 2; n++) expect(await claim(worker, 10)).toEqual([]);
  [claims, looks] = [[], []];
}

test("once the limit is full a worker that has seen all has no look to make", async () => {
  const worker = limited();
  await twoClaims(worker);
  await add(30);
  ahead += 21 * SLOW_MS;
  expect(await claim(worker, 20)).toHaveLength(10);
  expect(claims.map(({ front }) => front)).toEqual([true]);

  expect(await worker.lookAhead(null)).toMatchObject({ ready: false, blocked: true });

  expect(looks.map(({ front }) => front)).toEqual([true]);
  expect(worker.sparedMs).toBe(Infinity);
});

test("of serialized entrypoints each claim reads all, as it passes over jobs that wait", async () => {
  const worker = limited({ concurrencyLimit: 0, serializedDispatch: true });
  await twoClaims(worker);
  await queue.queries.enqueue("work", Array(6).fill(null), {
    dedupeKey: [null, null, "a", "b", "c", "d"],
  });
  for (const [limit, count] of [[3, 3], [1, 1], [1, 1]] as const) {
    expect(await claim(worker, limit)).toHaveLength(count);
    ahead += 300;
  }
  await endAll();

  expect(await claim(worker, 10)).toHaveLength(1);

  expect(claims.every(({ front }) => front)).toBe(true);
});

test("a seat whose holder was overlooked is not given away, and the next look counts it", async () => {
  const worker = limited({ concurrencyLimit: 1 });
  await add(1);
  for (let n = 0; n < 2; n++) await worker.lookAhead(null);
  // Claimed by a client that took no lock, and committed much later.
  await queue.sql`
    insert into ${
    queue.sql(queue.table)
  } (status, entrypoint, priority, queue_manager_id, slot, heartbeat)
    values ('picked', 'work', 0, ${randomUUID()}, 0, now() - interval '20 seconds')`;
  ahead += 1_000;

  expect(await claim(worker, 1)).toEqual([]);

  expect(claims.at(-1)!.seatMs).toBeLessThan(10_000);
  expect(await worker.lookAhead(null)).toMatchObject({ ready: false, blocked: true });
  expect(looks.at(-1)!.seatMs).toBe(ANY_AGE_MS);
  expect(await claim(worker, 1)).toEqual([]);
  expect(claims.at(-1)!.seatMs).toBeGreaterThan(20_000);
});
