import type { Job } from "../job.ts";
import {
  type ClaimRange,
  HIGHEST_PRIORITY,
  LOWEST_PRIORITY,
  wholeRange,
} from "../queries/queue.ts";

/**
 * How long a claim may leave out what stands before the cursor: a transaction that drew a low id may commit late, and a
 * retried job keeps its id. There it waits this long at most, and only while a backlog keeps the worker busy.
 */
const FRONT_INTERVAL_MS = 1_000;

/** More priorities of one entrypoint would cost more in ranges than the dead entries they pass over. */
const MAX_LEVELS = 16;

/**
 * Remembers the highest id that this worker claimed of each priority, so that a claim begins to read behind it.
 *
 * The entries of claimed jobs stay in the index until no session can see them any more. While one holds an old snapshot
 * open, each claim would walk over all of them again. The cursor is a hint: to lose it costs time, never a job.
 */
export class ClaimCursor {
  readonly #entrypoints: readonly string[];
  /** Highest claimed id, by entrypoint and priority. */
  readonly #levels = new Map<string, Map<number, number>>();
  /** When to look from the front again, on the monotonic clock. */
  #frontAt = 0;

  constructor(entrypoints: readonly string[]) {
    this.#entrypoints = entrypoints;
  }

  /** What the next claim reads: from the front if it is time for that, and then all that there is. */
  ranges(): { readonly ranges: ClaimRange[]; readonly front: boolean } {
    const now = performance.now();
    if (now < this.#frontAt) {
      return { ranges: this.#entrypoints.flatMap((name) => this.#rangesOf(name)), front: false };
    }
    this.#frontAt = now + FRONT_INTERVAL_MS;
    this.#levels.clear();
    return { ranges: this.#entrypoints.map(wholeRange), front: true };
  }

  /** Takes note of what a claim gave. */
  note(jobs: readonly Job[]): void {
    for (const job of jobs) {
      // A job that was deferred stands in another index: its id says nothing about the ready ones.
      if (job.executeAfter > job.created) continue;
      let levels = this.#levels.get(job.entrypoint);
      if (levels === undefined) this.#levels.set(job.entrypoint, levels = new Map());
      if (job.id > (levels.get(job.priority) ?? 0)) levels.set(job.priority, job.id);
    }
  }

  /** Makes the next claim look from the front. */
  reset(): void {
    this.#frontAt = 0;
  }

  /** The known priorities behind their cursors, and what lies above, between and below them. */
  #rangesOf(entrypoint: string): ClaimRange[] {
    const levels = this.#levels.get(entrypoint);
    if (levels === undefined || levels.size > MAX_LEVELS) return [wholeRange(entrypoint)];
    const ranges: ClaimRange[] = [];
    let highest = HIGHEST_PRIORITY;
    for (const [priority, after] of [...levels].sort(([one], [other]) => other - one)) {
      if (priority < highest) {
        ranges.push({ entrypoint, lowest: priority + 1, highest, after: 0 });
      }
      ranges.push({ entrypoint, lowest: priority, highest: priority, after });
      highest = priority - 1;
    }
    if (highest >= LOWEST_PRIORITY) {
      ranges.push({ entrypoint, lowest: LOWEST_PRIORITY, highest, after: 0 });
    }
    return ranges;
  }
}
