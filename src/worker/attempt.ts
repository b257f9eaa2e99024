import { JobTimeoutError } from "../errors.ts";
import type { Job } from "../job.ts";
import type { Logger } from "../logger.ts";
import { MAX_TIMER_MS } from "../validate.ts";
import type { Moment } from "./moment.ts";
import { type Handler, type JobContext, type Outcome, runJob } from "./run_job.ts";

/** One claimed job in this process, from the claim until its outcome is stored. */
export class Attempt {
  readonly job: Job;
  readonly context: JobContext;
  readonly #abort = new AbortController();
  /** When the claim was sent: the lease cannot be older. */
  readonly claimedAt: Moment;
  /** Whether the handler has settled; the outcome may still be on its way. */
  ended = false;
  /** Whether the job is somebody else's by now: then nothing of this attempt is stored. */
  lost = false;

  constructor(job: Job, claimedAt: Moment, logger: Logger) {
    this.job = job;
    this.claimedAt = claimedAt;
    this.context = { signal: this.#abort.signal, log: forJob(logger, job) };
  }

  /** Runs the handler, at most `timeoutMs` before it is told to stop; `0` is no limit. */
  async run(handler: Handler, timeoutMs: number): Promise<Outcome> {
    const timer = timeoutMs > 0
      ? setTimeout(
        () => this.abort(new JobTimeoutError(this.job.id, timeoutMs)),
        Math.min(timeoutMs, MAX_TIMER_MS),
      )
      : undefined;
    const outcome = await runJob(handler, this.job, this.context);
    clearTimeout(timer);
    this.ended = true;
    return outcome;
  }

  /** Tells the handler to stop. Only the first reason counts. */
  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Tells the handler to stop and gives its outcome up. */
  lose(reason: Error): void {
    this.lost = true;
    this.abort(reason);
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
