import { shown } from "./validate.ts";

const DAY_MS = 86_400_000;

/** Steps in which a change of the clock is looked for. No zone has changed its clock twice in so short a time since 1970. */
const STEP_MS = 10 * DAY_MS;

/** A change of the clock on the wall. All in milliseconds. */
export interface Transition {
  readonly instant: number;
  /** Offset from UTC until then. */
  readonly before: number;
  /** Offset from UTC from then on. */
  readonly after: number;
}

/** What the clock on the wall shows in a time zone. Instants and times on the wall are in milliseconds since 1970. */
export class TimeZone {
  /** IANA name. */
  readonly name: string;
  readonly #format: Intl.DateTimeFormat;

  /**
   * @throws {TypeError} If the name is no string.
   * @throws {RangeError} If the zone is unknown.
   */
  constructor(name: string) {
    if (typeof name !== "string") {
      throw new TypeError(
        `Cannot use "timeZone" as it must be a string such as "Europe/Oslo": current value is ${
          shown(name)
        }`,
      );
    }
    try {
      // Some runtimes take offsets such as +02:00 as well, and others refuse them.
      if (!/^[A-Za-z]/.test(name)) throw new RangeError();
      this.#format = new Intl.DateTimeFormat("en-US", {
        timeZone: name,
        hourCycle: "h23",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      });
    } catch (cause) {
      throw new RangeError(
        `Cannot use "timeZone" as it must be an IANA time zone such as "Europe/Oslo": current value is ${
          shown(name)
        }`,
        { cause },
      );
    }
    this.name = name;
  }

  /** Offset from UTC at an instant of whole seconds. */
  offsetAt(instant: number): number {
    if (this.name === "UTC") return 0;
    const [month, day, year, hour, minute, second] = this.#format.format(instant).match(/\d+/g)!
      .map(Number) as [number, number, number, number, number, number];
    return Date.UTC(year, month - 1, day, hour, minute, second) - instant;
  }

  /** The first change of the clock after `from` and not after `to`. */
  transition(from: number, to: number): Transition | null {
    const before = this.offsetAt(from);
    let low = from;
    while (low < to) {
      let high = Math.min(low + STEP_MS, to);
      if (this.offsetAt(high) === before) {
        low = high;
        continue;
      }
      while (high - low > 1_000) {
        const middle = low + Math.ceil((high - low) / 2_000) * 1_000;
        if (this.offsetAt(middle) === before) low = middle;
        else high = middle;
      }
      return { instant: high, before, after: this.offsetAt(high) };
    }
    return null;
  }
}
