/**
 * Signs of life of one loop, for health checks. A loop says when it goes on and how long it is about to wait: one that should
 * have gone on and has not is stuck.
 */
export class Pulse {
  /** When the loop goes on at the latest, on the monotonic clock. One that has not begun owes nothing. */
  #dueAt = Infinity;
  #lookedAt: number | null = null;
  #failure: string | null = null;

  /** The loop goes on. */
  beat(): void {
    this.#dueAt = performance.now();
  }

  /** The loop waits, at most for this long. */
  rest(ms: number): void {
    this.#dueAt = performance.now() + Math.max(0, ms);
  }

  /** The loop has asked the database for work, and had an answer. */
  looked(): void {
    this.beat();
    this.#lookedAt = Date.now();
    this.#failure = null;
  }

  /** It had none. */
  failed(error: unknown): void {
    this.beat();
    this.#failure = error instanceof Error ? error.message : String(error);
  }

  /** For how long it should have gone on and has not. */
  get overdueMs(): number {
    return Math.max(0, performance.now() - this.#dueAt);
  }

  /** When the database last answered, in milliseconds of `Date.now()`. */
  get lookedAt(): number | null {
    return this.#lookedAt;
  }

  /** Why the last look had no answer. `null`: it had one, or there was none yet. */
  get failure(): string | null {
    return this.#failure;
  }
}
