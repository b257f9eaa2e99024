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
