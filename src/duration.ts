import { shown } from "./validate.ts";

/**
 * A length of time: a number of **milliseconds**, or an object of units. A `Temporal.Duration` without years, months and
 * weeks fits. Never a string.
 */
export type Duration =
  | number
  | {
    readonly days?: number;
    readonly hours?: number;
    readonly minutes?: number;
    readonly seconds?: number;
    readonly milliseconds?: number;
  };

const UNITS = {
  days: 86_400_000,
  hours: 3_600_000,
  minutes: 60_000,
  seconds: 1_000,
  milliseconds: 1,
} as const;

/** Longest accepted duration. Anything above is a mistake in units, and `timestamptz` ends in the year 294276. */
export const MAX_DURATION_MS: number = 100 * 365 * UNITS.days;

/** Units that a `Temporal.Duration` has and that have no length in milliseconds, or too fine a one. */
const REFUSED_UNITS = ["years", "months", "weeks", "microseconds", "nanoseconds"];

/**
 * Gives a duration in milliseconds.
 *
 * @throws {TypeError} If `value` is neither a number nor an object of units.
 * @throws {RangeError} If it is negative, not finite, or longer than 100 years.
 */
export function toMs(name: string, value: Duration): number {
  const ms = typeof value === "number" ? value : sumOfUnits(name, value);
  if (Number.isFinite(ms) && ms >= 0 && ms <= MAX_DURATION_MS) return ms;
  throw new RangeError(
    `Cannot use "${name}" as it must be from 0 to 100 years in milliseconds: current value is ${ms}`,
  );
}

/**
 * Gives a duration in milliseconds that is longer than 0.
 *
 * @throws {TypeError} If `value` is neither a number nor an object of units.
 * @throws {RangeError} If it is 0, or out of the range of {@linkcode toMs}.
 */
export function toPositiveMs(name: string, value: Duration): number {
  const ms = toMs(name, value);
  if (ms > 0) return ms;
  throw new RangeError(
    `Cannot use "${name}" as it must be longer than 0: current value is ${ms} ms`,
  );
}

function sumOfUnits(name: string, value: unknown): number {
  if (
    typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date
  ) {
    throw new TypeError(
      `Cannot use "${name}" as it must be a number of milliseconds or an object such as { seconds: 30 }: current value is ${
        shown(value)
      }`,
    );
  }
  const units = value as Record<string, unknown>;
  for (const unit of REFUSED_UNITS) {
    if (!units[unit]) continue;
    throw new RangeError(
      `Cannot use "${name}" as it must be made of days, hours, minutes, seconds and milliseconds: it has "${unit}"`,
    );
  }
  // The units of a Temporal.Duration are getters of its prototype: Object.keys sees none of them.
  for (const key of Object.keys(units)) {
    if (key in UNITS || REFUSED_UNITS.includes(key)) continue;
    throw new TypeError(
      `Cannot use "${name}" as "${key}" is not a unit: known are "days", "hours", "minutes", "seconds", "milliseconds"`,
    );
  }
  let sum = 0;
  let given = false;
  for (const [unit, ms] of Object.entries(UNITS)) {
    const count = units[unit];
    if (count === undefined) continue;
    if (typeof count !== "number") {
      throw new TypeError(
        `Cannot use "${name}" as "${unit}" must be a number: current value is ${shown(count)}`,
      );
    }
    given = true;
    sum += count * ms;
  }
  if (given) return sum;
  throw new TypeError(
    `Cannot use "${name}" as it has no unit: give a number of milliseconds or an object such as { seconds: 30 }`,
  );
}
