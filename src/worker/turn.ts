/** Of every runtime, and in no types of all of them. */
declare const setImmediate: (callback: () => void) => unknown;

/** How long handlers may have one turn of the event loop. A claim and its answer are short beside it. */
const TURN_MS = 1;

/**
 * Shares the event loop between the handlers and all the rest. Handlers that never wait are run one after another in the
 * same turn of it: no claim would be sent while they run, no lease renewed and no signal heard, for as long as there are jobs.
 */
export class Turn {
  /** When the first handler of this turn began, on the monotonic clock. */
  #begunAt: number | undefined;
  #resume: (() => void) | undefined;

  /** Whether the handlers have had their time. If so, `resume` is called in the next turn. To be asked before each of them. */
  isOver(resume: () => void): boolean {
    const now = performance.now();
    if (this.#begunAt === undefined) {
      this.#begunAt = now;
      setImmediate(() => this.#next());
      return false;
    }
    if (now - this.#begunAt < TURN_MS) return false;
    this.#resume = resume;
    return true;
  }

  #next(): void {
    const resume = this.#resume;
    this.#begunAt = this.#resume = undefined;
    resume?.();
  }
}
