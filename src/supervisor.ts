import { restartDelayMs } from "./backoff.ts";
import type { Logger } from "./logger.ts";
import { stackOf } from "./traceback.ts";
import { MAX_TIMER_MS, shown } from "./validate.ts";
import type { RunOptions } from "./worker/run_options.ts";
import {
  type FactoryContext,
  type HeldWorker,
  type RunnableWorker,
  type WorkerFactory,
  workerIn,
} from "./worker_factory.ts";
import type { WorkerProbe } from "./worker_probe.ts";

/** A failure of a worker that is about to be made again. */
export interface Restart {
  /** What the factory or the run threw. */
  readonly error: unknown;
  /** Failures in a row, this one included. */
  readonly failures: number;
  /** How long until the factory is called again, in milliseconds. */
  readonly delayMs: number;
}

/** What a supervisor is made from. */
export interface SupervisorParts {
  readonly factory: WorkerFactory;
  readonly context: FactoryContext;
  /** For the runs themselves. */
  readonly run: RunOptions;
  /** `null`: a failure is the end. */
  readonly restart: { readonly delayMs: number; readonly maxDelayMs: number } | null;
  readonly onRestart: (restart: Restart) => void;
  /** Aborts when the worker is to stop, cleanly or at once. */
  readonly stop: AbortSignal;
  /** Aborts when it is to stop at once. */
  readonly forceSignal: AbortSignal;
  /** Is told what becomes of the worker. */
  readonly probe: WorkerProbe;
  readonly logger: Logger;
}

/** Makes workers one after another, until one ends normally or a restart would be for nothing. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  #last: RunnableWorker | undefined;
  /** How long the last run lasted. */
  #lastedMs = 0;
  /** Whether the last run has ended normally: what fails after it is no reason for another one. */
  #done = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  /** Resolves when a worker has ended normally, or when it is stopped. */
  async run(): Promise<void> {
    const { probe, stop } = this.#parts;
    probe.follow(stop);
    try {
      await this.#runAll();
    } finally {
      probe.enter("after");
    }
  }

  async #runAll(): Promise<void> {
    const { stop, forceSignal, restart, onRestart } = this.#parts;
    let failures = 0;
    while (!stop.aborted) {
      this.#lastedMs = 0;
      try {
        await this.#runOne();
        return;
      } catch (error) {
        // A factory that heeds its signal ends by it.
        const heeded = stop.aborted && !forceSignal.aborted &&
          causesOf(error).includes(stop.reason);
        if (heeded) return;
        if (restart === null || this.#done || stop.aborted || isForGood(error)) throw error;

        failures = this.#lastedMs > restart.maxDelayMs ? 1 : failures + 1;
        const delayMs = restartDelayMs(failures, restart.delayMs, restart.maxDelayMs);
        this.#parts.probe.enter("pause", { failure: error });
        onRestart({ error, failures, delayMs });
        await pause(delayMs, stop);
      }
    }
  }

  async #runOne(): Promise<void> {
    const { run, forceSignal, probe } = this.#parts;
    probe.enter("factory");
    const held = await this.#make();
    const { pgq } = held;
    // The run itself reports what goes wrong.
    const force = (): void => void pgq.stop({ timeout: 0 }).catch(() => {});
    forceSignal.addEventListener("abort", force);
    const begunAt = performance.now();
    let failure: { readonly error: unknown } | undefined;
    try {
      this.#refuseSame(pgq);
      if (forceSignal.aborted) force();
      probe.enter("run", { worker: pgq });
      await pgq.run(run);
      this.#done = true;
    } catch (error) {
      failure = { error };
    }
    probe.enter("cleanUp");
    this.#lastedMs = performance.now() - begunAt;
    forceSignal.removeEventListener("abort", force);
    await this.#cleanUp(held, failure);
    if (failure !== undefined) throw failure.error;
  }

  /** Calls the factory and waits for it, unless it is to end at once. */
  async #make(): Promise<HeldWorker> {
    const { factory, context, forceSignal } = this.#parts;
    const making = Promise.resolve(factory(context)).then(async (made) => {
      const held = await workerIn(made);
      if (held !== undefined) return held;
      throw new TypeError(
        `Cannot run a worker as its factory gives ${shown(made)}: it must give a PgQueuer`,
      );
    });
    const forced = new AbortController();
    const force = new Promise<never>((_, reject) =>
      forceSignal.addEventListener("abort", () => reject(forceSignal.reason), {
        signal: forced.signal,
      })
    );
    try {
      return await Promise.race([making, force]);
    } catch (error) {
      if (forceSignal.aborted) {
        void making.then((held) => this.#cleanUp(held, { error }), this.#late);
      }
      throw error;
    } finally {
      forced.abort();
    }
  }

  /** Told of a factory that throws when nobody waits for it any more. */
  readonly #late = (error: unknown): void =>
    this.#parts.logger.warn(`The factory has failed after the stop: ${stackOf(error)}`);

  /** Two runs of one worker would share its connections, which the first has closed. */
  #refuseSame(pgq: RunnableWorker): void {
    if (pgq === this.#last) {
      throw new TypeError(
        "Cannot restart a worker as its factory must make a new one: it gives the same PgQueuer again",
      );
    }
    this.#last = pgq;
  }

  /** Closes the worker and does what its factory left to be done. Throws, unless there is a failure to report already. */
  async #cleanUp(
    held: HeldWorker,
    failure: { readonly error: unknown } | undefined,
  ): Promise<void> {
    try {
      try {
        // A run that was refused has not closed the driver.
        await (held.pgq as Partial<AsyncDisposable>)[Symbol.asyncDispose]?.();
      } finally {
        await held[Symbol.asyncDispose]();
      }
    } catch (error) {
      if (failure === undefined) throw error;
      this.#parts.logger.error(`Cannot clean up after a failed run: ${stackOf(error)}`);
    }
  }
}

/** Whether a restart is for nothing: the same code with the same options would fail in the same way. */
function isForGood(error: unknown): boolean {
  return causesOf(error).some((cause) => {
    if (!(cause instanceof Error)) return false;
    // The TypeError of a failed fetch() may be gone the next time: those of our own checks are known by their grammar.
    const isRefusal = cause instanceof TypeError || cause instanceof RangeError;
    return (isRefusal ? /^Cannot .+ as / : /^Cannot run as /).test(cause.message);
  });
}

/** An error and its causes. */
function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = [];
  let cause = error;
  while (cause !== undefined && cause !== null && !causes.includes(cause)) {
    causes.push(cause);
    cause = (cause as { cause?: unknown }).cause;
  }
  return causes;
}

/** Waits for a time, or until `signal` aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, MAX_TIMER_MS));
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
