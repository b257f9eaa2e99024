import type { Driver } from "../driver.ts";
import { type Duration, toMs } from "../duration.ts";
import {
  examine,
  type HealthOptions,
  limitsOf,
  NO_WORKER,
  Ping,
  type Vitals,
  type WorkerHealth,
} from "./health.ts";
import type { Manager } from "./together.ts";
import type { WorkParts } from "./work.ts";

/** A run under way. */
interface Run {
  ended: Promise<void>;
  manager: Manager | undefined;
  /** Known once the tables have been found to be fine. */
  vitals: Vitals | undefined;
}

/** The life of a worker: its run, its stop, and how it is meanwhile. */
export class Life {
  readonly #ping: Ping;
  #run: Run | undefined;
  /** Whether the next run would have to end at once. */
  #stopped = false;
  /** Whether a run has ended. */
  #done = false;

  constructor(driver: Driver) {
    this.#ping = new Ping(driver);
  }

  /** Whether a run is under way. */
  get runs(): boolean {
    return this.#run !== undefined;
  }

  /** Runs to the end, and then closes what the run was made on. */
  async run(
    signal: AbortSignal | undefined,
    begin: (parts: Pick<WorkParts, "stopped" | "onManager">) => Promise<void>,
    close: () => Promise<void>,
  ): Promise<void> {
    const stop = (): void => void this.stop();
    const run: Run = { ended: Promise.resolve(), manager: undefined, vitals: undefined };
    this.#run = run;
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) this.#stopped = true;
    const ended = begin({
      stopped: () => this.#stopped,
      onManager: (manager, vitals) => void Object.assign(run, { manager, vitals }),
    }).finally(async () => {
      signal?.removeEventListener("abort", stop);
      await close();
      this.#run = undefined;
      this.#done = true;
    });
    // stop() waits for the end and leaves the error to the caller of run().
    run.ended = ended.catch(() => {});
    await ended;
  }

  /** Stops the run, or the next one. Resolves when it has ended; after `timeout` it waits for handlers no longer. */
  async stop(timeout?: Duration): Promise<void> {
    this.#stopped = true;
    const run = this.#run;
    run?.manager?.stop();
    if (timeout === undefined) {
      await run?.ended;
      return;
    }
    const timer = setTimeout(() => run?.manager?.hurry(), toMs("timeout", timeout));
    await run?.ended;
    clearTimeout(timer);
  }

  /** How the worker is. */
  async health(entrypoints: readonly string[], options: HealthOptions): Promise<WorkerHealth> {
    const limits = limitsOf(options);
    const run = this.#run;
    if (run === undefined) {
      const done = this.#done || this.#stopped;
      return {
        ...NO_WORKER,
        state: done ? "stopped" : "created",
        live: !done,
        problems: [done ? "it has stopped" : "it does not run yet"],
        entrypoints,
      };
    }
    return await examine({
      state: () => this.#stopped ? "stopping" : run.vitals ? "running" : "starting",
      vitals: () => run.vitals,
      entrypoints,
      ping: this.#ping,
    }, limits);
  }
}
