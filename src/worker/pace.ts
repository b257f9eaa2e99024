/** How far ahead a claim looks. About what a claim takes on a busy server: longer and jobs wait that others could start. */
const HORIZON_MS = 25;

/** Of two claims at a time each may take longer: the second looks as far ahead as that, and no further than this. */
const MAX_HORIZON_MS = 100;

/** Two claims at a time held jobs for longer than these could wait: not again for so long. */
const CAREFUL_MS = 10_000;

/** Ends are counted over at least this long. In less a batch that ends together would look like a flood. */
const MIN_WINDOW_MS = 5;

/** Handlers that take this long lose little by waiting for a claim, and a job that waits for them waits long. */
const SLOW_MS = 100;

/** Jobs of a claim that can run at once start within this: less than half of what puts them back. */
const SOON_MS = 100;

/** Payloads that wait for their handlers take so much memory, besides those of handlers that run. */
const MAX_AHEAD_BYTES = 4 * 1_024 * 1_024;

/** Weight of the newest in the mean time that a handler takes, its start or a claim, and in the mean size of a payload. */
const WEIGHT = 1 / 16;

/**
 * Measures how many jobs this process ends in a time, while it runs any: as many as have ended lately, and no more than
 * the time that a handler takes allows. Handlers that start together end together, and would look quick by their number.
 * So it tells how far ahead to claim; of large payloads no more than a few megabytes.
 */
export class Pace {
  /** Most handlers that run at the same time. */
  readonly #tasks: number;
  /** Mean time that a handler takes, in milliseconds. */
  #handlerMs = 0;
  /** Mean time for which a handler blocks the event loop when it starts, in milliseconds. */
  #blockedMs = 0;
  /** Mean size of a payload, in bytes. */
  #payloadBytes = 0;
  /** Mean time until a claim has brought its jobs, in milliseconds. */
  #claimMs = 0;
  /** Until when one claim at a time is enough. */
  #carefulUntil = 0;
  /** Ends in a millisecond, of the last windows the more the newer. */
  #rate = 0;
  #ends = 0;
  /** When the window under way began; `undefined` while nothing runs. */
  #since: number | undefined;

  constructor(tasks: number) {
    this.#tasks = tasks;
  }

  /** A job has been claimed. */
  claimed(payloadBytes: number): void {
    this.#payloadBytes += (payloadBytes - this.#payloadBytes) * WEIGHT;
  }

  /** A claim has brought jobs, so long after it was sent. */
  brought(ms: number): void {
    this.#claimMs += (Math.min(ms, MAX_HORIZON_MS) - this.#claimMs) * WEIGHT;
  }

  /** A job has started. Gives when, for its end. */
  start(): number {
    const now = performance.now();
    this.#since ??= now;
    return now;
  }

  /** Its handler has given the event loop back after so long: it waits for something, or has ended. */
  begun(ms: number): void {
    this.#blockedMs = moved(this.#blockedMs, ms);
  }

  /** A job has ended. */
  end(startedAt: number): void {
    this.#handlerMs = moved(this.#handlerMs, performance.now() - startedAt);
    this.#ends++;
  }

  /** Nothing runs any more: what follows is no slowness. */
  pause(): void {
    this.#measure(0);
    this.#since = undefined;
  }

  /** Jobs wait longer than was thought: begin anew. */
  reset(): void {
    this.#carefulUntil = performance.now() + CAREFUL_MS;
    this.#rate = 0;
    this.#ends = 0;
    if (this.#since !== undefined) this.#since = performance.now();
  }

  /** How many jobs can start soon where so many may run: fewer, if each blocks the event loop for the next. */
  soon(free: number): number {
    return Math.min(free, Math.max(1, Math.floor(SOON_MS / this.#blockedMs)));
  }

  /** How many jobs more than can start now will have started by the time that another claim could bring them. */
  ahead(): number {
    return this.#within(HORIZON_MS);
  }

  /** The same, while two claims are on their way at a time. */
  aheadOfTwo(): number {
    if (performance.now() < this.#carefulUntil) return 0;
    return this.#within(Math.max(HORIZON_MS, this.#claimMs));
  }

  #within(horizonMs: number): number {
    this.#measure(MIN_WINDOW_MS);
    if (this.#handlerMs >= SLOW_MS) return 0;
    const possible = this.#handlerMs === 0 ? 0 : this.#tasks / this.#handlerMs;
    const soon = Math.min(this.#rate, possible) * horizonMs;
    return Math.floor(Math.min(soon, MAX_AHEAD_BYTES / this.#payloadBytes));
  }

  #measure(minWindowMs: number): void {
    if (this.#since === undefined) return;
    const now = performance.now();
    const elapsedMs = now - this.#since;
    if (elapsedMs < Math.max(minWindowMs, Number.MIN_VALUE)) return;
    // A window cut short by a pause weighs as one of its least length.
    const rate = this.#ends / Math.max(elapsedMs, MIN_WINDOW_MS);
    this.#rate = this.#rate === 0 ? rate : (this.#rate + rate) / 2;
    this.#ends = 0;
    this.#since = now;
  }
}

/** A mean that follows: the first value, and from then on a share of each. */
function moved(mean: number, value: number): number {
  return mean === 0 ? value : mean + (value - mean) * WEIGHT;
}
