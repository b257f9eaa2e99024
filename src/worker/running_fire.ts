import type { Logger } from "../logger.ts";
import type { Fire, Schedule, ScheduleContext } from "../schedule.ts";

/** One fire whose handler runs in this process, from the claim until its end is stored. */
export class RunningFire {
  readonly schedule: Schedule;
  /** Id of the row. */
  readonly id: number;
  /** When it was due, in milliseconds since 1970. */
  readonly due: number;
  /** Token of the claim; `null` where the fire holds no lease. */
  readonly token: string | null;
  readonly fire: Fire;
  readonly context: ScheduleContext;
  readonly #abort = new AbortController();
  /** When the lease was last known to be good, on the monotonic clock. */
  renewedAt: number;
  /** Whether the handler has settled; that may still be on its way to the table. */
  ended = false;
  /** Whether the fire came to its end, be it an error: then it is not run again. */
  done = false;
  /** Whether the fire is somebody else's by now, or put back: then nothing more of it is stored. */
  lost = false;

  constructor(
    schedule: Schedule,
    claim: { id: number; due: number; token: string | null; claimedAt: number },
    { logger, resources }: { readonly logger: Logger; readonly resources: unknown },
  ) {
    this.schedule = schedule;
    this.id = claim.id;
    this.due = claim.due;
    this.token = claim.token;
    this.renewedAt = claim.claimedAt;
    this.fire = {
      entrypoint: schedule.entrypoint,
      expression: schedule.cron.expression,
      due: new Date(claim.due),
    };
    const named = (message: string): string => `${this}: ${message}`;
    this.context = {
      signal: this.#abort.signal,
      resources,
      log: {
        debug: (message) => logger.debug(named(message)),
        info: (message) => logger.info(named(message)),
        warn: (message) => logger.warn(named(message)),
        error: (message) => logger.error(named(message)),
      },
    };
  }

  /** Tells the handler to stop. */
  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Such as `schedule nightly_report of 2026-11-22T03:00:00.000Z`. */
  toString(): string {
    return `schedule ${this.schedule.entrypoint} of ${this.fire.due.toISOString()}`;
  }
}
