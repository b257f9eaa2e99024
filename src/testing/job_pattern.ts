import { type Duration, toMs } from "../duration.ts";
import type { Job } from "../job.ts";
import { int4, knownOptions, nonEmptyText, shown } from "../validate.ts";

/**
 * JSON that a test expects. An object may have more keys than the expected one; an array must be as long. A function is
 * given what is in its place and says whether that will do. So does anything with a method `asymmetricMatch`, such as
 * `expect.any(Number)` of vitest.
 */
export type JsonPattern =
  | null
  | boolean
  | number
  | string
  // deno-lint-ignore no-explicit-any -- so that a function may say what it takes.
  | ((value: any) => boolean)
  | { asymmetricMatch(value: unknown): boolean }
  | readonly JsonPattern[]
  | { readonly [key: string]: JsonPattern };

/** A job that a test expects. What is left out may be anything. */
export interface ExpectedJob {
  /** Name of the handler that is to run it. */
  entrypoint: string;
  /**
   * Bytes, exactly these; a string, exactly its UTF-8; `null`, no payload; anything else is JSON that the payload must
   * hold, see {@linkcode JsonPattern}.
   */
  payload?: Uint8Array | JsonPattern | undefined;
  /** JSON that the headers must hold, see {@linkcode JsonPattern}; `null`, no headers. */
  headers?: { readonly [key: string]: JsonPattern } | null | undefined;
  /** The priority. */
  priority?: number | undefined;
  /** The dedupe key; `null`, none. */
  dedupeKey?: string | null | undefined;
  /** When the job may start: an instant, or a duration counted from its enqueueing. */
  executeAfter?: Duration | Date | undefined;
  /** How far `executeAfter` may be off, either way. @default {{ seconds: 1 }} */
  within?: Duration | undefined;
}

/** One thing in which a job differs from what was expected. */
export interface Difference {
  /** Such as `priority`, or `payload.user.id` inside of JSON. */
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

const FIELDS = [
  "entrypoint",
  "payload",
  "headers",
  "priority",
  "dedupeKey",
  "executeAfter",
  "within",
] as const;

/**
 * Checks what a test gave.
 *
 * @throws {TypeError} If a field is unknown or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function checkExpected(expected: ExpectedJob, more: readonly string[]): void {
  knownOptions("expected", expected, [...FIELDS, ...more]);
  nonEmptyText("entrypoint", expected.entrypoint);
  const { priority, dedupeKey, headers, executeAfter, within } = expected;
  if (priority !== undefined) int4("priority", priority);
  if (dedupeKey !== undefined && dedupeKey !== null) nonEmptyText("dedupeKey", dedupeKey);
  if (headers !== undefined && typeof headers !== "object") {
    throw new TypeError(
      `Cannot use "headers" as it must be an object or null: current value is ${shown(headers)}`,
    );
  }
  if (headers) checkPattern("headers", headers);
  if (!isBytes(expected.payload)) checkPattern("payload", expected.payload);
  if (executeAfter !== undefined && !(executeAfter instanceof Date)) {
    toMs("executeAfter", executeAfter);
  }
  if (within === undefined) return;
  toMs("within", within);
  if (executeAfter === undefined) {
    throw new TypeError(
      `Cannot use "within" as it says how far "executeAfter" may be off: give both`,
    );
  }
}

/** Says in what a job of the queue differs from what was expected. Nothing: it is one. */
export function differences(job: Job, expected: ExpectedJob): Difference[] {
  const found: Difference[] = [];
  const compare = (field: string, wanted: unknown, has: unknown): void => {
    if (wanted === undefined || wanted === has) return;
    found.push({ field, expected: shownJson(wanted), found: shownJson(has) });
  };
  if (job.status !== "queued") {
    found.push({ field: "status", expected: "queued", found: job.status });
  }
  compare("entrypoint", expected.entrypoint, job.entrypoint);
  if (expected.payload !== undefined) found.push(...comparePayload(expected.payload, job.payload));
  if (expected.headers !== undefined) compareJson("headers", expected.headers, job.headers, found);
  compare("priority", expected.priority, job.priority);
  compare("dedupeKey", expected.dedupeKey, job.dedupeKey);
  found.push(...compareInstant(expected, job));
  return found;
}

function comparePayload(
  expected: Uint8Array | JsonPattern,
  payload: Uint8Array | null,
): Difference[] {
  const differs = {
    field: "payload",
    expected: shownExpected(expected),
    found: shownPayload(payload),
  };
  if (expected === null || payload === null) return expected === payload ? [] : [differs];
  if (typeof expected === "string") expected = new TextEncoder().encode(expected);
  if (isBytes(expected)) return sameBytes(expected, payload) ? [] : [differs];
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return [{ ...differs, expected: `JSON ${differs.expected}` }];
  }
  const found: Difference[] = [];
  compareJson("payload", expected, value, found);
  return found;
}

/** Adds each place where `actual` does not hold what `expected` says. */
function compareJson(path: string, expected: unknown, actual: unknown, found: Difference[]): void {
  const differs = (): void => {
    found.push({ field: path, expected: shownJson(expected), found: shownJson(actual) });
  };
  const decide = decisionOf(expected);
  if (decide) {
    if (!decide(actual)) differs();
  } else if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return differs();
    expected.forEach((item, index) => compareJson(`${path}[${index}]`, item, actual[index], found));
  } else if (typeof expected === "object" && expected !== null) {
    if (typeof actual !== "object" || actual === null || Array.isArray(actual)) return differs();
    for (const [key, value] of Object.entries(expected)) {
      const own = Object.hasOwn(actual, key) ? (actual as Record<string, unknown>)[key] : undefined;
      compareJson(/^\w+$/.test(key) ? `${path}.${key}` : `${path}["${key}"]`, value, own, found);
    }
  } else if (expected !== actual) {
    differs();
  }
}

function compareInstant({ executeAfter, within }: ExpectedJob, job: Job): Difference[] {
  if (executeAfter === undefined) return [];
  const toleranceMs = toMs("within", within ?? { seconds: 1 });
  const wanted = executeAfter instanceof Date
    ? executeAfter.getTime()
    : job.created.getTime() + toMs("executeAfter", executeAfter);
  const ms = job.executeAfter.getTime();
  if (Math.abs(ms - wanted) <= toleranceMs) return [];
  const expected = `${new Date(wanted).toISOString()} ± ${toleranceMs} ms`;
  return [{ field: "executeAfter", expected, found: job.executeAfter.toISOString() }];
}

/** How an expected payload is shown. */
export function shownExpected(payload: Uint8Array | JsonPattern): string {
  if (isBytes(payload)) return shownPayload(payload);
  return typeof payload === "string"
    ? shownPayload(new TextEncoder().encode(payload))
    : shownJson(payload);
}

/** A payload as its text where it is one, else as its bytes. */
export function shownPayload(payload: Uint8Array | null): string {
  if (payload === null) return "null";
  if (payload.length === 0) return "no bytes";
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
    // A text of control characters is none.
    if (!/\p{Cc}/u.test(text.replace(/[\t\r\n]/g, ""))) return clipped(text);
  } catch {
    // No text.
  }
  const hex = Array.from(payload.subarray(0, 20), (byte) => byte.toString(16).padStart(2, "0"));
  return `${payload.length} ${payload.length === 1 ? "byte" : "bytes"} ${hex.join(" ")}${
    payload.length > 20 ? " …" : ""
  }`;
}

/** A value as JSON, with matchers by their names. */
export function shownJson(value: unknown): string {
  if (value === undefined) return "nothing";
  if (decisionOf(value)) return named(value);
  return clipped(JSON.stringify(value, (_, item) => decisionOf(item) ? named(item) : item));
}

/** The name of a matcher, or what a function does. */
function named(matcher: unknown): string {
  const { toAsymmetricMatcher } = matcher as { toAsymmetricMatcher?: () => unknown };
  if (typeof matcher === "function") return clipped(String(matcher));
  return toAsymmetricMatcher ? String(toAsymmetricMatcher.call(matcher)) : shown(matcher);
}

function clipped(text: string): string {
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

/** What decides in place of a comparison, if anything does. */
function decisionOf(pattern: unknown): ((value: unknown) => boolean) | undefined {
  if (typeof pattern === "function") return pattern as (value: unknown) => boolean;
  const matcher = pattern as { asymmetricMatch?: (value: unknown) => boolean } | null | undefined;
  return typeof matcher?.asymmetricMatch === "function"
    ? (value) => matcher.asymmetricMatch!(value)
    : undefined;
}

/** Refuses what would be taken for an object without keys, which every object matches: a matcher of `bun test`, a Map. */
function checkPattern(name: string, pattern: unknown): void {
  if (typeof pattern !== "object" || pattern === null || decisionOf(pattern)) return;
  const prototype = Object.getPrototypeOf(pattern);
  if (!Array.isArray(pattern) && prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(
      `Cannot use "${name}" as it must be JSON: current value is ${
        shown(pattern)
      }, give a function that decides`,
    );
  }
  for (const [key, value] of Object.entries(pattern)) checkPattern(`${name}.${key}`, value);
}

/** Not instanceof: the bytes may come from another realm. */
function isBytes(value: unknown): value is Uint8Array {
  return Object.prototype.toString.call(value) === "[object Uint8Array]";
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
