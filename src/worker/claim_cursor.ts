import type { Job } from "../job.ts";
import {
  type ClaimRange,
  HIGHEST_PRIORITY,
  LOWEST_PRIORITY,
  wholeRange,
} from "../queries/claim_range.ts";

/**
 * How long a claim may leave out what stands before the cursor: a transaction that drew a low id may commit late, and a job
 * that is put back keeps its id. There it waits this long at most, and only while a backlog keeps the worker busy; longer
 * only where looks from the front take long.
 */
const FRONT_INTERVAL_MS = 1_000;

/**
 * A transaction that lasts no longer than this is seen at its commit, however seldom a claim looks from the front, and a job
 * that was held in vain is seen when it is put back. With a quarter of it one job in a hundred waited for the front.
 */
const LATE_MS = 1_000;

/** More priorities of one entrypoint would cost more in ranges than the dead entries they pass over. */
const MAX_LEVELS = 16;

/** Highest claimed id, by entrypoint and priority. */
type Levels = ReadonlyMap<string, ReadonlyMap<number, number>>;

/**
 * Remembers the highest id that this worker claimed of each priority, so that a claim begins to read behind it.
 *
 * The entries of claimed jobs stay in the index until no session can see them any more. While one holds an old snapshot
 * open, each claim would walk over all of them again. The cursor is a hint: to lose it costs time, never a job.
 */
export class ClaimCursor {
  readonly #entrypoints: readonly string[];
  #levels = new Map<string, Map<number, number>>();
  /** What they were at least {@linkcode LATE_MS} ago, and what takes its place when it has become as old. */
  #older: Levels = new Map();
  #newer: Levels = new Map();
  #newerAt = -Infinity;
  /** When to look from the front again, on the monotonic clock. */
  #frontAt = 0;

  constructor(entrypoints: readonly string[]) {
    this.#entrypoints = entrypoints;
  }

  /** Whether it is time to look from the front. */
  get wantsFront(): boolean {
    return performance.now() >= this.#frontAt;
  }

  /** All that is ready. */
  front(): ClaimRange[] {
    return this.#entrypoints.map(wholeRange);
  }

  /** What stands behind the last claim. */
  behind(): ClaimRange[] {
    return this.#entrypoints.flatMap((name) => rangesOf(name, this.#levels.get(name)));
  }

  /** The same, and what was committed since in transactions of a usual length, although its ids are lower. */
  lately(): ClaimRange[] {
    this.#remember();
    return this.#entrypoints.flatMap((name) => rangesOf(name, this.#older.get(name)));
  }

  /** Takes note of what a claim gave. */
  note(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (wasDeferred(job)) continue;
      let levels = this.#levels.get(job.entrypoint);
      if (levels === undefined) this.#levels.set(job.entrypoint, levels = new Map());
      if (job.id > (levels.get(job.priority) ?? 0)) levels.set(job.priority, job.id);
    }
    this.#remember();
  }

  /** Takes note of what a claim from the front gave, and whether that is `all` that was ready. */
  noteFront(jobs: readonly Job[], all: boolean): void {
    this.#frontAt = performance.now() + FRONT_INTERVAL_MS;
    // More may stand before the cursor than this claim could give: begin anew behind it.
    if (!all && jobs.some((job) => this.#isBefore(job))) {
      this.#levels = new Map();
      this.#older = this.#newer = new Map();
      this.#newerAt = -Infinity;
    }
    this.note(jobs);
  }

  #isBefore(job: Job): boolean {
    const { id, entrypoint, priority } = job;
    return !wasDeferred(job) && id <= (this.#levels.get(entrypoint)?.get(priority) ?? 0);
  }

  #remember(): void {
    const now = performance.now();
    if (now - this.#newerAt < LATE_MS) return;
    this.#older = this.#newer;
    this.#newer = new Map([...this.#levels].map(([name, levels]) => [name, new Map(levels)]));
    this.#newerAt = now;
  }
}

/** It stands in another index then: its id says nothing about the ready ones. */
function wasDeferred({ executeAfter, created }: Job): boolean {
  return executeAfter > created;
}

/** The known priorities behind their cursors, and what lies above, between and below them. */
function rangesOf(
  entrypoint: string,
  levels: ReadonlyMap<number, number> | undefined,
): ClaimRange[] {
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
