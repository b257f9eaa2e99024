/** From which heartbeat on a worker looks for leases that run out, while looks at all of them take long. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Gate } from "../../src/queries/gate.ts";
import { ANY_AGE_MS, type Outlook } from "../../src/queries/queue.ts";
import { LeaseCursor } from "../../src/worker/lease_cursor.ts";
import { deferred, until } from "../support/queue.ts";

const LEASE_MS = 30_000;
let now = 0;
beforeEach(() => {
  now = 1_000_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

function aCursor(
  thorough = false,
  look: () => Promise<Outlook> = () => new Promise(() => {}),
  found: () => void = () => {},
): LeaseCursor {
  const gates = [{ leaseMs: LEASE_MS }, { leaseMs: 0 }] as Gate[];
  return new LeaseCursor(gates, thorough, { look, found });
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

test("after some that took long they begin at the oldest that there was", async () => {
  const cursor = aCursor();
  await look(cursor, 100);
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
  await look(cursor, 40);
  await look(cursor, 40);
  now += 100 * 40 - 1;
  expect(await look(cursor, 1)).toBeLessThan(ANY_AGE_MS);

  expect(await look(cursor, 40, 2_000)).toBe(ANY_AGE_MS);
  expect(await look(cursor, 3)).toBe(LEASE_MS - 2_000 + 40 + 250);
});

/** Two looks in a row, and a pause. The next is due. */
async function lookTwice(cursor: LeaseCursor, tookMs: number): Promise<void> {
  for (let n = 0; n < 2; n++) {
    expect(await look(cursor, tookMs)).toBe(ANY_AGE_MS);
  }
  now += 100 * tookMs;
}

test("nobody waits for one where two have taken very long, and the next ones begin at what it found", async () => {
  const answers = [deferred<Outlook>(), deferred<Outlook>()];
  let [asked, found] = [0, 0];
  const cursor = aCursor(false, () => answers[asked++]!.promise, () => found++);
  await takeOver(cursor, 3);
  await lookTwice(cursor, 1_000);

  // Under way from the first of them on.
  expect(await takeOver(cursor, 3)).toBeLessThan(ANY_AGE_MS);
  expect(await look(cursor, 3)).toBeLessThan(ANY_AGE_MS);
  expect(asked).toBe(1);
  now += 994;
  // Another statement is under way when it answers, and does not undo what it says.
  const answered = deferred<{ all: boolean }>();
  const late = cursor.takeOver(() => answered.promise);
  // Out for two seconds when it began.
  answers[0]!.resolve({ staleMs: -2_000 } as Outlook);
  await until("it has been found", () => found === 1);
  answered.resolve({ all: true });
  await late;
  expect(await look(cursor, 0)).toBe(LEASE_MS + 2_000 + 1_000 + 250);
  expect(await takeOver(cursor, 0)).toBe(LEASE_MS + 2_000 + 1_000 + 250);
  // It has been dealt with.
  expect(await takeOver(cursor, 0)).toBe(LEASE_MS + 250);

  // Once it takes no time any more, all are looked at again.
  now += 100 * 1_000;
  await look(cursor, 0);
  answers[1]!.resolve({ staleMs: Infinity } as Outlook);
  await until("it is known", async () => await takeOver(cursor, 0) === ANY_AGE_MS);
  expect(await look(cursor, 0)).toBe(ANY_AGE_MS);
  expect([asked, found]).toEqual([2, 1]);
});

test("one that fails is made again", async () => {
  let asked = 0;
  const cursor = aCursor(false, () => {
    asked++;
    now += 1_000;
    return Promise.reject(new Error("the server is gone"));
  });
  await lookTwice(cursor, 1_000);
  for (let n = 0; n < 2; n++) {
    expect(await look(cursor, 0)).toBeLessThan(ANY_AGE_MS);
    await until("it is made", () => asked === n + 1);
    now += 100 * 1_000;
  }
});

test("a take-over begins behind those that were dealt with, unless it could not deal with all", async () => {
  const cursor = aCursor();
  await takeOver(cursor, 100);
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
