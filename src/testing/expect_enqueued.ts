import { getQueue, type TransactionHandle } from "../get_queue.ts";
import type { Job, JobStatus } from "../job.ts";
import { Queries } from "../queries/queries.ts";
import { TestingStore } from "../queries/testing.ts";
import { Statements } from "../sql/render.ts";
import { integerAtLeast, knownOptions, nonEmptyText } from "../validate.ts";
import { MOST_JOBS, tooFew, tooMany } from "./expectation_error.ts";
import { checkExpected, differences, type ExpectedJob } from "./job_pattern.ts";

/** Where to look: what {@linkcode getQueue} or `new Queries()` gave, or an open transaction. */
export type QueueToLookAt = Queries | TransactionHandle;

/**
 * Gives the jobs that are enqueued: those of status `queued`, deferred ones included.
 *
 * @param queue A queue, or an open transaction with the default names.
 * @param options `entrypoint`: only its jobs.
 * @returns The jobs, in the order in which they were enqueued.
 * @throws {SchemaError} If the tables are missing or may not be read.
 */
export async function enqueuedJobs(
  queue: QueueToLookAt,
  options: { entrypoint?: string | undefined } = {},
): Promise<Job[]> {
  knownOptions("options", options, ["entrypoint"]);
  const { entrypoint } = options;
  if (entrypoint !== undefined) nonEmptyText("entrypoint", entrypoint);
  return await list(queue, "queued", entrypoint ?? null, null);
}

/**
 * Expects a job to be enqueued.
 *
 * @example After the code under test has run
 * ```ts ignore
 * const job = await expectEnqueued(queue, { entrypoint: "send_welcome", payload: { user: 42 } });
 * await runJob(sendWelcome, job);
 * ```
 *
 * @param queue A queue, or an open transaction with the default names.
 * @param expected What the job must be like.
 * @returns The job; of several the first that was enqueued.
 * @throws {ExpectationError} If there is none. The message shows what is in the queue, and in what the nearest differs.
 * @throws {TypeError} If a field of `expected` is unknown or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function expectEnqueued(queue: QueueToLookAt, expected: ExpectedJob): Promise<Job>;
/**
 * Expects so many jobs to be enqueued.
 *
 * @param queue A queue, or an open transaction with the default names.
 * @param expected What the jobs must be like; `count`: how many there must be, no more and no fewer.
 * @returns The jobs, in the order in which they were enqueued.
 */
export function expectEnqueued(
  queue: QueueToLookAt,
  expected: ExpectedJob & { count: number },
): Promise<Job[]>;
export async function expectEnqueued(
  queue: QueueToLookAt,
  expected: ExpectedJob & { count?: number },
): Promise<Job | Job[]> {
  checkExpected(expected, ["count"]);
  const { count, ...pattern } = expected;
  if (count !== undefined) integerAtLeast("count", count, 1);
  const matching = await matchingJobs(queue, pattern);
  if (matching.length < (count ?? 1)) {
    const jobs = await list(queue, null, null, MOST_JOBS);
    throw tooFew(pattern, count ?? 1, matching, jobs);
  }
  if (count === undefined) return matching[0]!;
  if (matching.length > count) throw tooMany(pattern, count, matching);
  return matching;
}

/**
 * Expects no such job to be enqueued. Expect as little as possible: a pattern with a mistake in it matches nothing.
 *
 * @param queue A queue, or an open transaction with the default names.
 * @param unexpected What no job may be like.
 * @throws {ExpectationError} If there is one. The message shows it.
 * @throws {TypeError} If a field of `unexpected` is unknown or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export async function refuteEnqueued(
  queue: QueueToLookAt,
  unexpected: ExpectedJob,
): Promise<void> {
  checkExpected(unexpected, []);
  const matching = await matchingJobs(queue, unexpected);
  if (matching.length > 0) throw tooMany(unexpected, 0, matching);
}

async function matchingJobs(queue: QueueToLookAt, pattern: ExpectedJob): Promise<Job[]> {
  const jobs = await list(queue, "queued", pattern.entrypoint, null);
  return jobs.filter((job) => differences(job, pattern).length === 0);
}

async function list(
  handle: QueueToLookAt,
  status: JobStatus | null,
  entrypoint: string | null,
  limit: number | null,
): Promise<Job[]> {
  const queue = handle instanceof Queries ? handle : getQueue(handle);
  const store = new TestingStore(queue.executor, new Statements(queue.settings));
  return await store.list(status, entrypoint, limit);
}
