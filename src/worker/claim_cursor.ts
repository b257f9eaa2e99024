import type { Job } from "../job.ts";
import {
  type ClaimRange,
  HIGHEST_PRIORITY,
  LOWEST_PRIORITY,
  wholeRange,
} from "../queries/claim_range.ts";

/**
 * How far back looks before the cursor reach, in milliseconds: a transaction that drew a low id may commit late, and a job
 * that is put back keeps its id. What was late by no more than that is found by it. The last one sees all.
 */
export const REACHES_MS: readonly number[] = [250, 1_000, 4_000, 16_000, 64_000, 256_000, Infinity];

/** The look that sees all. */
export const FRONT: number = REACHES_MS.length - 1;

/** How long claims of a busy worker leave out what stands before the cursor. */
const LOOK_INTERVAL_MS = 1_000;

/** More priorities of one entrypoint would cost more in ranges than the dead entries they pass over. */
const MAX_LEVELS = 16;

/** Highest claimed id, by entrypoint and priority. */
export type Levels = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** A claim on its way. */
export interface ClaimBehind {
  readonly limit: number;
  readonly ranges: readonly ClaimRange[];
  /** Where it begins, if that is further on than the cursor stood. */
  readonly begins: Levels | undefined;
}

/** Where the cursor stood at least so long ago, and at most twice as long where claims are made. */
class Past {
  readonly #ms: number;
  /** `undefined` as long as that is not known. */
  levels: Levels | undefined;
  /** What takes its place when it has become as old. */
  #newer: Levels | undefined;
  #newerAt = -Infinity;

  constructor(ms: number) {
    this.#ms = ms;
  }

  remember(levels: Levels, now: number): void {
    if (levels.size === 0 || now - this.#newerAt < this.#ms) return;
    this.levels = this.#newer;
    this.#newer = copyOf(levels);
    this.#newerAt = now;
  }
}

/**
 * Remembers the highest id that this worker claimed of each priority, so that a claim begins to read behind it.
 *
 * The entries of claimed jobs stay in the index until no session can see them any more. While one holds an old snapshot
 * open, each claim would walk over all of them again. The cursor is a hint: to lose it costs time, never a job.
 */
export class ClaimCursor {
  readonly #entrypoints: readonly string[];
  readonly #unordered: ReadonlySet<string>;
  #levels = new Map<string, Map<number, number>>();
  /** Those that have been sent, in that order, with what they gave. What one gave is noted after what those before it gave. */
  readonly #sent: { readonly claim: ClaimBehind; jobs?: readonly Job[] }[] = [];
  /** One for each reach but the last. */
  readonly #pasts: readonly Past[] = REACHES_MS.slice(0, FRONT).map((ms) => new Past(ms));
  /** When to look before the cursor again, on the monotonic clock. */
  #lookAt = 0;

  /** Of those in `unordered` jobs are claimed that stand behind others, so that all have to be looked at each time. */
  constructor(entrypoints: readonly string[], unordered: readonly string[] = []) {
    this.#entrypoints = entrypoints;
    this.#unordered = new Set(unordered);
  }

  /** Whether it is time to look before the cursor. */
  get wantsLook(): boolean {
    return performance.now() >= this.#lookAt;
  }

  /** Whether claims begin behind others. */
  get isSet(): boolean {
    return this.#levels.size > 0;
  }

  /** How many jobs those on their way may give. */
  get onItsWay(): number {
    return sum(this.#sent.filter(({ jobs }) => jobs === undefined).map(({ claim }) => claim.limit));
  }

  /**
   * What stands behind the last claim. Where others are on their way it begins as many ids further on as they may give jobs: if each
   * id is that of a ready job, no two of them look at the same. Whoever sends it says how it {@linkcode ClaimCursor.end | ended}.
   */
  begin(limit: number): ClaimBehind {
    const further = sum(this.#sent.map(({ claim }) => claim.limit));
    const begins = mapped(this.#levels, (id) => id + further);
    const ranges = this.#entrypoints.flatMap((name) => rangesOf(name, begins.get(name)));
    const claim = { limit, ranges, begins: further > 0 ? begins : undefined };
    this.#sent.push({ claim });
    return claim;
  }

  /** Takes note of what a claim gave. */
  end(claim: ClaimBehind, jobs: readonly Job[]): void {
    this.#sent.find((sent) => sent.claim === claim)!.jobs = jobs;
    for (let first = this.#sent[0]; first?.jobs; first = this.#sent[0]) {
      this.#sent.shift();
      const { begins } = first.claim;
      // Of a priority of which those before it have left some, it has passed over these: the cursor stays before them.
      this.note(first.jobs.filter(({ entrypoint, priority }) => {
        const begin = begins?.get(entrypoint)?.get(priority) ?? 0;
        return begin <= (this.#levels.get(entrypoint)?.get(priority) ?? 0);
      }));
    }
  }

  /** What stands behind the last claim, and what has come so late: the number of one of {@linkcode REACHES_MS}. */
  since(reach: number): ClaimRange[] {
    this.#remember();
    const levels = this.#pasts[reach]?.levels;
    return this.#entrypoints.flatMap((name) => rangesOf(name, levels?.get(name)));
  }

  /** Whether it is known where a look of this reach begins. If not, it would see all. */
  knows(reach: number): boolean {
    return this.#pasts[reach]?.levels !== undefined;
  }

  /** Takes note of what a look gave. */
  note(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (wasDeferred(job) || this.#unordered.has(job.entrypoint)) continue;
      let levels = this.#levels.get(job.entrypoint);
      if (levels === undefined) this.#levels.set(job.entrypoint, levels = new Map());
      if (job.id > (levels.get(job.priority) ?? 0)) levels.set(job.priority, job.id);
    }
    this.#remember();
  }

  /** Where it stands now. */
  mark(): Levels {
    return copyOf(this.#levels);
  }

  /**
   * Takes note of what a look before the cursor gave, and whether that is `all` that was ready. If claims have gone on
   * meanwhile: where the cursor stood when it began.
   */
  noteLook(jobs: readonly Job[], all: boolean, mark: Levels = this.#levels): void {
    this.#lookAt = performance.now() + LOOK_INTERVAL_MS;
    // More may stand before the cursor than this claim could give: begin anew behind it.
    if (!all && jobs.some((job) => isBefore(job, mark))) this.#levels = new Map();
    this.note(jobs);
  }

  #remember(): void {
    const now = performance.now();
    for (const past of this.#pasts) past.remember(this.#levels, now);
  }
}

function copyOf(levels: Levels): Map<string, Map<number, number>> {
  return mapped(levels, (id) => id);
}

function mapped(levels: Levels, of: (id: number) => number): Map<string, Map<number, number>> {
  return new Map(
    [...levels].map(([name, each]) => [name, new Map([...each].map(([at, id]) => [at, of(id)]))]),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}

function isBefore(job: Job, levels: Levels): boolean {
  return !wasDeferred(job) && job.id <= (levels.get(job.entrypoint)?.get(job.priority) ?? 0);
}

/** It stands in another index then: its id says nothing about the ready ones. */
export function wasDeferred({ executeAfter, created }: Job): boolean {
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
