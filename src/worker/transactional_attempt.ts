import { reconnectDelayMs } from "../backoff.ts";
import { serverErrorOf } from "../clients/server_error.ts";
import type { OpenTransaction, Transactions } from "../driver.ts";
import { JobCanceledError, LeaseLostError } from "../errors.ts";
import { RetryRequested } from "../retry.ts";
import type { Acknowledger } from "./acknowledger.ts";
import type { Attempt } from "./attempt.ts";
import type { Entrypoint } from "./entrypoint.ts";
import type { HandlerOutcome, Outcome } from "./run_job.ts";

/** What an attempt in a transaction needs of its surroundings. */
export interface TransactionalParts {
  /** Of the driver: `entrypoint()` has seen to it that it has some. */
  readonly transactions: Transactions | undefined;
  readonly acknowledger: Acknowledger;
}

/**
 * Runs one attempt of a transactional entrypoint: opens a transaction, runs the handler in it, ends the job in it and
 * commits. So what the handler wrote is there if and only if the job is gone, and no two attempts can both do that, as both
 * would have to delete the same row.
 *
 * The row of the job is not locked while the handler runs: heartbeats renew the lease on other connections, and a worker
 * that has died or sleeps can be relieved. Who has lost the lease finds out by the fence, and everything is rolled back.
 *
 * Never rejects. An outcome other than `committed` is still to be stored, unless the attempt is lost by now: then the
 * lease decides, as if the worker had died. So it is when the connection breaks, since then nobody knows whether the
 * transaction has committed; the row of the job does.
 */
export async function runInTransaction(
  attempt: Attempt,
  entrypoint: Entrypoint,
  { transactions, acknowledger }: TransactionalParts,
): Promise<Outcome> {
  const { job, context } = attempt;
  let outcome = { status: "released" } as HandlerOutcome;
  /** Whether it may have committed. From then on the row is locked, and heartbeats and take-overs pass it over. */
  let committing = false;

  /** What becomes of a job that was given up before its handler was called. */
  const notStarted = (): HandlerOutcome => ({
    status: attempt.reason instanceof JobCanceledError ? "canceled" : "released",
  });

  const work = async (open: OpenTransaction<unknown>): Promise<boolean> => {
    if (attempt.reason !== undefined) {
      outcome = notStarted();
      return false;
    }
    // Its locks would be in the way of the attempt that has taken its place.
    attempt.onDoomed = () => open.abandon();
    outcome = await attempt.run(
      entrypoint.handler,
      entrypoint.timeoutMs,
      attempt.contextIn(open.handle),
    );
    attempt.onDoomed = undefined;
    if (outcome.status !== "successful" || attempt.lost) return false;
    committing = true;
    try {
      if (await acknowledger.storeIn(open.executor, job)) return true;
      attempt.lose(new LeaseLostError(job.id, "another worker has taken it over, or it is gone"));
    } catch (error) {
      outcome = { status: "exception", error: explained(error) };
    }
    return false;
  };

  const loseConnection = (): void =>
    attempt.lose(new LeaseLostError(job.id, "the connection of its transaction is gone"));
  const onLost = (error: unknown): void => {
    const asked = outcome.status === "exception" && outcome.error instanceof RetryRequested;
    // Why it is to stop was known before, and what the handler made of that.
    const known = !committing && (attempt.reason !== undefined || asked);
    if (known) return;
    context.log.warn(`lost its transaction: ${error}`);
    loseConnection();
  };

  for (let failures = 1;; failures++) {
    try {
      const end = await transactions!.run(work, onLost);
      // Also where the handler had been told to stop before, and went on to its end.
      if (end.status === "lost" && committing) loseConnection();
      committing = false;
      if (end.status === "committed") return { status: "committed" };
      const refused = end.status === "rolled back" && outcome.status === "successful" &&
        !attempt.lost;
      return refused ? { status: "exception", error: end.error } : outcome;
    } catch (error) {
      // No fault of the job: it stays with this worker, which renews its lease, until there is a connection for it.
      context.log.error(`Cannot begin its transaction, trying again: ${error}`);
      if (await attempt.stopped(reconnectDelayMs(failures))) return notStarted();
    }
  }
}

/** A handler that goes on after an error of the server has a transaction that can only be rolled back. */
function explained(error: unknown): unknown {
  // in_failed_sql_transaction
  if (serverErrorOf(error)?.code !== "25P02") return error;
  return new Error(
    "Cannot commit as no statement of the transaction may have failed: the handler went on after an error, so run that statement in a savepoint, or let the error end the handler",
    { cause: error },
  );
}
