import type { Duration } from "../duration.ts";
import { JobCanceledError, PgQueuerError } from "../errors.ts";
import type { Job } from "../job.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { afterFailure, type OnFailure, type RetryOptions } from "../retry.ts";
import { knownOptions, shown } from "../validate.ts";
import { Attempt } from "../worker/attempt.ts";
import { type Entrypoint, resolveEntrypoint } from "../worker/entrypoint.ts";
import { momentNow } from "../worker/moment.ts";
import type { Handler, HandlerOutcome, TransactionalHandler } from "../worker/run_job.ts";

/** Options for {@linkcode runJob}. */
export interface RunJobOptions<Resources = unknown> {
  /** As the option of the entrypoint: longest that the attempt may take. `0` is no limit. @default {0} */
  timeout?: Duration | undefined;
  /** As the option of the entrypoint: whether and when a job whose handler threw runs again. @default off */
  retry?: RetryOptions | undefined;
  /** As the option of the entrypoint: what becomes of a job whose last attempt failed. @default {"delete"} */
  onFailure?: OnFailure | undefined;
  /** What `context.log` writes to. @default nowhere */
  logger?: Logger | undefined;
  /** `context.resources`: what the worker would give to all its handlers, or what stands for it. @default {undefined} */
  resources?: Resources | undefined;
  /**
   * Aborts `context.signal`, as a cancel does. Abort it with a {@linkcode ShutdownError} or {@linkcode LeaseLostError} and
   * it is that.
   *
   * @default never aborted
   */
  signal?: AbortSignal | undefined;
}

/** Options for {@linkcode runJob} with the handler of a transactional entrypoint. */
export interface RunTransactionalJobOptions<Transaction, Resources = unknown>
  extends RunJobOptions<Resources> {
  /**
   * `context.tx`: an open transaction, such as that of {@linkcode inRolledBackTransaction}, or what stands for it. It is
   * neither committed nor rolled back.
   */
  tx: Transaction;
}

/** What a worker would make of an attempt. */
export type JobResult =
  /** Done: the job is deleted. */
  | { readonly status: "successful" }
  /** Failed: the job is deleted, and the log says why. */
  | { readonly status: "exception"; readonly error: unknown }
  /** Failed: the job is held, since `onFailure` is `"hold"`. */
  | { readonly status: "failed"; readonly error: unknown }
  /** To be run again after `delayMs` milliseconds: the handler asked for it, or the option `retry` says so. */
  | {
    readonly status: "retry";
    readonly delayMs: number;
    /** What the handler gave as its reason. */
    readonly reason: string | null;
    readonly error: unknown;
  }
  /** Canceled, and the handler obeyed. */
  | { readonly status: "canceled" }
  /** Put back as it was, through no fault of its own: the worker stopped or lost the lease. */
  | { readonly status: "released" };

/**
 * Runs one attempt of a job as a worker would, without a database, and gives what would become of the job. It does not
 * reject when the handler throws: that is a result too.
 *
 * @example A handler that asks for another attempt
 * ```ts
 * import { type Job, RetryRequested } from "pgqueuer";
 * import { fakeJob, runJob } from "pgqueuer/testing";
 * import assert from "node:assert/strict";
 *
 * function sync(job: Job) {
 *   if (job.attempts < 2) throw new RetryRequested({ delay: { seconds: 5 }, reason: "too early" });
 * }
 *
 * const first = await runJob(sync, fakeJob());
 * assert.equal(first.status === "retry" && first.delayMs, 5_000);
 *
 * const third = await runJob(sync, fakeJob({ attempts: 2 }));
 * assert.equal(third.status, "successful");
 * ```
 *
 * @param handler What the worker registers for the job's entrypoint.
 * @param job What {@linkcode fakeJob} made, or a job of the queue.
 * @param options What the entrypoint says of one attempt, and what the handler finds in its context.
 * @returns What a worker would store.
 * @throws {TypeError} If an argument is of the wrong kind or an option is unknown.
 * @throws {RangeError} If an option is out of range.
 */
export function runJob<Resources>(
  handler: Handler<Resources>,
  job: Job,
  options: RunJobOptions & { readonly resources: Resources },
): Promise<JobResult>;
/** Runs one attempt of a job whose handler needs no resources. */
export function runJob<Resources = unknown>(
  handler: Handler<Resources>,
  job: Job,
  ...options: unknown extends Resources ? [options?: RunJobOptions] : [options: never]
): Promise<JobResult>;
/** Runs one attempt of a job whose handler works in a transaction. */
export function runJob<Transaction, Resources = unknown>(
  handler: TransactionalHandler<Transaction, Resources>,
  job: Job,
  options:
    & RunTransactionalJobOptions<Transaction>
    & (unknown extends Resources ? unknown : { readonly resources: Resources }),
): Promise<JobResult>;
export async function runJob(
  handler: Handler<never> | TransactionalHandler<never, never>,
  job: Job,
  options: RunJobOptions | RunTransactionalJobOptions<unknown> = {},
): Promise<JobResult> {
  if (typeof handler !== "function") {
    throw new TypeError(
      `Cannot run a job as its handler must be a function: current value is ${shown(handler)}`,
    );
  }
  knownOptions("options", options, [
    "timeout",
    "retry",
    "onFailure",
    "logger",
    "resources",
    "signal",
    "tx",
  ]);
  const { timeout, retry, onFailure, logger = silentLogger, resources, signal } = options;
  const entrypoint = resolveEntrypoint(
    job.entrypoint,
    { timeout, retry, onFailure },
    handler as Handler,
  );
  const now = momentNow();
  const attempt = new Attempt(job, now, now, { logger, resources });

  const abort = (): void => attempt.abort(reasonOf(signal!, job));
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    const context = "tx" in options ? attempt.contextIn(options.tx) : attempt.context;
    const outcome = await attempt.run(entrypoint.handler, entrypoint.timeoutMs, context);
    return resultOf(outcome, job, entrypoint);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Any reason that is none of ours is taken for a cancel. */
function reasonOf(signal: AbortSignal, job: Job): Error {
  return signal.reason instanceof PgQueuerError ? signal.reason : new JobCanceledError(job.id);
}

function resultOf(outcome: HandlerOutcome, job: Job, policy: Entrypoint): JobResult {
  if (outcome.status !== "exception") return outcome;
  const { delayMs, reason, thrown, held } = afterFailure(outcome.error, job.attempts, policy);
  if (delayMs !== null) return { status: "retry", delayMs, reason, error: thrown };
  return { status: held ? "failed" : "exception", error: thrown };
}
