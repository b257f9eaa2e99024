import type { Duration } from "./duration.ts";
import type { Settings } from "./settings.ts";
import type { HealthOptions, WorkerHealth } from "./worker/health.ts";
import type { RunOptions } from "./worker/run_options.ts";

/** What a factory is called with. */
export interface FactoryContext {
  /** What stood behind `--`. */
  readonly args: readonly string[];
  /** The database that the command line or the environment names, in a form that every client reads. */
  readonly dsn: string | undefined;
  /** Names of the tables, to pass to `new PgQueuer(driver, settings)`. */
  readonly settings: Settings;
  /** Aborts when the worker is to stop, also while the factory is still at work: pass it to what may take long. */
  readonly signal: AbortSignal;
}

/** The part of a `PgQueuer` that is used. By shape, as the package may be loaded twice: by us and by the factory. */
export interface RunnableWorker {
  run(options?: RunOptions): Promise<void>;
  stop(options?: { timeout?: Duration }): Promise<void>;
  /** How it is. Missing in older versions. */
  health?(options?: HealthOptions): Promise<WorkerHealth>;
}

/** A worker, and what is to be done after its run. */
export interface HeldWorker extends AsyncDisposable {
  readonly pgq: RunnableWorker;
}

/**
 * Makes a worker with all that it needs: gives a `PgQueuer`, or an object with `pgq` and `[Symbol.asyncDispose]()`, or is
 * an async generator that yields a `PgQueuer` and cleans up after the `yield`.
 */
export type WorkerFactory = (
  context: FactoryContext,
) =>
  | RunnableWorker
  | HeldWorker
  | AsyncIterable<RunnableWorker>
  | Promise<RunnableWorker | HeldWorker | AsyncIterable<RunnableWorker>>;

/** Whether it is a `PgQueuer`, maybe one of another copy of this package. */
export function isWorker(value: unknown): value is RunnableWorker {
  const { run, stop, entrypoint } = (value ?? {}) as Record<string, unknown>;
  return [run, stop, entrypoint].every((method) => typeof method === "function");
}

/** Finds the worker in what a factory gave. `undefined` where there is none. */
export async function workerIn(made: unknown): Promise<HeldWorker | undefined> {
  if (isWorker(made)) return { pgq: made, [Symbol.asyncDispose]: () => Promise.resolve() };
  if (typeof made !== "object" || made === null) return undefined;

  const { next } = made as Partial<AsyncGenerator>;
  if (Symbol.asyncIterator in made && typeof next === "function") {
    return await workerOf(made as AsyncGenerator);
  }
  const holder = made as Partial<HeldWorker>;
  return isWorker(holder.pgq) && typeof holder[Symbol.asyncDispose] === "function"
    ? holder as HeldWorker
    : undefined;
}

async function workerOf(generator: AsyncGenerator): Promise<HeldWorker | undefined> {
  const { value, done } = await generator.next();
  if (done === true) return undefined;
  if (!isWorker(value)) {
    await generator.return(undefined);
    return undefined;
  }
  return {
    pgq: value,
    async [Symbol.asyncDispose]() {
      // Not return(): it would pass over what follows the yield, unless that is in a finally block.
      const { done } = await generator.next();
      if (done !== true) await generator.return(undefined);
    },
  };
}
