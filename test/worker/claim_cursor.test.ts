/** Where claims begin while others are on their way, and what the cursor makes of what they give. */
import { expect, test } from "vitest";
import type { Job } from "../../src/job.ts";
import { type ClaimBehind, ClaimCursor } from "../../src/worker/claim_cursor.ts";

const created = new Date(0);

/** Jobs of one priority, by their ids. */
function jobs(from: number, count: number, priority = 0): Job[] {
  return Array.from({ length: count }, (_, n) => (
    { id: from + n, priority, entrypoint: "work", created, executeAfter: created } as Job
  ));
}

/** The id behind which a claim looks for jobs of one priority. */
function begin({ ranges }: ClaimBehind, priority = 0): number {
  return ranges.find((range) => range.lowest <= priority && priority <= range.highest)!.after;
}

/** A cursor that stands at 100. */
function cursorAt100(): ClaimCursor {
  const cursor = new ClaimCursor(["work"]);
  cursor.note(jobs(100, 1));
  return cursor;
}

test("a claim begins behind all that those on their way may give", () => {
  const cursor = cursorAt100();

  const claims = [cursor.begin(1_000), cursor.begin(500), cursor.begin(700)];

  expect(claims.map((claim) => begin(claim))).toEqual([100, 1_100, 1_600]);
  expect(cursor.onItsWay).toBe(2_200);
  // New priorities are looked at from their beginning.
  expect(claims.map((claim) => begin(claim, 7))).toEqual([0, 0, 0]);
});

test("whatever the order in which they end, the next claim begins behind all of them", () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]) {
    const cursor = cursorAt100();
    const claims = [0, 1, 2].map(() => cursor.begin(10));
    const given = [jobs(101, 10), jobs(111, 10), jobs(121, 10)];

    for (const [ended, index] of order.entries()) {
      cursor.end(claims[index]!, given[index]!);
      expect(cursor.onItsWay).toBe(20 - ended * 10);
    }

    expect(begin(cursor.begin(10))).toBe(130);
  }
});

test("what has ended before an older one is not asked for a second time, either", () => {
  const cursor = cursorAt100();
  const [, second] = [cursor.begin(10), cursor.begin(10)];

  cursor.end(second, jobs(111, 10));

  expect(begin(cursor.begin(10))).toBe(120);
});

test("the cursor does not pass over jobs that an older claim has left", () => {
  const cursor = cursorAt100();
  const [first, second] = [cursor.begin(10), cursor.begin(10)];

  // A higher priority came, and the first one took only that.
  cursor.end(second, jobs(111, 10));
  cursor.end(first, jobs(500, 10, 3));

  const next = cursor.begin(10);
  expect(begin(next, 0)).toBe(100);
  expect(begin(next, 3)).toBe(509);
});

test("the cursor does not pass over what a claim that failed would have given", () => {
  const cursor = cursorAt100();
  const claims = [cursor.begin(10), cursor.begin(10), cursor.begin(10)];

  cursor.end(claims[0]!, jobs(101, 10));
  cursor.end(claims[1]!, []);
  cursor.end(claims[2]!, jobs(121, 10));

  expect(begin(cursor.begin(10))).toBe(110);
});

test("a claim that gave less than it may is the end of what is ready: the next begins behind what it gave", () => {
  const cursor = cursorAt100();
  const [first, second] = [cursor.begin(10), cursor.begin(10)];

  cursor.end(first, jobs(101, 3));
  cursor.end(second, []);

  expect(begin(cursor.begin(10))).toBe(103);
});

test("ids with gaps: what the second took of the first one's share moves the cursor no further than the first", () => {
  const cursor = cursorAt100();
  const [first, second] = [cursor.begin(4), cursor.begin(4)];

  // Every other id: the first one's last two had been taken by the second, so it went on behind those.
  cursor.end(first, [102, 104, 114, 116].flatMap((id) => jobs(id, 1)));
  cursor.end(second, [106, 108, 110, 112].flatMap((id) => jobs(id, 1)));

  expect(begin(cursor.begin(4))).toBe(116);
});
