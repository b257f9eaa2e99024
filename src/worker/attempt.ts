import { JobTimeoutError, LeaseLostError } from "../errors.ts";
import type { Job } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { ClaimedJob } from "../queries/job_row.ts";
import { MAX_TIMER_MS } from "../validate.ts";
import type { Moment } from "./moment.ts";
import {
  type Handler,
  type HandlerOutcome,
  type JobContext,
  runJob,
  type TransactionContext,
} from "./run_job.ts";

/** What the worker gives to its handlers. */
interface ContextParts {
  readonly logger: Logger;
  readonly resources: unknown;
}

/** One claimed job in this process, from the claim until its outcome is stored. */
export class Attempt<OfJob extends Job = ClaimedJob> {
  readonly job: OfJob;
  readonly context: JobContext;
  /** When the claim was sent: the lease cannot be older. */
  readonly claimedAt: Moment;
  /** When this process got the job. */
  readonly takenAt: Moment;
  /** Whether the handler has settled; the outcome may still be on its way. */
  ended = false;
  /** Whether the job is somebody else's by now: then nothing of this attempt is stored. */
  lost = false;
  /** Is called when nothing that the handler still does can count. */
  onDoomed: (() => void) | undefined;
  readonly #parts: ContextParts;
  /** Why the handler is to stop. */
  #reason: Error | undefined;
  /** Made when the handler asks for its signal. */
  #abort: AbortController | undefined;

  constructor(
    job: OfJob,
    claimedAt: Moment,
    takenAt: Moment,
    parts: ContextParts,
  ) {
    this.job = job;
    this.claimedAt = claimedAt;
    this.takenAt = takenAt;
    this.#parts = parts;
    this.context = new AttemptContext(this, parts);
  }

  /** Why the handler was told to stop, if it was. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Aborts when the handler is to stop. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  /** What a handler sees that works in a transaction. */
  contextIn(tx: unknown): TransactionContext {
    return new AttemptTransactionContext(this, this.#parts, tx);
  }

  /** Runs the handler, at most `timeoutMs` before it is told to stop; `0` is no limit. */
  async run(
    handler: Handler,
    timeoutMs: number,
    context: JobContext = this.context,
  ): Promise<HandlerOutcome> {
    const timer = timeoutMs > 0
      ? setTimeout(
        () => this.abort(new JobTimeoutError(this.job.id, timeoutMs)),
        Math.min(timeoutMs, MAX_TIMER_MS),
      )
      : undefined;
    const outcome = await runJob(handler, this.job, context, () => this.#reason);
    clearTimeout(timer);
    this.ended = true;
    return outcome;
  }

  /** Tells the handler to stop. Only the first reason counts. */
  abort(reason: Error): void {
    if (this.#reason === undefined) {
      this.#reason = reason;
      this.#abort?.abort(reason);
    }
    if (reason instanceof LeaseLostError || reason instanceof JobTimeoutError) this.onDoomed?.();
  }

  /** Waits until the handler would be told to stop, at most `timeoutMs`. Says whether it is. */
  async stopped(timeoutMs: number): Promise<boolean> {
    const { signal } = this;
    if (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          signal.removeEventListener("abort", end);
          resolve();
        };
        const timer = setTimeout(end, timeoutMs);
        signal.addEventListener("abort", end);
      });
    }
    return signal.aborted;
  }

  /** Tells the handler to stop and gives its outcome up. */
  lose(reason: Error): void {
    this.lost = true;
    this.abort(reason);
    this.onDoomed?.();
  }
}

/** What a handler sees of its attempt. Signal and logger are made when they are asked for: most handlers never do. */
class AttemptContext implements JobContext {
  readonly #attempt: Attempt<Job>;
  readonly #logger: Logger;
  #log: Logger | undefined;
  readonly resources: unknown;

  constructor(attempt: Attempt<Job>, { logger, resources }: ContextParts) {
    this.#attempt = attempt;
    this.#logger = logger;
    this.resources = resources;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get log(): Logger {
    return this.#log ??= forJob(this.#logger, this.#attempt.job);
  }
}

/** The same, and the transaction. */
class AttemptTransactionContext extends AttemptContext implements TransactionContext {
  readonly tx: unknown;

  constructor(attempt: Attempt<Job>, parts: ContextParts, tx: unknown) {
    super(attempt, parts);
    this.tx = tx;
  }
}

function forJob(logger: Logger, job: Job): Logger {
  const named = (message: string): string => `${job.entrypoint} job ${job.id}: ${message}`;
  return {
    debug: (message) => logger.debug(named(message)),
    info: (message) => logger.info(named(message)),
    warn: (message) => logger.warn(named(message)),
    error: (message) => logger.error(named(message)),
  };
}
