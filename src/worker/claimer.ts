import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import { sqlState } from "../queries/database_error.ts";
import type { ClaimedJob } from "../queries/job_row.ts";
import type { ClaimRange } from "../queries/claim_range.ts";
import { type Gate, isLimited, type Outlook, type QueueStore } from "../queries/queue.ts";
import type { Room } from "./attempts.ts";
import { ClaimCursor } from "./claim_cursor.ts";
import { LeaseCursor } from "./lease_cursor.ts";
import { Ration } from "./ration.ts";
import type { Claim } from "./heartbeat.ts";
import { momentNow } from "./moment.ts";

/** While a backlog keeps a worker busy it looks for leases that have run out this often. Bounds G9's second. */
const TAKE_OVER_INTERVAL_MS = 500;

/** Looks at all that is ready may take one part in so many of a worker's time, if they take long. */
const FRONT_PARTS = 20;

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
  /** Whether every look sees all, whatever it costs: a drain ends when nothing is ready. */
  readonly thorough?: boolean;
}

/** Chooses the statements that bring jobs to this worker. */
export class Claimer {
  readonly #parts: ClaimerParts;
  readonly #names: readonly string[];
  /** Whether claims have to count. */
  readonly limited: boolean;
  readonly #leased: boolean;
  readonly #cursor: ClaimCursor;
  readonly #fronts = new Ration(FRONT_PARTS);
  readonly #leases: LeaseCursor;
  /** When to look for leases that have run out, on the monotonic clock. */
  #takeOverAt = 0;
  /** Whether the worker has been idle since the last claim. */
  #idle = true;
  /** Whether the last claim left nothing that was ready. */
  #sawAll = false;

  constructor(parts: ClaimerParts) {
    this.#parts = parts;
    this.#names = parts.gates.map((gate) => gate.entrypoint);
    this.limited = parts.gates.some(isLimited);
    this.#leased = parts.gates.some((gate) => gate.leaseMs > 0);
    this.#cursor = new ClaimCursor(this.#names);
    this.#leases = new LeaseCursor(parts.gates, parts.thorough ?? false);
  }

  /** Claims ready jobs. Fewer than asked for are all that there are. */
  async claim({ limit, startable }: Room): Promise<Claim> {
    const claimedAt = momentNow();
    const jobs = this.limited
      ? await this.#claimLimited(limit, startable)
      : await this.#claimBehindCursor(limit, startable > 0);
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
    const { claimed, canceled } = await this.#leases.takeOver((age) =>
      queue.takeOver(limit, gates, queueManagerId, running(), age)
    );
    for (const job of claimed) {
      logger.warn(`Took over job ${job.id} of ${job.entrypoint}: its worker went silent`);
    }
    return { jobs: claimed, canceled, claimedAt };
  }

  /** Says what the worker waits for. The next claim then looks at all that is ready, or at what may have come meanwhile. */
  async lookAhead(event: string | null): Promise<Outlook> {
    this.#idle = true;
    const { queue, gates } = this.#parts;
    const all = this.limited || this.#mayLookFromFront;
    const ranges = all ? this.#cursor.front() : this.#cursor.lately();
    const outlook = await this.#leases.lookAhead((age) =>
      queue.lookAhead(gates, event, ranges, age)
    );
    this.#takeOverAt = Math.min(this.#takeOverAt, performance.now() + outlook.staleMs);
    this.#sawAll ||= all && !outlook.ready;
    return outlook;
  }

  /** Milliseconds until the worker is to look at the ready jobs that it has spared; `Infinity` if it has seen all. */
  get sparedMs(): number {
    return this.limited || this.#sawAll ? Infinity : this.#fronts.dueMs;
  }

  async #claimBehindCursor(limit: number, toTheEnd: boolean): Promise<ClaimedJob[]> {
    const idle = this.#idle;
    this.#idle = false;
    if (this.#mayLookFromFront && (idle || this.#cursor.wantsFront)) {
      return await this.#claimFromFront(limit);
    }
    const jobs = idle ? [] : await this.#dequeue(limit, this.#cursor.behind());
    // Where all handlers run, those behind the cursor are enough to go on with.
    if (jobs.length === limit || !toTheEnd) return jobs;
    // What stands before the cursor is seen before the worker waits.
    const rest = this.#mayLookFromFront
      ? this.#claimFromFront(limit - jobs.length)
      : this.#dequeue(limit - jobs.length, this.#cursor.lately());
    return [...jobs, ...await rest];
  }

  get #mayLookFromFront(): boolean {
    return (this.#parts.thorough ?? false) || this.#fronts.dueMs === 0;
  }

  async #claimFromFront(limit: number): Promise<ClaimedJob[]> {
    const jobs = await this.#fronts.spend(() => this.#send(limit, this.#cursor.front()));
    this.#cursor.noteFront(jobs, jobs.length < limit);
    this.#sawAll = jobs.length < limit;
    return jobs;
  }

  async #dequeue(limit: number, ranges: readonly ClaimRange[]): Promise<ClaimedJob[]> {
    this.#sawAll = false;
    const jobs = await this.#send(limit, ranges);
    this.#cursor.note(jobs);
    return jobs;
  }

  #send(limit: number, ranges: readonly ClaimRange[]): Promise<ClaimedJob[]> {
    const { queue, queueManagerId } = this.#parts;
    return queue.dequeue(limit, this.#names, queueManagerId, ranges);
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
