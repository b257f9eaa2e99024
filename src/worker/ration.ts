/**
 * Longest time without one. A server that gave no answer for minutes is no reason not to look for hours. Longer than a look
 * ever takes that is rationed: else that would take a larger part of the time.
 */
const LONGEST_MS = 600_000;

/** One that takes no longer than most statements do is not worth sparing. */
const CHEAP_MS = 5;

/** For one that takes longer nobody waits. */
const SLOW_MS = 50;

/** Weight of the newest statement in what one takes. */
const WEIGHT = 1 / 4;

/** Measures statements that are not rationed: how long they take is no fault of what a look walks over. */
export class Plain {
  #ms = 0;

  /** What one takes, about, in milliseconds; `0` before the first. */
  get ms(): number {
    return this.#ms;
  }

  /** Sends one, and takes note of its time. */
  async time<Result>(send: () => Promise<Result>): Promise<Result> {
    const sentAt = performance.now();
    const result = await send();
    const tookMs = performance.now() - sentAt;
    this.#ms += (tookMs - this.#ms) * (this.#ms === 0 ? 1 : WEIGHT);
    return result;
  }
}

/**
 * Rations the looks at everything. Most often they take a moment, and each that is wanted is made. While a session holds an
 * old snapshot open, nothing that was ever there can be removed, and they walk over all of it. What counts is what they take
 * longer than statements that spare it: those take long, too, where the server is far away or busy.
 */
export class Ration {
  readonly #parts: number;
  readonly #cheapMs: number;
  readonly #plain: Plain;
  /** What the last one took longer than others. */
  #lastMs = 0;
  /** What one takes longer: the shorter of the last two, as one alone takes long wherever a machine is busy for a moment. */
  #tookMs = 0;
  /** When the next may be made, on the monotonic clock. */
  #at = 0;

  /** They may take one part in so many of a worker's time. What takes no longer than `cheapMs` is not counted. */
  constructor(parts: number, plain: Plain, cheapMs: number = CHEAP_MS) {
    this.#parts = parts;
    this.#plain = plain;
    this.#cheapMs = cheapMs;
  }

  /** Whether one takes a moment only. */
  get cheap(): boolean {
    return this.#tookMs <= this.#cheapMs;
  }

  /** Whether one takes so long that nothing should wait for the next. */
  get slow(): boolean {
    return this.#tookMs > SLOW_MS;
  }

  /** Milliseconds until the next may be made; `Infinity` while one is under way. */
  get dueMs(): number {
    return Math.max(0, this.#at - performance.now());
  }

  /** Lets the next be made at once, as it will take no longer than most. */
  forget(): void {
    this.#tookMs = 0;
    this.#at = 0;
  }

  /** Makes a look, and takes note of its time. */
  async spend<Result>(look: () => Promise<Result>): Promise<Result> {
    const begunAt = performance.now();
    this.#at = Infinity;
    try {
      return await look();
    } finally {
      const now = performance.now();
      // Also of one that failed: if it cannot be made in time, those that are spared go on.
      const tookMs = Math.max(0, now - begunAt - this.#plain.ms);
      this.#tookMs = Math.min(this.#lastMs, tookMs);
      this.#lastMs = tookMs;
      this.#at = this.cheap ? now : now + Math.min(LONGEST_MS, this.#tookMs * this.#parts);
    }
  }
}
