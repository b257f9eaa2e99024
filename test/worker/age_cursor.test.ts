/** From which heartbeat on a worker looks for leases that run out, while looks at all of them take long. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Gate } from "../../src/queries/gate.ts";
import { type Ages, ANY_AGE_MS, ANY_AGES } from "../../src/queries/ages.ts";
import type { Outlook } from "../../src/queries/queue.ts";
import { AgeCursor } from "../../src/worker/age_cursor.ts";
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
): AgeCursor {
  const gates = [{ leaseMs: LEASE_MS, concurrencyLimit: 5 }, { leaseMs: 0, concurrencyLimit: 0 }];
  return new AgeCursor(gates as Gate[], thorough, { look, found });
}

const outlook = (known: Partial<Outlook>): Outlook => ({
  ready: false,
  blocked: false,
  dueMs: Infinity,
  firstDueMs: Infinity,
  tokenMs: Infinity,
  staleMs: Infinity,
  ...known,
});

/** A look that takes so long, and says when the next lease runs out. Gives the age that it was asked for. */
async function look(cursor: AgeCursor, tookMs: number, staleMs = Infinity): Promise<number> {
  let asked = NaN;
  await cursor.lookAhead(({ leaseMs }) => {
    asked = leaseMs;
    now += tookMs;
    return Promise.resolve(outlook({ staleMs }));
  });
  return asked;
}

/** The same for a take-over, which leaves others or none. */
async function takeOver(cursor: AgeCursor, tookMs: number, all = true): Promise<number> {
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
async function lookTwice(cursor: AgeCursor, tookMs: number): Promise<void> {
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
  answers[0]!.resolve(outlook({ staleMs: -2_000 }));
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
  answers[1]!.resolve(outlook({}));
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

test("claims look at everything where looks take no time", async () => {
  const cursor = aCursor();
  await look(cursor, 5);
  await takeOver(cursor, 5);

  expect(cursor.claimAges).toEqual(ANY_AGES);
});

test("where they take long claims look back to the oldest seat and the first due job, and five seconds more", async () => {
  const cursor = aCursor();
  const ages: Ages[] = [];
  const dueIn = (firstDueMs: number) =>
    cursor.lookAhead((asked) => {
      ages.push(asked);
      now += 10;
      return Promise.resolve(outlook({ firstDueMs, staleMs: LEASE_MS - 300 }));
    });
  await dueIn(60_000);
  await dueIn(60_000);

  // Another may be enqueued that is due before that.
  expect(cursor.claimAges).toEqual({ leaseMs: 560, seatMs: 5_310, dueMs: 5_010 });
  now += 100;
  await dueIn(-700);
  expect(cursor.claimAges).toEqual({ leaseMs: 560, seatMs: 5_310, dueMs: 5_710 });
  now += 100;

  // A take-over has dealt with what was older than the longest lease, as no other may be known.
  cursor.forget();
  expect(cursor.claimAges.seatMs).toBe(ANY_AGE_MS);
  await takeOver(cursor, 10);
  expect(cursor.claimAges.seatMs).toBe(LEASE_MS + 10 + 5_000);
  expect(ages).toEqual([
    ANY_AGES,
    ANY_AGES,
    { leaseMs: 660, seatMs: 5_410, dueMs: 5_110 },
  ]);
});

test("seats of jobs without a lease may be of any age", async () => {
  const gates = [{ leaseMs: LEASE_MS, concurrencyLimit: 0 }, { leaseMs: 0, concurrencyLimit: 5 }];
  const cursor = new AgeCursor(gates as Gate[], false, {
    look: () => Promise.resolve(outlook({})),
    found: () => {},
  });
  await look(cursor, 10);
  await look(cursor, 10);

  expect(cursor.claimAges.seatMs).toBe(ANY_AGE_MS);
});

test.each([1_000, 10])(
  "a due job that was overlooked is found beside the claims, though the worker never waits, and looks take %d ms",
  async (tookMs) => {
    let found = 0;
    const cursor = aCursor(
      false,
      () => {
        now += tookMs;
        return Promise.resolve(outlook({ firstDueMs: -900_000 }));
      },
      () => found++,
    );
    await lookTwice(cursor, tookMs);
    expect(cursor.claimAges.dueMs).toBeLessThan(200_000);

    now += 10_000;
    await takeOver(cursor, 3);
    await until("it has been found", () => found === 1);

    expect(cursor.claimAges.dueMs).toBe(900_000 + tookMs + 3 + 5_000);
  },
);
