import type { Driver, Parameter, TransactionEnd, Transactions } from "../driver.ts";
import { JobTimeoutError } from "../errors.ts";
import type { Job, JobId, JobStatus } from "../job.ts";
import type { PgQueuer } from "../pg_queuer.ts";
import { explained } from "../queries/database_error.ts";
import { TestingStore } from "../queries/testing.ts";
import { RetryRequested } from "../retry.ts";
import { Statements } from "../sql/render.ts";
import { stackOf } from "../traceback.ts";
import { knownOptions, oneOf } from "../validate.ts";
import type { Entrypoint } from "../worker/entrypoint.ts";
import type { JobContext } from "../worker/run_job.ts";
import type { Manager } from "../worker/together.ts";

/** Options for {@linkcode drain}. */
export interface DrainOptions {
  /**
   * What becomes of a job that is not due yet, or waits for its next attempt: `"leave"` leaves it, `"run"` runs it now.
   *
   * @default {"leave"}
   */
  deferred?: "leave" | "run" | undefined;
  /**
   * What to do when a job has failed: `"throw"` throws a {@linkcode DrainError}, so that no failure goes unseen;
   * `"report"` leaves it to the caller to look at the report.
   *
   * @default {"throw"}
   */
  failures?: "throw" | "report" | undefined;
}

/** A job that {@linkcode drain} has run. */
export interface DrainedJob {
  /** The job as its last attempt got it. */
  readonly job: Job;
  /**
   * How it ended: `successful`, `exception`, `failed` (held) or `canceled`; `queued` if it is to run again later, and
   * `deleted` if somebody removed it.
   */
  readonly status: JobStatus;
  /** How often it has run in this drain. */
  readonly runs: number;
  /** What its last attempt threw; `undefined` if it did not. */
  readonly error: unknown;
}

/** What became of the jobs of a {@linkcode drain}. */
export interface DrainReport {
  /** Jobs that were done. */
  readonly successful: number;
  /** Jobs that failed and were deleted. */
  readonly exception: number;
  /** Jobs that failed and are held. */
  readonly failed: number;
  /** Jobs that were canceled while they ran. */
  readonly canceled: number;
  /** Jobs that are to run again later. */
  readonly queued: number;
  /** Each job that was run, in the order of the first start. */
  readonly jobs: readonly DrainedJob[];
}

/** Thrown by {@linkcode drain} when a job has failed. Its cause is what the first of them threw. */
export class DrainError extends Error {
  override readonly name = "DrainError";
  /** What became of each job. */
  readonly report: DrainReport;

  constructor(report: DrainReport, failures: readonly DrainedJob[]) {
    super(
      `Cannot drain as every job must end well: ${failures.length} of ${report.jobs.length} failed\n\n${
        failures.map(describe).join("\n\n")
      }`,
      { cause: failures[0]?.error },
    );
    this.report = report;
  }
}

/** A job that has run so often in one drain would run for ever. */
const MOST_RUNS = 100;

/** What is known of a job while the drain goes on. */
interface Run {
  job: Job;
  runs: number;
  error: unknown;
}

/**
 * Runs the jobs that are ready, one after another in their order, until none is left: those that handlers enqueue and
 * those that are to be retried at once included. Then says how each ended.
 *
 * It is the worker that runs them, with these differences: rates and limits do not count, so that a test does not wait;
 * schedules do not fire; the log is not counted into the statistics; the driver stays open, so that a test can drain
 * again; and an error of the database ends it, where a worker would wait for better times.
 *
 * @example Everything that follows from one enqueue
 * ```ts ignore
 * await inRolledBackTransaction(sql, async ({ queue, driver }) => {
 *   const pgq = new PgQueuer(driver);
 *   register(pgq);
 *   await queue.enqueue("send_welcome", new TextEncoder().encode("42"));
 *
 *   const report = await drain(pgq);
 *
 *   assert.equal(report.successful, 1);
 * });
 * ```
 *
 * @param pgq A worker with its entrypoints, on a driver of its own or on that of a {@linkcode TestTransaction}.
 * @param options What to do about deferred jobs and about failures.
 * @returns What became of each job.
 * @throws {DrainError} If a job failed: its handler threw, other than to ask for another attempt.
 * @throws {SchemaError} If the tables are missing, older than this version, or may not be used.
 * @throws {TypeError} If an option is unknown.
 * @throws {RangeError} If an option has a value that it cannot have.
 * @throws {Error} If no entrypoint is registered, the worker runs or was stopped, the database gave an error, or a job was
 * run a hundred times.
 */
export async function drain(pgq: PgQueuer, options: DrainOptions = {}): Promise<DrainReport> {
  knownOptions("options", options, ["deferred", "failures"]);
  const deferred = oneOf("deferred", options.deferred ?? "leave", ["leave", "run"]);
  const failures = oneOf("failures", options.failures ?? "throw", ["throw", "report"]);
  const { executor, settings } = pgq.queries;
  const store = new TestingStore(executor, new Statements(settings));
  const runs = new Map<JobId, Run>();
  do await runReady(pgq, runs); while (
    deferred === "run" && await store.makeDue(pgq.entrypoints) > 0
  );

  const statuses = await pgq.queries.jobStatus([...runs.keys()]);
  const report = reportOf(Array.from(runs.values(), (run) => ({
    ...run,
    status: statuses.get(run.job.id) ?? "deleted",
  })));
  const failed = report.jobs.filter(isFailure);
  if (failures === "throw" && failed.length > 0) throw new DrainError(report, failed);
  return report;
}

/** Runs what is ready and writes down what happens. */
async function runReady(pgq: PgQueuer, runs: Map<JobId, Run>): Promise<void> {
  let manager: Manager | undefined;
  let fail!: (error: unknown) => void;
  const failed = new Promise<never>((_, reject) =>
    fail = (error) => {
      manager?.stop();
      manager?.hurry();
      reject(error);
    }
  );
  const run = pgq.runAdapted(
    { mode: "drain", batchSize: 1, maxConcurrentTasks: 1, heartbeatTimeout: 0 },
    (parts) => {
      if (parts.stopped()) {
        throw new Error("Cannot drain as the worker was stopped: make a new one");
      }
      return {
        ...parts,
        driver: failing(
          parts.driver,
          (error) => fail(explained(error, "drain", parts.settings)),
        ),
        entrypoints: new Map(Array.from(parts.entrypoints, ([name, entrypoint]) => [
          name,
          noting(entrypoint, runs, fail),
        ])),
        schedules: [],
        statistics: false,
        onManager(made, vitals) {
          manager = made;
          parts.onManager(made, vitals);
        },
      };
    },
  );
  // Where the database gave an error, the run may take a while to give up.
  await Promise.race([run, failed]);
}

/** A driver that tells of its first error: a test is to fail, not to wait until the database is well again. */
function failing(driver: Driver, onError: (error: unknown) => void): Driver {
  return {
    async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
      try {
        return await driver.query<Row>(text, parameters);
      } catch (error) {
        onError(error);
        throw error;
      }
    },
    ...(driver.inTransaction && { inTransaction: true }),
    ...(driver.transactions && { transactions: failingToOpen(driver.transactions, onError) }),
    script: (text) => driver.script(text),
    listen: (channel, listener) => driver.listen(channel, listener),
    close: () => driver.close(),
  };
}

/** The same for transactions of handlers: a worker would wait until one can be opened. */
function failingToOpen(
  { max, run }: Transactions,
  onError: (error: unknown) => void,
): Transactions {
  return {
    max,
    async run(work, onLost): Promise<TransactionEnd> {
      try {
        return await run(work, onLost);
      } catch (error) {
        onError(error);
        throw error;
      }
    },
  };
}

/** The entrypoint without limits, whose handler writes down how each attempt went. */
function noting(
  entrypoint: Entrypoint,
  runs: Map<JobId, Run>,
  fail: (error: unknown) => void,
): Entrypoint {
  return {
    ...entrypoint,
    concurrencyLimit: 0,
    requestsPerSecond: Infinity,
    serializedDispatch: false,
    async handler(job: Job, context: JobContext): Promise<void> {
      const run = runs.get(job.id) ?? { job, runs: 0, error: undefined };
      runs.set(job.id, run);
      Object.assign(run, { job, runs: run.runs + 1, error: undefined });
      if (run.runs > MOST_RUNS) {
        const error = new Error(
          `Cannot drain as a job must come to an end: job ${job.id} of ${job.entrypoint} has run ${MOST_RUNS} times`,
        );
        fail(error);
        throw error;
      }
      try {
        await entrypoint.handler(job, context);
      } catch (error) {
        run.error = error;
        throw error;
      } finally {
        const { reason } = context.signal;
        if (reason instanceof JobTimeoutError) run.error = reason;
      }
    },
  };
}

function reportOf(jobs: readonly DrainedJob[]): DrainReport {
  const count = (status: JobStatus): number => jobs.filter((job) => job.status === status).length;
  return {
    successful: count("successful"),
    exception: count("exception"),
    failed: count("failed"),
    canceled: count("canceled"),
    queued: count("queued"),
    jobs,
  };
}

/** A job that waits for its next attempt since its handler threw is one too, unless the handler asked for it. */
function isFailure({ status, error }: DrainedJob): boolean {
  if (status === "exception" || status === "failed") return true;
  return status === "queued" && error !== undefined && !(error instanceof RetryRequested);
}

function describe({ job, status, runs, error }: DrainedJob): string {
  const after = runs === 1 ? "" : ` after ${runs} runs`;
  return `job ${job.id} of ${job.entrypoint} (${status}${after}): ${stackOf(error)}`;
}
