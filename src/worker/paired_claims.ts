import type { ClaimedJob } from "../queries/job_row.ts";
import type { Attempts } from "./attempts.ts";
import type { Beside } from "./beside.ts";
import { type ClaimCursor, wasDeferred } from "./claim_cursor.ts";

/** So many claims in a row brought all that they were asked for: it is a backlog, and not a few jobs that came together. */
const BACKLOG_CLAIMS = 10;

/** Fewer jobs are not worth a statement of their own: what the first one brings is enough until the next. */
const MIN_JOBS = 500;

/** What paired claims need of their surroundings. */
export interface PairedClaimsParts {
  readonly attempts: Pick<Attempts, "roomBeside" | "wake">;
  readonly beside: Beside;
  readonly cursor: ClaimCursor;
  /** Claims what stands behind those on their way. */
  readonly claim: (limit: number) => Promise<ClaimedJob[]>;
}

/**
 * The loop's own claims of a backlog, and second ones on another connection, while handlers are so quick that there is room for
 * as many jobs again as a statement brings. One connection alone would set the pace: what is claimed is dealt with in a fraction of
 * the time that the server, on one of its processors, takes to claim it.
 */
export class PairedClaims {
  readonly #parts: PairedClaimsParts;
  /** Claims in a row that brought many jobs, and all that they were asked for, of those that the cursor knows. */
  #full = 0;
  #second: Promise<void> | undefined;
  /** Whether no other follows on the second one under way. */
  #paused = false;

  constructor(parts: PairedClaimsParts) {
    this.#parts = parts;
  }

  /** How many jobs all claims on their way may give. */
  get onItsWay(): number {
    return this.#parts.cursor.onItsWay;
  }

  /** Makes a claim of the loop. */
  async make(limit: number): Promise<ClaimedJob[]> {
    const made = this.#parts.claim(limit);
    this.#paused = false;
    if (this.#full >= BACKLOG_CLAIMS && this.#room > 0) this.#second ??= this.#claimOn();
    const jobs = await made;
    const isFull = jobs.length === limit && limit >= MIN_JOBS && !jobs.some(wasDeferred);
    this.#full = isFull ? this.#full + 1 : 0;
    return jobs;
  }

  /** Waits for the second claim under way. None follows until the next of the loop. */
  async settled(): Promise<void> {
    this.#paused = true;
    await this.#second;
  }

  /** How many jobs a second claim is to bring; `0`: none is worth it. */
  get #room(): number {
    const { attempts, beside, cursor } = this.#parts;
    const limit = attempts.roomBeside(cursor.onItsWay);
    return limit < MIN_JOBS || beside.closed ? 0 : limit;
  }

  /** Makes second claims, as long as each brings all that it asked for. */
  async #claimOn(): Promise<void> {
    const { attempts, beside, claim } = this.#parts;
    for (let limit = this.#room; limit > 0 && !this.#paused; limit = this.#room) {
      if (await beside.make(() => claim(limit)) < limit) break;
    }
    this.#second = undefined;
    // There is more room for the loop's own.
    attempts.wake();
  }
}
