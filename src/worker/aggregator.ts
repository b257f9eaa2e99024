import type { Logger } from "../logger.ts";
import type { LogStore } from "../queries/log.ts";
import { Wake } from "./wake.ts";

/** How long a job may be missing from the statistics. The Python project's workers wait as long. */
const INTERVAL_MS = 30_000;

/** Shares the rounds out over time, so that the workers of a fleet do not meet at the lock. */
const JITTER = 0.2;

/** Rows that one statement looks at and deletes: few enough to take milliseconds and to hold up nobody. */
const PRUNE_BATCH = 1_000;

/** Rows that one round deletes. Years of log are deleted at a pace that the database does not feel. */
const PRUNE_ROWS = 10_000;

/** But no slower than the log grows: for the three rows that a job writes twice as many may go. */
const ROWS_PER_JOB = 6;

/** When to go on after a round that did not get to the end. */
const BEHIND_MS = 1_000;

/**
 * But for so many times as long as it counted, nothing is counted again. What is written meanwhile by claims, outcomes and
 * enqueues of many jobs is then counted as it is written; while a worker counts, it cannot be, and is left for the next round.
 */
const REST = 4;

/** How long the last round of a worker that drains may go on: it has no next one. */
const FINISH_MS = 5_000;

/**
 * When nothing old is left, nothing will be for long: the next look is after this share of the retention, at most ten minutes
 * later.
 */
const PRUNE_SHARE = 0.01;
const LONGEST_PRUNE_MS = 600_000;

/**
 * Each look goes on where the last one ended: what has been deleted stands in the index until a vacuum. One begins anew for
 * what had to stay, such as why a job failed that was held, after this share of the retention and a day at most.
 */
const REWIND_SHARE = 0.1;
const LONGEST_REWIND_MS = 86_400_000;

/** What the aggregator needs of its surroundings. */
export interface AggregatorParts {
  readonly log: LogStore;
  /** Age at which rows are deleted. `0`: never. */
  readonly retentionMs: number;
  /** Whether the worker is stopping: it then has better things to do. */
  readonly stopping: () => boolean;
  readonly logger: Logger;
  /** Time between two rounds, for tests. */
  readonly intervalMs?: number;
}

/**
 * Keeps the log small enough to be read: every half a minute it folds what is new into the statistics and deletes what is
 * old. A worker that has run no job since its last round sends nothing. A round that fails is made up by the next.
 */
export class Aggregator {
  readonly #parts: AggregatorParts;
  readonly #wake = new Wake();
  #loop: Promise<void> | undefined;
  #closed = false;
  /** Whether a round is due: a job has run since the last one, or that one failed. */
  #due = false;
  /** Jobs that have run since the last round. */
  #jobs = 0;
  /** How long to leave the log alone after the last round, if there is more to count. */
  #restMs = 0;
  /** When to look for old rows again, on the monotonic clock. */
  #pruneAt = 0;
  /** Id of the last log row that was old when it was looked at. */
  #after = 0;
  /** When to begin with the first row again, on the monotonic clock. */
  #rewindAt = 0;

  constructor(parts: AggregatorParts) {
    this.#parts = parts;
  }

  /** A job has run, so there is something to count. */
  note(): void {
    this.#due = true;
    this.#jobs++;
  }

  /** Begins to keep the time. */
  start(): void {
    this.#loop = this.#runUntilClosed();
  }

  /** Makes the round that is due now, if one is: a worker that drains may not live as long as the interval. */
  async finish(): Promise<void> {
    if (!this.#due) return;
    const deadline = performance.now() + FINISH_MS;
    do {
      await this.#round();
    } while (this.#restMs > 0 && performance.now() < deadline && !this.#ending());
  }

  /** Stops, after the statement under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.set();
    await this.#loop;
  }

  async #runUntilClosed(): Promise<void> {
    const { intervalMs = INTERVAL_MS } = this.#parts;
    let behind = false;
    while (!this.#closed) {
      const waitMs = behind ? Math.max(Math.min(BEHIND_MS, intervalMs), this.#restMs) : intervalMs;
      await this.#wake.wait(waitMs * (1 - JITTER + 2 * JITTER * Math.random()));
      behind = (this.#due || behind) && await this.#round();
    }
  }

  /** Counts and deletes. Says whether there is more to do. */
  async #round(): Promise<boolean> {
    const { log, retentionMs, logger } = this.#parts;
    if (this.#ending()) return false;
    // Before the statement: a job that ends while it runs may not be counted by it.
    this.#due = false;
    const rows = Math.max(PRUNE_ROWS, this.#jobs * ROWS_PER_JOB);
    this.#jobs = 0;
    this.#restMs = 0;
    try {
      const begunAt = performance.now();
      const uncounted = await log.aggregate();
      if (uncounted) this.#restMs = REST * (performance.now() - begunAt);
      if (retentionMs === 0 || performance.now() < this.#pruneAt) return uncounted;
      const moreLog = await this.#prune(rows, () => this.#pruneLog());
      const moreCounts = await this.#prune(rows, async () => {
        const gone = await log.pruneStatistics(retentionMs, PRUNE_BATCH);
        return { gone, more: gone === PRUNE_BATCH };
      });
      if (moreLog || moreCounts) return true;
      this.#pruneAt = performance.now() + Math.min(retentionMs * PRUNE_SHARE, LONGEST_PRUNE_MS);
      return uncounted;
    } catch (error) {
      this.#due = true;
      logger.warn(`Cannot count and prune the log, trying again later: ${error}`);
      return false;
    }
  }

  /** Deletes so many rows, batch by batch. Says whether there is more. */
  async #prune(
    rows: number,
    prune: () => Promise<{ gone: number; more: boolean }>,
  ): Promise<boolean> {
    let deleted = 0;
    // A batch may delete next to nothing, as another worker is at it: so the rows it looks at count, too.
    for (let seen = 0; deleted < rows && seen < 2 * rows; seen += PRUNE_BATCH) {
      if (this.#ending()) return false;
      const { gone, more } = await prune();
      if (!more) return false;
      deleted += gone;
    }
    return true;
  }

  /** Deletes one batch of log rows. Says whether there may be more. */
  async #pruneLog(): Promise<{ gone: number; more: boolean }> {
    const { log, retentionMs } = this.#parts;
    const now = performance.now();
    if (now >= this.#rewindAt) {
      this.#after = 0;
      this.#rewindAt = now + Math.min(retentionMs * REWIND_SHARE, LONGEST_REWIND_MS);
    }
    const { gone, last } = await log.pruneLog(retentionMs, PRUNE_BATCH, this.#after);
    this.#after = last ?? this.#after;
    return { gone, more: last !== null };
  }

  #ending(): boolean {
    return this.#closed || this.#parts.stopping();
  }
}
