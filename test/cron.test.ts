/** Cron expressions: their normal form, their fires, and what happens where clocks change. */
import { describe, expect, test } from "vitest";
import { Cron, planFire } from "../src/cron.ts";
import { normalizeCron } from "../src/cron_expression.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const iso = (instant: number): string => new Date(instant).toISOString().replace(":00.000Z", "Z");

/** Numbers that look random and are the same in every run. */
function randomNumbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("normalizeCron()", () => {
  // What the Python project 1.6.0 writes to the table.
  test.each([
    ["@hourly", "0 * * * *"],
    ["@Daily", "0 0 * * *"],
    ["@midnight", "0 0 * * *"],
    ["@weekly", "0 0 * * 0"],
    ["@monthly", "0 0 1 * *"],
    ["@yearly", "0 0 1 1 *"],
    ["@ANNUALLY", "0 0 1 1 *"],
    ["0 9 * * MON", "0 9 * * mon"],
    [" 0  9 *\t* *\n", "0 9 * * *"],
    ["0 0 * * 7", "0 0 * * 7"],
    ["00 09 * JAN-mar *", "00 09 * jan-mar *"],
    ["0 0 L * *", "0 0 l * *"],
    ["0 0 ? * ?", "0 0 ? * ?"],
    ["*/5 * * * Fri#2", "*/5 * * * fri#2"],
    ["* * * * * 0/15", "* * * * * 0/15"],
  ])("writes %j as %j", (given, normal) => {
    expect(normalizeCron(given)).toBe(normal);
    expect(new Cron(given).expression).toBe(normal);
  });
});

describe("Cron", () => {
  // Compared with the fires that the Python project 1.6.0 computes.
  test.each([
    ["*/20 3 * * *", ["2026-01-01T03:00Z", "2026-01-01T03:20Z", "2026-01-01T03:40Z"]],
    ["5/25 0 * * *", ["2026-01-01T00:05Z", "2026-01-01T00:30Z", "2026-01-01T00:55Z"]],
    ["0 22-1 * * *", ["2026-01-01T01:00Z", "2026-01-01T22:00Z", "2026-01-01T23:00Z"]],
    ["0 0 * * fri-mon", ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-04T00:00Z"]],
    ["0 0 * * 5-7", ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-04T00:00Z"]],
    ["0 0 15 * mon", ["2026-01-05T00:00Z", "2026-01-12T00:00Z", "2026-01-15T00:00Z"]],
    ["0 0 */10 * mon", ["2026-01-05T00:00Z", "2026-01-11T00:00Z", "2026-01-12T00:00Z"]],
    ["0 0 l * *", ["2026-01-31T00:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z"]],
    ["0 0 * * fri#2", ["2026-01-09T00:00Z", "2026-02-13T00:00Z", "2026-03-13T00:00Z"]],
    ["0 0 29 2 *", ["2028-02-29T00:00Z", "2032-02-29T00:00Z", "2036-02-29T00:00Z"]],
    ["0 0 1 nov-feb *", ["2026-02-01T00:00Z", "2026-11-01T00:00Z", "2026-12-01T00:00Z"]],
    ["59 23 31 12 * 58", ["2026-12-31T23:59:58.000Z", "2027-12-31T23:59:58.000Z"]],
  ])("%j has the fires of every cron library", (expression, expected) => {
    const cron = new Cron(expression);
    const fires: string[] = [];
    let instant = Date.UTC(2026, 0, 1);
    for (const _ of expected) {
      instant = cron.after(instant);
      fires.push(iso(instant));
    }

    expect(fires).toEqual(expected);
  });

  test.each([
    ["", /5 fields, or 6 with the seconds last/],
    ["* * * *", /5 fields/],
    ["* * * * * * *", /5 fields/],
    ["@reboot", /5 fields/],
    ["60 * * * *", /its minute "60" must be from 0 to 59/],
    ["* 24 * * *", /its hour "24" must be from 0 to 23/],
    ["* * 0 * *", /its day of month "0" must be from 1 to 31/],
    ["* * * 13 *", /its month "13" must be from 1 to 12, or a name such as dec/],
    ["* * * * sunday", /its day of week "sunday" must be from 0 to 7, or a name such as sat/],
    ["1.5 * * * *", /list of numbers, ranges and steps/],
    ["-1 * * * *", /list of numbers/],
    ["1- * * * *", /list of numbers/],
    ["*/0 * * * *", /steps from 1 to 60/],
    ["*/61 * * * *", /steps from 1 to 60/],
    ["1,* * * * *", /either "\*" or a list/],
    ["? * * * *", /list of numbers/],
    ["5-5 * * * *", /range of one/],
    ["50-10/5 * * * *", /step in a range that wraps/],
    ["0 0 15w * *", /list of numbers/],
    ["0 0 * * fri#6", /list of numbers/],
    ["0 0 * * fri#1,mon", /"#" in each part or in none/],
    ["0 0 1 * fri#1", /must not have "#" beside a day of the month/],
    ["0 0 1 * 0-6", /"\*" where every day is meant/],
    ["0 0 1-31 * 1", /"\*" where every day is meant/],
    ["0 0 30 2 *", /must fire at some time/],
    [`0 0 ${Array(300).fill("1").join(",")} * *`, /at most 500 characters/],
  ])("refuses %j", (expression, message) => {
    expect(() => new Cron(expression)).toThrow(RangeError);
    expect(() => new Cron(expression)).toThrow(message);
  });

  test.each(["Mars/Phobos", "", "+02:00"])("refuses the time zone %j", (timeZone) => {
    expect(() => new Cron("* * * * *", timeZone)).toThrow(/IANA time zone/);
  });

  test("lastFrom() and before() find the fires that a step by step search finds", () => {
    const random = randomNumbers(5);
    for (const expression of ["*/7 3-5 * * *", "0 0 1,15 * *", "30 2 * * sun", "* * * * * */13"]) {
      const cron = new Cron(expression, "Europe/Oslo");
      for (let round = 0; round < 10; round++) {
        const start = Date.UTC(2026, Math.floor(random() * 12), 1) + Math.floor(random() * DAY);
        const fires = [cron.after(start)];
        while (fires.length < 30) fires.push(cron.after(fires.at(-1)!));
        const index = 1 + Math.floor(random() * 28);

        expect(cron.lastFrom(fires[0]!, fires[index]!)).toBe(fires[index]);
        expect(cron.lastFrom(fires[0]!, fires[index]! - 1)).toBe(fires[index - 1]);
        expect(cron.before(fires[index]!)).toBe(fires[index - 1]);
        expect(cron.before(fires[index]! + 1)).toBe(fires[index]);
      }
    }
  });
});

describe("planFire()", () => {
  const hourly = new Cron("0 * * * *");
  const at = (time: string): number => Date.parse(`2026-11-22T${time}Z`);

  test.each(
    [
      ["a fire that is to come", "03:00:00", "02:59:59", "latest", {
        kind: "wait",
        until: "03:00:00",
      }],
      ["a due one", "03:00:00", "03:00:00", "none", {
        kind: "fire",
        due: "03:00:00",
        next: "04:00:00",
      }],
      ["a late one", "03:00:00", "03:00:30", "none", {
        kind: "fire",
        due: "03:00:00",
        next: "04:00:00",
      }],
      ["a missed one", "03:00:00", "03:00:31", "none", { kind: "skip", next: "04:00:00" }],
      ["the latest", "03:00:00", "06:10:00", "latest", {
        kind: "fire",
        due: "06:00:00",
        next: "07:00:00",
      }],
      ["all of them", "03:00:00", "06:10:00", "all", {
        kind: "fire",
        due: "04:00:00",
        next: "05:00:00",
      }],
      ["the late one of many", "03:00:00", "06:00:01", "none", {
        kind: "fire",
        due: "06:00:00",
        next: "07:00:00",
      }],
      ["a next_run between fires", "02:59:59", "02:59:59", "all", {
        kind: "wait",
        until: "03:00:00",
      }],
      ["a next_run between fires", "02:10:00", "03:00:01", "none", {
        kind: "fire",
        due: "03:00:00",
        next: "04:00:00",
      }],
    ] as const,
  )("%s: due from %s, at %s, %s", (_, dueFrom, now, missed, expected) => {
    const plan = planFire(hourly, at(dueFrom), at(now), missed, 2.5 * HOUR);

    const instants = Object.fromEntries(
      Object.entries(expected).map(([key, value]) => [key, key === "kind" ? value : at(value)]),
    );
    expect(plan).toEqual(instants as never);
  });

  test("waits for ever where an operator has set next_run to infinity", () => {
    const plan = planFire(hourly, Infinity, at("03:00:00"), "all", HOUR);

    expect(plan).toEqual({ kind: "wait", until: Infinity });
  });
});

/** A change of a zone's offset from UTC. */
interface Transition {
  readonly zone: string;
  readonly instant: number;
  readonly before: number;
  readonly after: number;
}

/** Offset of a zone from UTC in milliseconds, from what Intl says about the clock on the wall. */
function offsets(zone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  return (instant) => {
    const [month, day, year, hour, minute, second] = format.format(instant).match(/\d+/g)!
      .map(Number) as [number, number, number, number, number, number];
    return Date.UTC(year, month - 1, day, hour, minute, second) - instant;
  };
}

/** Every transition of 2020–2035, found by bisection. Nowhere are two of them within ten days. */
function transitionsOf(zone: string): Transition[] {
  const offsetAt = offsets(zone);
  const found: Transition[] = [];
  let low = Date.UTC(2020, 0, 1);
  let before = offsetAt(low);
  for (let high = low + 10 * DAY; high < Date.UTC(2036, 0, 1); high += 10 * DAY) {
    const after = offsetAt(high);
    if (after !== before) {
      let [same, changed] = [low, high];
      while (changed - same > 1_000) {
        const middle = Math.floor((same + changed) / 2_000) * 1_000;
        if (offsetAt(middle) === before) same = middle;
        else changed = middle;
      }
      found.push({ zone, instant: changed, before, after });
    }
    low = high;
    before = after;
  }
  return found;
}

/** The fires of one day around a transition by the written rule, in minutes, without a look at how `Cron` does it. */
function firesByRule(
  transition: Transition,
  matches: (wall: Date) => boolean,
  isInterval: boolean,
): number[] {
  const { instant, before, after } = transition;
  const fires = new Set<number>();
  for (let at = instant - 12 * HOUR; at <= instant + 12 * HOUR; at += MINUTE) {
    const repeated = at >= instant && at + after < instant + before;
    if (matches(new Date(at + (at < instant ? before : after))) && (isInterval || !repeated)) {
      fires.add(at);
    }
  }
  if (!isInterval) {
    for (let wall = instant + before; wall < instant + after; wall += MINUTE) {
      if (matches(new Date(wall))) fires.add(instant);
    }
  }
  return [...fires].sort((a, b) => a - b);
}

test("in every zone, at every transition of 2020–2035, fires are those of the written rule", () => {
  const random = randomNumbers(11);
  const whole = (below: number): number => Math.floor(random() * below);
  const transitions = Intl.supportedValuesOf("timeZone").flatMap(transitionsOf);
  const crons = new Map<string, Cron>();

  for (const transition of transitions) {
    const { zone, instant, before } = transition;
    // Near the hour that changes, whichever it is.
    const hour = (new Date(instant + before).getUTCHours() + whole(5) + 22) % 24;
    const minute = whole(12) * 5;
    const [expression, matches, isInterval] = ([
      [
        `${minute} ${hour} * * *`,
        (wall) => wall.getUTCHours() === hour && wall.getUTCMinutes() === minute,
        false,
      ],
      [
        `0,${minute || 30} ${hour} * * *`,
        (wall) =>
          wall.getUTCHours() === hour &&
          (wall.getUTCMinutes() === 0 || wall.getUTCMinutes() === (minute || 30)),
        false,
      ],
      [`${minute} * * * *`, (wall) => wall.getUTCMinutes() === minute, true],
      [`*/20 * * * *`, (wall) => wall.getUTCMinutes() % 20 === 0, true],
      [
        `*/15 ${hour} * * *`,
        (wall) => wall.getUTCHours() === hour && wall.getUTCMinutes() % 15 === 0,
        true,
      ],
    ] as [string, (wall: Date) => boolean, boolean][])[whole(5)]!;
    const key = `${expression} ${zone}`;
    if (!crons.has(key)) crons.set(key, new Cron(expression, zone));
    const cron = crons.get(key)!;

    const expected = firesByRule(transition, matches, isInterval).filter((fire) =>
      Math.abs(fire - instant) <= 4 * HOUR
    );
    const fires: number[] = [];
    for (
      let at = cron.atOrAfter(instant - 4 * HOUR);
      at <= instant + 4 * HOUR;
      at = cron.after(at)
    ) {
      fires.push(at);
    }
    expect(`${key} ${fires.map(iso)}`).toBe(`${key} ${expected.map(iso)}`);

    // From any instant, and not only from a fire, the next one is the same.
    const from = instant - 3 * HOUR + whole(6 * HOUR);
    const next = expected.find((fire) => fire > from);
    const found = cron.after(from);
    expect(`${key} ${next === undefined ? found > instant + 4 * HOUR : iso(found)}`)
      .toBe(`${key} ${next === undefined ? true : iso(next)}`);
  }

  expect(transitions.length).toBeGreaterThan(3_000);
}, 60_000);
