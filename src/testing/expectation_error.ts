import type { Job } from "../job.ts";
import {
  type Difference,
  differences,
  type ExpectedJob,
  shownExpected,
  shownJson,
  shownPayload,
} from "./job_pattern.ts";

/** Lines of a message that show one job each. */
const MOST_LINES = 20;

/** Jobs among which the nearest is looked for: the newest, as the queue of a development database may be a long one. */
export const MOST_JOBS = 1_000;

/**
 * Thrown when the queue is not as a test expects. Has the name and the fields by which test runners know a failed
 * assertion and show a difference.
 */
export class ExpectationError extends Error {
  override readonly name = "AssertionError";
  /** As Node's own assertions have it. */
  readonly code = "ERR_ASSERTION";
  /** What was expected where the nearest job differs. */
  readonly expected: unknown;
  /** What the nearest job has there. */
  readonly actual: unknown;
  /** The function that threw. */
  readonly operator: string;
  /** Whether to show the difference of `expected` and `actual`. */
  readonly showDiff: boolean;

  constructor(
    message: string,
    details: { expected: unknown; actual: unknown; operator: string; showDiff: boolean },
  ) {
    super(message);
    this.expected = details.expected;
    this.actual = details.actual;
    this.operator = details.operator;
    this.showDiff = details.showDiff;
  }
}

/** Fewer jobs match than were expected. */
export function tooFew(
  pattern: ExpectedJob,
  count: number,
  matching: readonly Job[],
  jobs: readonly Job[],
): ExpectationError {
  const others = jobs.filter((job) => !matching.some(({ id }) => id === job.id));
  const [nearest] = others
    .map((job) => ({ job, found: differences(job, pattern) }))
    .sort((left, right) => distance(left.found) - distance(right.found));
  const sections = [["expected", [shownPattern(pattern)]], ["matching", lines(matching)]] as [
    string,
    string[],
  ][];
  if (nearest) {
    sections.push(["nearest", [`job ${nearest.job.id}`, ...table(nearest.found)]]);
    sections.push([matching.length > 0 ? "others" : "queue", lines(others)]);
  }
  return new ExpectationError(
    `Cannot find ${count === 1 ? "the expected job" : `${count} expected jobs`} in the queue: ${
      whatIs(matching.length, jobs.length)
    }\n\n${shownSections(sections)}`,
    {
      operator: "expectEnqueued",
      expected: byField(nearest?.found ?? [], "expected"),
      actual: byField(nearest?.found ?? [], "found"),
      showDiff: nearest !== undefined && matching.length === 0,
    },
  );
}

function whatIs(matching: number, jobs: number): string {
  if (jobs === 0) return "it is empty";
  if (matching > 0) return matching === 1 ? "1 job matches" : `${matching} jobs match`;
  if (jobs === 1) return "its one job does not match";
  return `none of ${jobs === MOST_JOBS ? "the newest " : "its "}${jobs} jobs matches`;
}

/** More jobs match than were expected. */
export function tooMany(
  pattern: ExpectedJob,
  count: number,
  matching: readonly Job[],
): ExpectationError {
  const most = count === 0 ? "no such job" : `${counted(count)} of that kind`;
  return new ExpectationError(
    `Cannot accept the queue as it must hold ${most}: it holds ${matching.length}\n\n${
      shownSections([[count === 0 ? "unexpected" : "expected", [shownPattern(pattern)]], [
        "matching",
        lines(matching),
      ]])
    }`,
    {
      operator: count === 0 ? "refuteEnqueued" : "expectEnqueued",
      expected: count,
      actual: matching.length,
      showDiff: false,
    },
  );
}

/** A job of another entrypoint is further away than one that differs in a detail or two. */
function distance(found: readonly Difference[]): number {
  return found.reduce((sum, { field }) => sum + (field === "entrypoint" ? 3 : 1), 0);
}

function byField(
  found: readonly Difference[],
  side: "expected" | "found",
): Record<string, string> {
  return Object.fromEntries(found.map((difference) => [difference.field, difference[side]]));
}

function shownPattern({ entrypoint, within, ...fields }: ExpectedJob): string {
  const parts = Object.entries(fields).filter(([, value]) => value !== undefined).map(
    ([field, value]) => {
      if (field === "payload") return `payload ${shownExpected(value as Uint8Array)}`;
      if (value instanceof Date) return `${field} ${value.toISOString()}`;
      return `${field} ${field === "executeAfter" ? shownDuration(value) : shownJson(value)}`;
    },
  );
  if (within !== undefined) parts.push(`within ${shownDuration(within)}`);
  return [entrypoint, ...parts].join(", ");
}

function shownDuration(value: unknown): string {
  return typeof value === "number" ? `${value} ms` : shownJson(value);
}

function shownJob(job: Job): string {
  const delayMs = job.executeAfter.getTime() - job.created.getTime();
  return [
    `job ${job.id}  ${job.entrypoint}`,
    ...job.status === "queued" ? [] : [job.status],
    `payload ${shownPayload(job.payload)}`,
    ...job.priority === 0 ? [] : [`priority ${job.priority}`],
    ...job.dedupeKey === null ? [] : [`dedupeKey ${shownJson(job.dedupeKey)}`],
    ...job.headers === null ? [] : [`headers ${shownJson(job.headers)}`],
    ...delayMs === 0 ? [] : [`executeAfter ${job.executeAfter.toISOString()}`],
  ].join(", ");
}

function lines(jobs: readonly Job[]): string[] {
  const shown = jobs.slice(0, MOST_LINES).map(shownJob);
  return jobs.length > MOST_LINES ? [...shown, `and ${jobs.length - MOST_LINES} more`] : shown;
}

function table(found: readonly Difference[]): string[] {
  return found.flatMap(({ field, expected, found }) => [
    `  ${field}`,
    `    expected ${expected}`,
    `    found    ${found}`,
  ]);
}

/** Each section's name stands before its first line. */
function shownSections(sections: readonly (readonly [string, readonly string[]])[]): string {
  return sections.filter(([, content]) => content.length > 0).map(([name, content]) =>
    content.map((line, index) => `${(index === 0 ? name : "").padEnd(12)}${line}`).join("\n")
  ).join("\n\n");
}

function counted(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}
