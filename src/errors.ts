/** Base class of every error that a caller of this library is expected to catch. */
export class PgQueuerError extends Error {
  override readonly name: string = "PgQueuerError";
}

/** Thrown by `enqueue()` when a dedupe key already belongs to a queued or picked job. */
export class DuplicateJobError extends PgQueuerError {
  override readonly name = "DuplicateJobError";
  /** The keys that were offered, in the order of the jobs. */
  readonly dedupeKeys: readonly string[];

  constructor(dedupeKeys: readonly string[], options?: ErrorOptions) {
    const shown = dedupeKeys.slice(0, 5).map((key) => `"${key}"`).join(", ");
    const more = dedupeKeys.length > 5 ? ` and ${dedupeKeys.length - 5} more` : "";
    super(`Cannot enqueue as a dedupe key is in use: offered ${shown}${more}`, options);
    this.dedupeKeys = dedupeKeys;
  }
}

/** Thrown when the database lacks a table, column, type or grant that this version needs. */
export class SchemaError extends PgQueuerError {
  override readonly name = "SchemaError";
}

/** Thrown by a wait for a job that neither the queue nor the log knows. */
export class JobNotFoundError extends PgQueuerError {
  override readonly name = "JobNotFoundError";
  /** The ids that are not known. */
  readonly jobIds: readonly number[];

  constructor(jobIds: readonly number[]) {
    super(
      `Cannot wait for ${
        shownIds(jobIds)
      } as neither the queue nor the log knows it: wait after the transaction that enqueued it has committed`,
    );
    this.jobIds = jobIds;
  }
}

/** Thrown by a wait whose `timeout` has passed. The jobs go on. */
export class WaitTimeoutError extends PgQueuerError {
  override readonly name = "WaitTimeoutError";
  /** The jobs that had not ended. */
  readonly jobIds: readonly number[];

  constructor(jobIds: readonly number[], timeoutMs: number) {
    super(`Cannot wait longer than ${timeoutMs} ms: ${shownIds(jobIds)} had not ended`);
    this.jobIds = jobIds;
  }
}

function shownIds(jobIds: readonly number[]): string {
  const more = jobIds.length > 5 ? ` and ${jobIds.length - 5} more` : "";
  return `job ${jobIds.slice(0, 5).join(", ")}${more}`;
}

/** Reason of a handler's aborted signal: another worker may run the job now, so what this attempt does is for nothing. */
export class LeaseLostError extends PgQueuerError {
  override readonly name = "LeaseLostError";

  /** @param work The id of a job, or what else was run, such as `schedule report of …`. */
  constructor(work: number | string, why: string) {
    const what = typeof work === "number" ? `job ${work}` : work;
    super(`Cannot go on with ${what} as its lease is lost: ${why}`);
  }
}

/** Reason of a handler's aborted signal: the worker stops and waits no longer. The job is queued again, uncharged. */
export class ShutdownError extends PgQueuerError {
  override readonly name = "ShutdownError";

  constructor() {
    super("Cannot go on as the worker shuts down: the job is queued again");
  }
}

/** Reason of a handler's aborted signal: somebody has canceled the job. */
export class JobCanceledError extends PgQueuerError {
  override readonly name = "JobCanceledError";

  constructor(jobId: number) {
    super(`Cannot go on with job ${jobId} as it was canceled`);
  }
}

/** Reason of a handler's aborted signal, and the outcome of its attempt: it took longer than its entrypoint allows. */
export class JobTimeoutError extends PgQueuerError {
  override readonly name = "JobTimeoutError";

  constructor(jobId: number, timeoutMs: number) {
    super(`Cannot go on with job ${jobId} as it took longer than ${timeoutMs} ms`);
  }
}

/**
 * Outcome of an attempt whose payload the task cannot read, as another version wrote it for instance. The job is held,
 * whatever its entrypoint says: another attempt would fail the same way.
 */
export class InvalidPayloadError extends PgQueuerError {
  override readonly name = "InvalidPayloadError";

  constructor(task: string, why: string, options?: ErrorOptions) {
    super(`Cannot run task "${task}" as its payload must fit the schema: ${why}`, options);
  }
}
