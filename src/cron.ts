import { Cron as Croner } from "croner";
import { cronPattern, normalizeCron, refused } from "./cron_expression.ts";
import { TimeZone } from "./time_zone.ts";

/** Clocks go back by an hour or two, and by a day where a country moves to the other side of the date line. */
const LONGEST_REPEAT_MS = 25 * 3_600_000;

/**
 * When a cron expression fires in a time zone.
 *
 * **Daylight saving.** An expression whose seconds, minutes and hours are plain numbers, lists or ranges means times of
 * day: one that the clock jumps over fires at the jump, once however many were jumped over; one that comes twice fires
 * the first time only. An expression with `*` or a step in one of these fields means intervals: it fires whenever the
 * clock on the wall matches, so in both passes of an hour that comes twice, and not for an hour that is jumped over.
 *
 * If day of month and day of week are both given, either is enough.
 *
 * @example The night in which clocks in Oslo jump from 02:00 to 03:00
 * ```ts ignore
 * const cron = new Cron("30 2 * * *", "Europe/Oslo");
 *
 * new Date(cron.after(Date.UTC(2026, 2, 28, 12))); // 2026-03-29T01:00Z, which is 03:00 in Oslo
 * ```
 */
export class Cron {
  /** The text under which it stands in the table. */
  readonly expression: string;
  readonly #zone: TimeZone;
  /** Matches times on the wall, which it takes for UTC. */
  readonly #pattern: Croner;
  /** Whether the expression means times of day, and not intervals. */
  readonly #isTimeOfDay: boolean;

  /**
   * @param expression Five fields, or six with the seconds last, or a nickname such as `@hourly`.
   * @param timeZone IANA name, such as `Europe/Oslo`.
   * @throws {TypeError} If an argument is no string.
   * @throws {RangeError} If the expression is none, never fires, or the zone is unknown.
   */
  constructor(expression: string, timeZone = "UTC") {
    this.expression = normalizeCron(expression);
    this.#zone = new TimeZone(timeZone);
    const pattern = cronPattern(this.expression);
    try {
      this.#pattern = new Croner(pattern, { mode: "6-part", timezone: "UTC" });
    } catch (error) {
      throw refused(expression, `${error}`);
    }
    this.#isTimeOfDay = !/[*/]/.test(pattern.split(" ").slice(0, 3).join());
    if (this.#pattern.nextRun(new Date(0)) === null) {
      throw refused(expression, "it must fire at some time, and no such day exists");
    }
  }

  /** The first fire after an instant. Both in milliseconds since 1970. */
  after(instant: number): number {
    // From here on until the first transition the clock on the wall is this much ahead of UTC.
    let from = Math.floor(instant / 1_000) * 1_000;
    let offset = this.#zone.offsetAt(from);
    let wall = this.#skipRepeated(from, from + offset);
    while (true) {
      const match = this.#nextMatch(wall);
      const transition = this.#zone.transition(from, match - offset);
      if (transition === null) return match - offset;

      const [end, start] = [
        transition.instant + transition.before,
        transition.instant + transition.after,
      ];
      // Jumped over: the times from `end` to `start` on the wall.
      if (this.#isTimeOfDay && match < start) return transition.instant;
      from = transition.instant;
      offset = transition.after;
      // Repeated: the times from `start` to `end`.
      wall = (this.#isTimeOfDay ? Math.max(start, end) : start) - 1_000;
    }
  }

  /** The first matching time on the wall after another. */
  #nextMatch(wall: number): number {
    // What has matched once matches again, at the latest after the leap year that 2100 is not.
    return this.#pattern.nextRun(new Date(wall))!.getTime();
  }

  /** Gives `wall`, or the end of the times that come twice if it is in their second pass and they fire once. */
  #skipRepeated(instant: number, wall: number): number {
    if (!this.#isTimeOfDay) return wall;
    const transition = this.#zone.transition(instant - LONGEST_REPEAT_MS, instant);
    return transition === null
      ? wall
      : Math.max(wall, transition.instant + transition.before - 1_000);
  }

  /** The first fire at or after an instant. */
  atOrAfter(instant: number): number {
    return this.after(instant - 1);
  }

  /** The last fire at or before `instant`, where `fire` is known to be one at or before it. */
  lastFrom(fire: number, instant: number): number {
    if (this.after(fire) > instant) return fire;
    let last = fire;
    // No fire is between this and the instant.
    let end = instant + 1;
    while (end - last > 1_000) {
      const middle = last + Math.ceil((end - last) / 2_000) * 1_000;
      const next = this.atOrAfter(middle);
      if (next <= instant) last = next;
      else end = middle;
    }
    return last;
  }

  /** The last fire before an instant. */
  before(instant: number): number {
    let stepMs = 1_000;
    while (this.atOrAfter(instant - stepMs) >= instant) stepMs *= 2;
    return this.lastFrom(this.atOrAfter(instant - stepMs), instant - 1);
  }
}

/** What becomes of fires that came due while nobody could run them. */
export type MissedFires = "none" | "latest" | "all";

/** Fires later than this were missed. A worker that reconnects or is busy for a moment is only late. */
export const LATE_MS = 30_000;

/** What to do about a row whose next fire was due at some time. */
export type FirePlan =
  /** Nothing is due: look again at this instant. */
  | { readonly kind: "wait"; readonly until: number }
  /** Every due fire is too old: only move the row on. */
  | { readonly kind: "skip"; readonly next: number }
  /** One fire is to run, and the row to move on. `next` may have come already where all missed fires run. */
  | { readonly kind: "fire"; readonly due: number; readonly next: number };

/**
 * Says what is to be done about a row of the table. All instants are in milliseconds since 1970.
 *
 * @param cron When it fires.
 * @param dueFrom `next_run` of the row: every earlier fire is settled.
 * @param now The time by the database's clock.
 * @param missed What becomes of missed fires.
 * @param windowMs How old a missed fire may be to run all the same.
 */
export function planFire(
  cron: Cron,
  dueFrom: number,
  now: number,
  missed: MissedFires,
  windowMs: number,
): FirePlan {
  // An operator who sets next_run to infinity stops the schedule.
  if (dueFrom === Infinity) return { kind: "wait", until: Infinity };
  if (dueFrom > now) return { kind: "wait", until: cron.atOrAfter(dueFrom) };

  const reachMs = missed === "none" ? LATE_MS : Math.max(LATE_MS, windowMs);
  const oldest = cron.atOrAfter(Math.max(dueFrom, now - reachMs));
  if (oldest > now) {
    return cron.atOrAfter(Math.max(dueFrom, 0)) > now
      ? { kind: "wait", until: oldest }
      : { kind: "skip", next: oldest };
  }
  if (missed === "all") return { kind: "fire", due: oldest, next: cron.after(oldest) };
  return { kind: "fire", due: cron.lastFrom(oldest, now), next: cron.after(now) };
}
