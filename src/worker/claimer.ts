import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import { sqlState } from "../queries/database_error.ts";
import type { ClaimedJob } from "../queries/job_row.ts";
import type { ClaimRange } from "../queries/claim_range.ts";
import { type Gate, isLimited } from "../queries/gate.ts";
import type { Outlook, QueueStore } from "../queries/queue.ts";
import type { Attempts, Room } from "./attempts.ts";
import { AgeCursor } from "./age_cursor.ts";
import { Beside } from "./beside.ts";
import { ClaimCursor, FRONT, REACHES_MS } from "./claim_cursor.ts";
import type { Claim } from "./heartbeat.ts";
import { momentNow } from "./moment.ts";
import { PairedClaims } from "./paired_claims.ts";
import { Plain, Ration } from "./ration.ts";

/** While a backlog keeps a worker busy it looks for leases that have run out this often. Bounds G9's second. */
const TAKE_OVER_INTERVAL_MS = 500;

/** Looks at all that is ready may take one part in so many of a worker's time, if they take long. */
const FRONT_PARTS = 20;

/** Likewise for looks of each shorter reach, which are made when none from the front is due. */
const REACH_PARTS = 80;

/**
 * A look that nobody waits for takes this share of what a claim may, and no more than so many jobs: claims fill the room
 * meanwhile. Where there are more, claims take them.
 */
const LATE_SHARE = 0.25;
const MAX_LATE = 100;

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
  /** Takes jobs that the loop's own claim has not waited for. */
  readonly deliver: (claim: Claim) => Promise<void>;
  readonly attempts: Pick<Attempts, "roomBeside" | "wake">;
  /** Woken when it is time to claim again. */
  readonly listener: { wake(): void };
  /** Whether every look sees all, whatever it costs: a drain ends when nothing is ready. */
  readonly thorough?: boolean;
}

/** Chooses the statements that bring jobs to this worker. */
export class Claimer {
  readonly #parts: ClaimerParts;
  readonly #names: readonly string[];
  /** Whether claims have to count. */
  readonly limited: boolean;
  /** Claims behind the last one. Second ones are to be known before the worker waits. */
  readonly paired: PairedClaims;
  /** `Infinity` if nothing is leased. */
  readonly #shortestLeaseMs: number;
  readonly #cursor: ClaimCursor;
  /** Claims that leave out what stands before the cursor. */
  readonly #plain = new Plain();
  /** One for each reach. Each claim may look back as far as the shortest, so that its ration is not asked. */
  readonly #looks: readonly Ration[] = REACHES_MS.map((_, reach) =>
    reach === FRONT ? new Ration(FRONT_PARTS, this.#plain) : new Ration(REACH_PARTS, this.#plain, 0)
  );
  readonly #ages: AgeCursor;
  /** When to look for leases that have run out, on the monotonic clock. */
  #takeOverAt = 0;
  /** Whether the worker has been idle since the last claim. */
  #idle = true;
  /** How far back the last look left nothing that was ready; none: `-1`. */
  #seen = -1;
  /** How far back the last claim looked that cannot tell whether it left any, as a limit may have kept them. */
  #askAgain = 0;
  /** Claims so far. */
  #count = 0;
  readonly #beside: Beside;
  /** Whether a look that takes long is made beside the claims. */
  #looksBeside = false;

  constructor(parts: ClaimerParts) {
    this.#parts = parts;
    this.#names = parts.gates.map((gate) => gate.entrypoint);
    this.limited = parts.gates.some(isLimited);
    this.#shortestLeaseMs = Math.min(
      ...parts.gates.map((gate) => gate.leaseMs).filter((ms) => ms > 0),
    );
    const unordered = parts.gates.filter((gate) => gate.serializedDispatch)
      .map((gate) => gate.entrypoint);
    const cursor = this.#cursor = new ClaimCursor(this.#names, unordered);
    this.#ages = new AgeCursor(parts.gates, parts.thorough ?? false, {
      look: () => parts.queue.lookAhead(parts.gates, null, []),
      found: () => {
        this.#takeOverAt = 0;
        parts.listener.wake();
      },
    });
    const beside = this.#beside = new Beside(parts);
    const claim = (limit: number) => this.#claimBehind(limit);
    this.paired = new PairedClaims({ ...parts, beside, cursor, claim });
  }

  /** Claims ready jobs. Fewer than asked for are all that there are. */
  async claim({ limit, startable }: Room): Promise<Claim> {
    const claimedAt = momentNow();
    this.#count++;
    this.#beside.throwFailure();
    const jobs = this.limited
      ? await this.#claimLimited(limit, startable)
      : await this.#claimBehindCursor(limit, startable > 0);
    return { jobs, claimedAt };
  }

  /** Deals with the jobs of dead workers, if it is time for that, except those in `running`. */
  async takeOver(limit: number, running: () => readonly JobId[]): Promise<TakeOver> {
    const claimedAt = momentNow();
    const isTime = this.#shortestLeaseMs < Infinity && claimedAt.monotonic >= this.#takeOverAt;
    if (limit === 0 || !isTime) {
      return { jobs: [], canceled: [], claimedAt };
    }
    this.#takeOverAt = claimedAt.monotonic + TAKE_OVER_INTERVAL_MS;
    const { queue, gates, queueManagerId, logger } = this.#parts;
    const { claimed, canceled } = await this.#ages.takeOver((age) =>
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
    const reach = this.#nextClaimSeesAll ? FRONT : this.#askAgain;
    this.#askAgain = 0;
    const ranges = this.#cursor.since(reach);
    const outlook = await this.#ages.lookAhead((ages) =>
      queue.lookAhead(gates, event, ranges, ages)
    );
    // Those that are claimed from now on do not run out any sooner: no claim of the next job has to wait for a look at them.
    this.#takeOverAt = performance.now() + Math.min(outlook.staleMs, this.#shortestLeaseMs);
    if (!outlook.ready) this.#seen = Math.max(this.#seen, reach);
    return outlook;
  }

  /**
   * Milliseconds until the worker is to look at ready jobs that it has spared; `Infinity` if it has seen all, or if it is woken
   * by a look under way.
   */
  get sparedMs(): number {
    const spared = this.#looks.filter((look, reach) =>
      reach > this.#seen && this.#mayReach(reach) &&
      !(look.slow && look.dueMs === 0 && this.#looksBeside)
    );
    return Math.min(...spared.map(({ dueMs }) => dueMs));
  }

  /** Waits for what is on its way beside the claims, so that its jobs are known. */
  async settled(): Promise<void> {
    await this.paired.settled();
    await this.#beside.settled();
  }

  /** The same, and puts its jobs back. Waits for `timeoutMs` at most. */
  close(timeoutMs: number): Promise<void> {
    return this.#beside.close(timeoutMs);
  }

  async #claimBehindCursor(limit: number, toTheEnd: boolean): Promise<ClaimedJob[]> {
    const idle = this.#idle;
    this.#idle = false;
    if (idle || this.#cursor.wantsLook) {
      this.#lookBeside(limit);
      const reach = this.#furthest;
      if (reach > 0) return await this.#lookBack(limit, reach);
    }
    const jobs = idle ? [] : await this.paired.make(limit);
    // Where all handlers run, those behind the cursor are enough to go on with.
    if (jobs.length === limit || !toTheEnd) return jobs;
    // What stands before the cursor is seen before the worker waits.
    this.#lookBeside(limit);
    return [...jobs, ...await this.#lookBack(limit - jobs.length, this.#furthest)];
  }

  get #fronts(): Ration {
    return this.#looks[FRONT]!;
  }

  /** The furthest look that may be made now, and waited for. */
  get #furthest(): number {
    if (this.#parts.thorough) return FRONT;
    return this.#looks.findLastIndex((look, reach) =>
      reach === 0 || this.#mayReach(reach) && look.dueMs === 0 && (this.limited || !look.slow)
    );
  }

  /** Whether a job that is ready, wherever it stands, may be claimed as soon as it is seen. */
  get #nextClaimSeesAll(): boolean {
    if (this.#parts.thorough) return true;
    return this.#furthest === FRONT && this.#fronts.cheap;
  }

  #mayReach(reach: number): boolean {
    return reach === FRONT || this.#cursor.knows(reach);
  }

  async #claimBehind(limit: number): Promise<ClaimedJob[]> {
    this.#seen = -1;
    const claim = this.#cursor.begin(limit);
    let jobs: ClaimedJob[] = [];
    try {
      return jobs = await this.#plain.time(() => this.#send(limit, claim.ranges));
    } finally {
      this.#cursor.end(claim, jobs);
    }
  }

  async #lookBack(limit: number, reach: number): Promise<ClaimedJob[]> {
    const look = () => this.#send(limit, this.#cursor.since(reach));
    const jobs = await this.#lookTo(reach, look);
    const all = jobs.length < limit;
    if (reach === 0) this.#cursor.note(jobs);
    else this.#cursor.noteLook(jobs, all);
    if (all) this.#seen = Math.max(this.#seen, reach);
    return jobs;
  }

  /** Looks as far back as a reach. */
  #lookTo<Result>(reach: number, look: () => Promise<Result>): Promise<Result> {
    this.#seen = -1;
    return reach === 0 ? this.#plain.time(look) : this.#looks[reach]!.spend(look);
  }

  /** Begins the furthest look that is due and takes long. Claims go on meanwhile. */
  #lookBeside(limit: number): void {
    if (this.#parts.thorough || this.#looksBeside) return;
    const reach = this.#looks.findLastIndex((look, reach) =>
      reach > 0 && this.#mayReach(reach) && look.dueMs === 0 && look.slow
    );
    const late = Math.min(MAX_LATE, Math.ceil(limit * LATE_SHARE));
    if (reach > 0) void this.#lookBackSlowly(late, reach);
  }

  async #lookBackSlowly(limit: number, reach: number): Promise<void> {
    this.#looksBeside = true;
    const count = this.#count;
    const mark = this.#cursor.mark();
    const ranges = this.#cursor.since(reach);
    const found = await this.#beside.make(async () => {
      const jobs = await this.#looks[reach]!.spend(() => this.#send(limit, ranges));
      const all = jobs.length < limit;
      this.#cursor.noteLook(jobs, all, mark);
      if (all && this.#count === count) this.#seen = Math.max(this.#seen, reach);
      return jobs;
    });
    this.#looksBeside = false;
    const isNews = found > 0 || this.#beside.failed;
    if (isNews || this.#count !== count || this.sparedMs === 0) this.#parts.listener.wake();
  }

  #send(limit: number, ranges: readonly ClaimRange[]): Promise<ClaimedJob[]> {
    const { queue, queueManagerId } = this.#parts;
    const { dueMs } = this.#ages.claimAges;
    return queue.dequeue(limit, this.#names, queueManagerId, ranges, dueMs);
  }

  async #claimLimited(limit: number, startable: number): Promise<ClaimedJob[]> {
    const { queue, gates, queueManagerId } = this.#parts;
    const reach = this.#furthest;
    this.#askAgain = reach;
    try {
      const jobs = await this.#lookTo(reach, () => {
        const ranges = this.#cursor.since(reach);
        const { claimAges } = this.#ages;
        return queue.claimLimited(limit, startable, gates, queueManagerId, ranges, claimAges);
      });
      if (reach === 0) this.#cursor.note(jobs);
      else this.#cursor.noteLook(jobs, false);
      return jobs;
    } catch (error) {
      // A client that takes no lock, such as a Python worker, got a seat first. The look ahead says what now.
      if (!["23505", "40P01"].includes(sqlState(error) ?? "")) throw error;
      this.#ages.forget();
      return [];
    }
  }
}
