import { shown } from "./validate.ts";

/** What a field may hold, in the order of the text. The seconds stand last, and may be missing. */
const FIELDS = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day of month", min: 1, max: 31 },
  { name: "month", min: 1, max: 12 },
  { name: "day of week", min: 0, max: 7 },
  { name: "second", min: 0, max: 59 },
] as const;

type Field = (typeof FIELDS)[number];

const NICKNAMES: Readonly<Record<string, string>> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

const NAMES: Readonly<Record<string, readonly string[]>> = {
  month: ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  "day of week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/** Text of a longer expression would not fit the index of the table beside the entrypoint's name. */
const MAX_LENGTH = 500;

/**
 * Gives the text under which a cron expression stands in the table: nicknames written out, lower case, one space between
 * fields. Numbers and names stay as they were written, since the Python project does the same and the text is the key.
 *
 * @param expression Five fields, or six with the seconds **last**, or a nickname such as `@hourly`.
 * @throws {TypeError} If it is no string.
 * @throws {RangeError} If it is no cron expression, or one that cron libraries read in different ways.
 */
export function normalizeCron(expression: string): string {
  if (typeof expression !== "string") {
    throw new TypeError(
      `Cannot use "cron" as it must be a string such as "0 3 * * *": current value is ${
        shown(expression)
      }`,
    );
  }
  const lower = expression.toLowerCase();
  const fields = (NICKNAMES[lower] ?? lower).split(/[ \t\n\r\f\v]+/).filter((field) =>
    field !== ""
  );
  if (fields.length !== 5 && fields.length !== 6) {
    throw refused(expression, "it must have 5 fields, or 6 with the seconds last");
  }
  const text = fields.join(" ");
  if (text.length > MAX_LENGTH) {
    throw refused(expression, `it must have at most ${MAX_LENGTH} characters`);
  }
  return text;
}

/**
 * Writes an expression in normal form as the matcher takes it: seconds first, and dates as lists that every library
 * reads alike.
 *
 * @throws {RangeError} If it is no cron expression, or one that cron libraries read in different ways.
 */
export function cronPattern(expression: string): string {
  const texts = expression.split(" ");
  const patterns = texts.map((text, index) => fieldPattern(text, FIELDS[index]!, expression));
  const [minute, hour, day, month, weekday, second = "0"] = patterns as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  // Beside each other either is enough, and libraries differ in whether a list of all counts as "*".
  const everyDay = day !== "*" && new Set(day.split(",")).size >= 31;
  const everyWeekday = weekday !== "*" && new Set(weekday.split(",")).size === 7;
  if (day !== "*" && weekday !== "*" && (everyDay || everyWeekday)) {
    throw refused(expression, 'it must have "*" where every day is meant');
  }
  if (day !== "*" && weekday.includes("#")) {
    throw refused(expression, 'it must not have "#" beside a day of the month');
  }
  return [second, minute, hour, day, month, weekday].join(" ");
}

/** Writes one field in the way that the matcher reads as the Python project's does. */
function fieldPattern(text: string, field: Field, expression: string): string {
  const refuse = (why: string): RangeError =>
    refused(expression, `its ${field.name} "${text}" ${why}`);
  if (text === "*") return text;
  if (text === "?" && field.name.startsWith("day")) return "*";
  const isDate = field.name.startsWith("day") || field.name === "month";

  return text.split(",").map((item) => {
    if (item === "l" && field.name === "day of month") return "L";
    const [, start, end, step, nth] =
      /^([a-z]+|\d+|\*)(?:-([a-z]+|\d+))?(?:\/(\d+))?(?:#([1-5]))?$/.exec(item) ?? [];
    if (start === undefined) throw refuse("must be a list of numbers, ranges and steps");
    if (start === "*" && (step === undefined || end !== undefined)) {
      throw refuse('must be either "*" or a list');
    }
    if (nth !== undefined) {
      if (field.name !== "day of week" || end !== undefined || step !== undefined) {
        throw refuse('must have "#" only behind a day of the week');
      }
      // Libraries differ in what these mean.
      if (/(^|,)[^#]+(,|$)/.test(text)) throw refuse('must have "#" in each part or in none');
      return `${numberOf(start, field, refuse) % 7}#${nth}`;
    }
    if (step !== undefined && (Number(step) < 1 || Number(step) > sizeOf(field))) {
      throw refuse(`must have steps from 1 to ${sizeOf(field)}`);
    }
    // The hours, minutes and seconds keep their steps: they make the difference between times of day and intervals.
    if (start === "*" && !isDate) return item;
    const low = start === "*" ? field.min : numberOf(start, field, refuse);
    const last = field.name === "day of week" ? 6 : field.max;
    const high = end !== undefined ? numberOf(end, field, refuse) : step === undefined ? low : last;
    if (end !== undefined && (low === high || low === high + 7)) {
      throw refuse("must not have a range of one");
    }
    if (low > high && step !== undefined) {
      throw refuse("must not have a step in a range that wraps");
    }
    if (!isDate && low <= high) {
      return step === undefined
        ? (end === undefined ? `${low}` : `${low}-${high}`)
        : `${low}-${high}/${step}`;
    }
    return range(low, high, Number(step ?? 1), field).join(",");
  }).join(",");
}

/** The values of a range, which may wrap at the end of the field as `fri-mon` does. */
function range(low: number, high: number, step: number, field: Field): number[] {
  const values: number[] = [];
  const last = low > high ? high + sizeOf(field) : high;
  for (let value = low; value <= last; value += step) {
    values.push((value - field.min) % sizeOf(field) + field.min);
  }
  return values;
}

/** How many values a field has. Sunday is both 0 and 7. */
function sizeOf(field: Field): number {
  return field.name === "day of week" ? 7 : field.max - field.min + 1;
}

function numberOf(text: string, field: Field, refuse: (why: string) => RangeError): number {
  const named = NAMES[field.name]?.indexOf(text) ?? -1;
  const number = named >= 0 ? named : /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= field.min && number <= field.max) return number;
  const last = NAMES[field.name]?.at(-1);
  throw refuse(
    `must be from ${field.min} to ${field.max}${
      last === undefined ? "" : `, or a name such as ${last}`
    }`,
  );
}

/** The error about an expression that cannot be used. */
export function refused(expression: string, why: string): RangeError {
  return new RangeError(
    `Cannot use "cron" as ${why}: current value is ${shown(expression)}`,
  );
}
