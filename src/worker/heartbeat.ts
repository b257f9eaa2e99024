import { JobCanceledError, LeaseLostError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { Lease } from "../queries/queue.ts";
import type { Attempt } from "./attempt.ts";
import { Wake } from "./wake.ts";

/** Beats in one timeout. Three, so that a lease survives a beat that is late or lost. */
const BEATS_PER_TIMEOUT = 3;

/** What the heartbeat needs of its surroundings. */
export interface HeartbeatParts {
  /** Shortest age at which others may take a job over. `0`: nobody ever does, so nothing is sent. */
  readonly timeoutMs: number;
  /** What this process runs now. */
  readonly attempts: () => Iterable<Attempt>;
  /** Renews leases and gives those that are still ours. */
  readonly renew: (jobIds: readonly JobId[]) => Promise<Lease[]>;
  readonly logger: Logger;
}

/** Renews the leases of running jobs and tells the handlers of those that are lost. */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  readonly #wake = new Wake();
  #loop: Promise<void> | undefined;
  #closed = false;
  /** When each attempt's lease was last known to be good, on the monotonic clock. */
  readonly #renewedAt = new WeakMap<Attempt, number>();

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** Begins to beat. */
  start(): void {
    if (this.#parts.timeoutMs > 0) this.#loop = this.#beatUntilClosed();
  }

  /** Stops beating, after the beat under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.set();
    await this.#loop;
  }

  async #beatUntilClosed(): Promise<void> {
    const intervalMs = this.#parts.timeoutMs / BEATS_PER_TIMEOUT;
    let waitMs = intervalMs;
    while (!this.#closed) {
      await this.#wake.wait(waitMs);
      if (this.#closed) return;
      waitMs = await this.#beat() ? intervalMs : Math.min(intervalMs, 1_000);
    }
  }

  /** Says whether the leases are renewed, as far as they are still ours. */
  async #beat(): Promise<boolean> {
    const attempts = [...this.#parts.attempts()].filter((attempt) => !attempt.lost);
    if (attempts.length === 0) return true;
    const sentAt = performance.now();
    try {
      const leases = await this.#parts.renew(attempts.map((attempt) => attempt.job.id));
      const kept = new Map(leases.map(({ jobId, canceled }) => [jobId, canceled]));
      for (const attempt of attempts) {
        const canceled = kept.get(attempt.job.id);
        if (canceled !== undefined) {
          this.#renewedAt.set(attempt, sentAt);
          // The notification of the cancel may have been lost.
          if (canceled) attempt.abort(new JobCanceledError(attempt.job.id));
        } else if (!attempt.ended) {
          // One that has ended is gone because it was acknowledged between the statement and its answer.
          attempt.lose(
            new LeaseLostError(attempt.job.id, "another worker has taken it over, or it is gone"),
          );
        }
      }
      return true;
    } catch (error) {
      this.#parts.logger.warn(`Cannot renew ${attempts.length} leases, trying again: ${error}`);
      this.#expire(attempts);
      return false;
    }
  }

  /** While the database is out of reach the lease runs out by our own clock: from then on another worker may have it. */
  #expire(attempts: readonly Attempt[]): void {
    const now = performance.now();
    for (const attempt of attempts) {
      const renewedAt = this.#renewedAt.get(attempt) ?? attempt.claimedAt;
      if (now - renewedAt < this.#parts.timeoutMs || attempt.context.signal.aborted) continue;
      attempt.abort(new LeaseLostError(attempt.job.id, "it could not be renewed in time"));
    }
  }
}
