import { MAX_TIMER_MS } from "../validate.ts";
import type { Pulse } from "./pulse.ts";

/**
 * A wait that others can end. A `set()` that comes while nobody waits is kept for the next `wait()`, so nothing is lost
 * between looking and waiting; several count as one.
 */
export class Wake {
  /** Of the loop that waits, where somebody watches it. */
  readonly #pulse: Pulse | undefined;
  #pending = false;
  /** Ends the wait under way. There is at most one: each `Wake` has one loop that waits on it. */
  #end: ((woken: boolean) => void) | undefined;

  constructor(pulse?: Pulse) {
    this.#pulse = pulse;
  }

  /** Ends the wait under way, or else the next one at once. */
  set(): void {
    if (this.#end) this.#end(true);
    else this.#pending = true;
  }

  /** Forgets a `set()` that nobody has waited for: its reason is about to be looked at anyway. */
  clear(): void {
    this.#pending = false;
  }

  /** Waits for `set()`, at most `timeoutMs`. Says whether it came. */
  wait(timeoutMs: number): Promise<boolean> {
    if (this.#pending) {
      this.#pending = false;
      return Promise.resolve(true);
    }
    this.#pulse?.rest(timeoutMs);
    return new Promise((resolve) => {
      const timer = Number.isFinite(timeoutMs)
        ? setTimeout(() => this.#end?.(false), Math.min(Math.max(0, timeoutMs), MAX_TIMER_MS))
        : undefined;
      this.#end = (woken) => {
        this.#end = undefined;
        clearTimeout(timer);
        this.#pulse?.beat();
        resolve(woken);
      };
    });
  }
}
