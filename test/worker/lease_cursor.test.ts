/** From which heartbeat on a worker looks for leases that run out, while looks at all of them take long. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ANY_AGE_MS, type Gate, type Outlook } from "../../src/queries/queue.ts";
import { LeaseCursor } from "../../src/worker/lease_cursor.ts";

const LEASE_MS = 30_000;
let now = 0;
beforeEach(() => {
  now = 1_000_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

function aCursor(thorough = false): LeaseCursor {
  return new LeaseCursor([{ leaseMs: LEASE_MS }, { leaseMs: 0 }] as Gate[], thorough);
}

/** A look that takes so long, and says when the next lease runs out. Gives the age that it was asked for. */
async function look(cursor: LeaseCursor, tookMs: number, staleMs = Infinity): Promise<number> {
  let asked = NaN;
  await cursor.lookAhead((ageMs) => {
    asked = ageMs;
    now += tookMs;
    return Promise.resolve({ staleMs } as Outlook);
  });
  return asked;
}

/** The same for a take-over, which leaves others or none. */
async function takeOver(cursor: LeaseCursor, tookMs: number, all = true): Promise<number> {
  let asked = NaN;
  await cursor.takeOver((ageMs) => {
    asked = ageMs;
    now += tookMs;
    return Promise.resolve({ all });
  });
  return asked;
}

test("looks that take no time see all of them, each time", async () => {
  const cursor = aCursor();

  for (let n = 0; n < 3; n++) {
    expect(await look(cursor, 3)).toBe(ANY_AGE_MS);
    expect(await takeOver(cursor, 3)).toBe(ANY_AGE_MS);
  }
});

test("after one that took long they begin at the oldest that there was", async () => {
  const cursor = aCursor();
  await look(cursor, 100, LEASE_MS - 400); // the oldest is 400 ms old

  now += 1_000;
  // 100 ms of the look and a second later, and a quarter of a second for a claim that was committed late.
  expect(await look(cursor, 3, LEASE_MS - 50)).toBe(400 + 1_100 + 250);
  expect(await look(cursor, 3)).toBe(50 + 3 + 250);
  // None is left.
  expect(await look(cursor, 3)).toBe(0 + 3 + 250);
});

test("a hundred times as long after it another one looks at all, and finds what was committed late", async () => {
  const cursor = aCursor();
  await look(cursor, 100);
  now += 100 * 100 - 1;
  expect(await look(cursor, 1)).toBeLessThan(ANY_AGE_MS);

  expect(await look(cursor, 100, 2_000)).toBe(ANY_AGE_MS);
  expect(await look(cursor, 3)).toBe(LEASE_MS - 2_000 + 100 + 250);
});

test("a take-over begins behind those that were dealt with, unless it could not deal with all", async () => {
  const cursor = aCursor();
  await takeOver(cursor, 100);
  now += 500;
  expect(await takeOver(cursor, 3, false)).toBe(LEASE_MS + 600 + 250);
  now += 500;

  expect(await takeOver(cursor, 3)).toBe(LEASE_MS + 600 + 503 + 250);
  expect(await takeOver(cursor, 3)).toBe(LEASE_MS + 3 + 250);
});

test("a drain spares nothing", async () => {
  const cursor = aCursor(true);
  await look(cursor, 1_000);
  await takeOver(cursor, 1_000);

  expect(await look(cursor, 1_000)).toBe(ANY_AGE_MS);
  expect(await takeOver(cursor, 1_000)).toBe(ANY_AGE_MS);
});
