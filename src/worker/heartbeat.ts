import { JobCanceledError, LeaseLostError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { ClaimedJob } from "../queries/job_row.ts";
import type { Lease } from "../queries/queue.ts";
import type { Attempt } from "./attempt.ts";
import type { KeptLeases } from "./lease_keeper.ts";
import { type Moment, momentNow, msSince } from "./moment.ts";
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
  /** Gives leases that last so long into the care of a thread, for when this one is blocked. */
  readonly keepLeases: (leaseMs: number) => KeptLeases;
  readonly logger: Logger;
}

/** Jobs that a claim gave. */
export interface Claim {
  readonly jobs: readonly ClaimedJob[];
  /** When it was sent: the leases cannot be older. */
  readonly claimedAt: Moment;
}

/** Renews the leases of running jobs and tells the handlers of those that are lost. */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  readonly #kept: KeptLeases;
  readonly #wake = new Wake();
  #loop: Promise<void> | undefined;
  #closed = false;
  /** When each attempt's lease was last known to be good. */
  readonly #renewedAt = new WeakMap<Attempt, Moment>();
  /** When all leases were last known to be good. */
  #goodAt: Moment = momentNow();

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
    this.#kept = parts.keepLeases(parts.timeoutMs);
  }

  /** Begins to beat. */
  start(): void {
    this.#goodAt = momentNow();
    if (this.#parts.timeoutMs > 0) this.#loop = this.#beatUntilClosed();
  }

  /**
   * Before a claim: a process that was asleep for as long as a lease lasts first learns which of its jobs others have
   * taken over, and their handlers' signals abort.
   */
  async catchUp(): Promise<void> {
    if (!this.#isTooLate(this.#goodAt) || await this.#beat()) return;
    throw new Error("it is not known which leases are lost");
  }

  /**
   * After a claim: leaves out the jobs that others have taken over, where the answer took longer than a lease lasts. The
   * process may have slept meanwhile. From now on the leases are kept, should a handler block the event loop.
   */
  async confirm(claim: Claim): Promise<Claim> {
    const { jobs, claimedAt } = claim;
    if (jobs.length > 0 && this.#parts.timeoutMs > 0) this.#kept.hold();
    if (jobs.length === 0 || !this.#isTooLate(claimedAt)) return claim;
    const confirmedAt = momentNow();
    const leases = await this.#parts.renew(jobs.map((job) => job.id));
    const kept = new Set(leases.map(({ jobId }) => jobId));
    const lost = jobs.filter((job) => !kept.has(job.id)).map((job) => job.id);
    if (lost.length > 0) {
      this.#parts.logger.warn(`Lost jobs before they could start: ${lost.join(", ")}`);
    }
    return { jobs: jobs.filter((job) => kept.has(job.id)), claimedAt: confirmedAt };
  }

  /** Stops beating, after the beat under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.set();
    await this.#loop;
    this.#kept.rest();
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
    const sentAt = momentNow();
    try {
      const leases = attempts.length === 0
        ? []
        : await this.#parts.renew(attempts.map((attempt) => attempt.job.id));
      this.#goodAt = sentAt;
      if (attempts.length === 0) this.#kept.rest();
      // Also without any: quick jobs may be held at each look of the thread, and at none of these moments.
      this.#kept.renewed();
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
    if (Date.now() - this.#kept.keptAt < this.#parts.timeoutMs) return;
    for (const attempt of attempts) {
      const renewedAt = this.#renewedAt.get(attempt) ?? attempt.claimedAt;
      if (!this.#isTooLate(renewedAt) || attempt.reason !== undefined) continue;
      attempt.abort(new LeaseLostError(attempt.job.id, "it could not be renewed in time"));
    }
  }

  /** Whether a lease that was good then may have been taken over by now. */
  #isTooLate(moment: Moment): boolean {
    return this.#parts.timeoutMs > 0 && msSince(moment) >= this.#parts.timeoutMs;
  }
}
