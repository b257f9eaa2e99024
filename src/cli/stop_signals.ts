import { constants } from "node:os";
import process from "node:process";

/** What to do about signals that ask the process to end. */
export interface StopSignalActions {
  /** The first one: end cleanly. */
  stop(reason: string): void;
  /** The second one: end soon. */
  hurry(reason: string): void;
}

/**
 * How long the second signal waits before the process ends all the same. Aborted handlers get one second to end, and then
 * their jobs are put back.
 */
const HURRY_MS = 3_000;

/** Calls `actions` on signals. A third signal ends the process at once, and so does time after the second. */
export class StopSignals {
  readonly #actions: StopSignalActions;
  readonly #signals: readonly NodeJS.Signals[];
  readonly #hurryMs: number;
  readonly #also: AbortSignal | undefined;
  #count = 0;
  #exitCode = 0;

  constructor(
    actions: StopSignalActions,
    options: {
      signals?: readonly NodeJS.Signals[];
      hurryMs?: number;
      /** Another reason to stop. */
      also?: AbortSignal | undefined;
    } = {},
  ) {
    this.#also = options.also;
    this.#also?.addEventListener("abort", this.#onAbort);
    this.#actions = actions;
    this.#signals = options.signals ?? ["SIGINT", "SIGTERM"];
    this.#hurryMs = options.hurryMs ?? HURRY_MS;
    for (const signal of this.#signals) {
      try {
        process.on(signal, this.#onSignal);
      } catch {
        // Deno on Windows knows SIGINT only.
      }
    }
  }

  /** Whether one has come. */
  get stopping(): boolean {
    return this.#count > 0;
  }

  /** What a shell shows for a process that the last signal has ended; 0 before there is one. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** The same as a signal, for another reason to end. */
  trigger(reason: string, signal: NodeJS.Signals = "SIGTERM"): void {
    this.#count++;
    this.#exitCode = 128 + (constants.signals[signal] ?? 15);
    if (this.#count === 1) return this.#actions.stop(reason);
    if (this.#count > 2) process.exit(this.#exitCode);
    setTimeout(() => process.exit(this.#exitCode), this.#hurryMs);
    this.#actions.hurry(reason);
  }

  /** Leaves signals to the runtime again. */
  close(): void {
    this.#also?.removeEventListener("abort", this.#onAbort);
    for (const signal of this.#signals) process.off(signal, this.#onSignal);
  }

  readonly #onAbort = (): void => this.trigger("a reader that has gone");

  // Bun and Deno, too, call it with the name of the signal.
  readonly #onSignal = (signal: NodeJS.Signals): void => this.trigger(signal, signal);
}
