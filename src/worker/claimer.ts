import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import { sqlState } from "../queries/database_error.ts";
import type { ClaimedJob } from "../queries/job_row.ts";
import { type Gate, isLimited, type QueueStore } from "../queries/queue.ts";
import type { Room } from "./attempts.ts";
import { ClaimCursor } from "./claim_cursor.ts";
import type { Claim } from "./heartbeat.ts";
import { momentNow } from "./moment.ts";

/** While a backlog keeps a worker busy it looks for leases that have run out this often. Bounds G9's second. */
const TAKE_OVER_INTERVAL_MS = 500;

/** Jobs of dead workers. */
export interface TakeOver extends Claim {
  /** Those that somebody wanted stopped: to be ended, not run. */
  readonly canceled: readonly ClaimedJob[];
}

/** What the claimer needs of its surroundings. */
export interface ClaimerParts {
  readonly queueManagerId: string;
  readonly gates: readonly Gate[];
  readonly queue: QueueStore;
  readonly logger: Logger;
}

/** Chooses the statements that bring jobs to this worker. */
export class Claimer {
  readonly #parts: ClaimerParts;
  readonly #names: readonly string[];
  /** Whether claims have to count. */
  readonly limited: boolean;
  readonly #leased: boolean;
  readonly #cursor: ClaimCursor;
  /** When to look for leases that have run out, on the monotonic clock. */
  #takeOverAt = 0;

  constructor(parts: ClaimerParts) {
    this.#parts = parts;
    this.#names = parts.gates.map((gate) => gate.entrypoint);
    this.limited = parts.gates.some(isLimited);
    this.#leased = parts.gates.some((gate) => gate.leaseMs > 0);
    this.#cursor = new ClaimCursor(this.#names);
  }

  /** Claims ready jobs. Fewer than asked for are all that there are. */
  async claim({ limit, startable }: Room): Promise<Claim> {
    const claimedAt = momentNow();
    const jobs = this.limited
      ? await this.#claimLimited(limit, startable)
      : await this.#claimBehindCursor(limit);
    return { jobs, claimedAt };
  }

  /** Deals with the jobs of dead workers, if it is time for that, except those in `running`. */
  async takeOver(limit: number, running: () => readonly JobId[]): Promise<TakeOver> {
    const claimedAt = momentNow();
    if (limit === 0 || !this.#leased || claimedAt.monotonic < this.#takeOverAt) {
      return { jobs: [], canceled: [], claimedAt };
    }
    this.#takeOverAt = claimedAt.monotonic + TAKE_OVER_INTERVAL_MS;
    const { queue, gates, queueManagerId, logger } = this.#parts;
    const { claimed, canceled } = await queue.takeOver(limit, gates, queueManagerId, running());
    for (const job of claimed) {
      logger.warn(`Took over job ${job.id} of ${job.entrypoint}: its worker went silent`);
    }
    return { jobs: claimed, canceled, claimedAt };
  }

  /** The worker was idle: the next claim looks at all that is ready. */
  lookFromFront(): void {
    this.#cursor.reset();
  }

  /** Says when the next lease runs out. */
  expectTakeOver(staleMs: number): void {
    this.#takeOverAt = Math.min(this.#takeOverAt, performance.now() + staleMs);
  }

  async #claimBehindCursor(limit: number): Promise<ClaimedJob[]> {
    const { ranges, front } = this.#cursor.ranges();
    const jobs = await this.#dequeue(limit, ranges);
    if (jobs.length === limit || front) return jobs;
    // What stands before the cursor is seen before the worker waits.
    this.#cursor.reset();
    return [...jobs, ...await this.#dequeue(limit - jobs.length, this.#cursor.ranges().ranges)];
  }

  async #dequeue(
    limit: number,
    ranges: ReturnType<ClaimCursor["ranges"]>["ranges"],
  ): Promise<ClaimedJob[]> {
    const { queue, queueManagerId } = this.#parts;
    const jobs = await queue.dequeue(limit, this.#names, queueManagerId, ranges);
    this.#cursor.note(jobs);
    return jobs;
  }

  async #claimLimited(limit: number, startable: number): Promise<ClaimedJob[]> {
    const { queue, gates, queueManagerId } = this.#parts;
    try {
      return await queue.claimLimited(limit, startable, gates, queueManagerId);
    } catch (error) {
      // A client that takes no lock, such as a Python worker, got a seat first. The look ahead says what now.
      if (["23505", "40P01"].includes(sqlState(error) ?? "")) return [];
      throw error;
    }
  }
}
