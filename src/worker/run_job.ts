import { JobCanceledError, JobTimeoutError, LeaseLostError, ShutdownError } from "../errors.ts";
import type { Job } from "../job.ts";
import type { Logger } from "../logger.ts";

/** What a handler gets beside its job. */
export interface JobContext<Resources = unknown> {
  /**
   * Aborts when the work is for nothing: the lease is lost ({@linkcode LeaseLostError}), the job was canceled
   * ({@linkcode JobCanceledError}) or took too long ({@linkcode JobTimeoutError}), or the worker shuts down and waits no
   * longer ({@linkcode ShutdownError}). Pass it to `fetch()` and the like.
   */
  readonly signal: AbortSignal;
  /** The worker's logger. Each line names the job. */
  readonly log: Logger;
  /** The worker's `resources`, the same for every job. Of type `unknown` where the worker's type does not say what they are. */
  readonly resources: Resources;
}

/** What a handler of a transactional entrypoint gets beside its job. */
export interface TransactionContext<Transaction = unknown, Resources = unknown>
  extends JobContext<Resources> {
  /**
   * The transaction in which the job ends: what the worker's client calls one, `TransactionSql` of postgres.js or
   * `PoolClient` of pg. It commits when the handler resolves and rolls back when it rejects; the handler itself must do
   * neither, nor use it afterwards. `getQueue(tx)` enqueues in it.
   */
  readonly tx: Transaction;
}

/**
 * Runs one attempt of a job in a transaction. What it writes by `context.tx` and the end of the job commit together: it may
 * run more than once, but what it wrote is there exactly once. That is not so for anything else it does.
 */
export type TransactionalHandler<Transaction = unknown, Resources = unknown> = (
  job: Job,
  context: TransactionContext<Transaction, Resources>,
) => Promise<void> | void;

/** Runs one attempt of a task in a transaction, as a {@linkcode TransactionalHandler} does. */
export type TransactionalTaskHandler<Value, Transaction = unknown, Resources = unknown> = (
  value: Value,
  job: Job,
  context: TransactionContext<Transaction, Resources>,
) => Promise<void> | void;

/**
 * Runs one attempt of a job. The job is done when the promise resolves; it has failed when it rejects. It may run more
 * than once, after a crash for instance, so what it does must be safe to repeat.
 */
export type Handler<Resources = unknown> = (
  job: Job,
  context: JobContext<Resources>,
) => Promise<void> | void;

/** Runs one attempt of a task, with its input read and checked. As for {@linkcode Handler} it may run more than once. */
export type TaskHandler<Value, Resources = unknown> = (
  value: Value,
  job: Job,
  context: JobContext<Resources>,
) => Promise<void> | void;

/** How a handler ended. */
export type HandlerOutcome =
  | { readonly status: "successful" }
  | { readonly status: "canceled" }
  | { readonly status: "exception"; readonly error: unknown }
  /** The attempt was given up through no fault of the job: it goes back to the queue as it was. */
  | { readonly status: "released" };

/** How one attempt ended. Each variant has exactly one place that stores it. */
export type Outcome =
  | HandlerOutcome
  /** Done, and stored in the handler's own transaction. */
  | { readonly status: "committed" };

/**
 * Runs one attempt of one job. Never rejects: whatever the handler throws becomes an outcome.
 *
 * @param reasonToStop Why the handler was told to stop, if it was: the reason of `context.signal`.
 */
export async function runJob(
  handler: Handler,
  job: Job,
  context: JobContext,
  reasonToStop: () => unknown = () => context.signal.reason,
): Promise<HandlerOutcome> {
  try {
    await handler(job, context);
  } catch (error) {
    const reason = reasonToStop();
    if (reason instanceof JobCanceledError) return { status: "canceled" };
    if (reason instanceof ShutdownError || reason instanceof LeaseLostError) {
      return { status: "released" };
    }
    if (!(reason instanceof JobTimeoutError)) return { status: "exception", error };
  }
  // Done too late is not done: whoever waited has given up.
  const reason = reasonToStop();
  return reason instanceof JobTimeoutError
    ? { status: "exception", error: reason }
    : { status: "successful" };
}
