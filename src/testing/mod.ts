/**
 * Tests for handlers, and for code that enqueues. Framework-free: works in any test runner of Node, Deno and Bun.
 *
 * @module
 */
export {
  drain,
  type DrainedJob,
  DrainError,
  type DrainOptions,
  type DrainReport,
} from "./drain.ts";
export { ExpectationError } from "./expectation_error.ts";
export {
  enqueuedJobs,
  expectEnqueued,
  type QueueToLookAt,
  refuteEnqueued,
} from "./expect_enqueued.ts";
export { fakeJob } from "./fake_job.ts";
export type { ExpectedJob, JsonPattern } from "./job_pattern.ts";
export {
  type JobResult,
  runJob,
  type RunJobOptions,
  type RunTransactionalJobOptions,
} from "./run_job.ts";
export {
  inRolledBackTransaction,
  openTestTransaction,
  type PostgresJsRoot,
  type TestTransaction,
} from "./transaction.ts";
