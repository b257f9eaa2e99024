import { type Duration, toMs } from "./duration.ts";
import { silentLogger } from "./logger.ts";
import { resolveSettings, type SettingsOptions } from "./settings.ts";
import { type Restart, Supervisor, type SupervisorParts } from "./supervisor.ts";
import { stackOf } from "./traceback.ts";
import { abortSignal, flag, knownOptions, shown } from "./validate.ts";
import { resolveRunOptions, RUN_OPTIONS, type RunOptions } from "./worker/run_options.ts";
import type { WorkerFactory } from "./worker_factory.ts";
import { WorkerProbe } from "./worker_probe.ts";

/** Options for {@linkcode runWorker}, beside those of a run. */
export interface RunWorkerOptions extends RunOptions {
  /**
   * Whether to make and run a new worker after one has failed: its factory threw, or its run did, as without a database
   * or without tables at the start. One that ends normally, by a stop or a drain, is not made again; nor is one whose
   * own code or options are wrong, which a restart cannot mend (a `TypeError` or `RangeError` of this library).
   *
   * @default {false}
   */
  restartOnFailure?: boolean | undefined;
  /**
   * Wait before the first restart. It doubles with each further failure, up to `maxRestartDelay`, less a random part of
   * up to a half so that a fleet does not return all at once. A run that lasted longer than `maxRestartDelay` counts as
   * healthy, and the next wait is the first again. `0` restarts at once after the first failure.
   *
   * @default {{ seconds: 5 }}
   */
  restartDelay?: Duration | undefined;
  /** Longest wait before a restart. @default {{ minutes: 1 }}, or `restartDelay` where that is longer */
  maxRestartDelay?: Duration | undefined;
  /** Is told of each failure before the wait, for metrics and alerts. @default writes it to `logger` */
  onRestart?: ((restart: Restart) => void) | undefined;
  /**
   * Stops at once, as a second Ctrl-C does: the signals of running handlers abort, and jobs that do not end within a
   * second go back to the queue as they were. A factory that is still at work is waited for no longer.
   */
  forceSignal?: AbortSignal | undefined;
  /** Is kept up to date on the worker, for health checks. See {@linkcode WorkerProbe}. */
  probe?: WorkerProbe | undefined;
  /** `args` for the factory. @default {[]} */
  args?: readonly string[] | undefined;
  /** `dsn` for the factory. @default {undefined} */
  dsn?: string | undefined;
  /** `settings` for the factory: names of the tables. @default those of the environment */
  settings?: SettingsOptions | undefined;
}

/**
 * Makes a worker with its factory and runs it to its end, as `pgq run` does: with `restartOnFailure` again and again.
 *
 * Process signals are left to the caller. An error that no promise reports, such as one thrown in a timer of a handler,
 * ends the process and with it this function: for that there is a process manager.
 *
 * @example A worker inside an application
 * ```ts ignore
 * import { runWorker } from "pgqueuer";
 * import { main } from "./queue/main.ts";
 *
 * const stop = new AbortController();
 * process.once("SIGTERM", () => stop.abort());
 * await runWorker(main, { restartOnFailure: true, signal: stop.signal, logger: console });
 * ```
 *
 * @param factory Makes a worker; it is called for each start. See {@linkcode WorkerFactory}.
 * @param options Those of {@linkcode PgQueuer.run}, and when to start again. `signal` stops it cleanly: while it waits
 * for a restart, at once; while the factory is at work, after that.
 * @returns Resolves when the worker has ended normally and what its factory left to be done is done.
 * @throws {TypeError} If an argument or option is of the wrong kind or unknown, or the factory gives no `PgQueuer`, or the
 * same one again.
 * @throws {RangeError} If an option is out of range.
 * @throws {Error} What the factory or the run threw, where it is not restarted. The reason of `forceSignal`, if it aborts
 * while the factory is at work.
 */
export async function runWorker(
  factory: WorkerFactory,
  options: RunWorkerOptions = {},
): Promise<void> {
  if (typeof factory !== "function") {
    throw new TypeError(
      `Cannot run a worker as its factory must be a function: current value is ${shown(factory)}`,
    );
  }
  await new Supervisor({ factory, ...resolve(options) }).run();
}

/** Options that are not those of a run. */
const OWN_OPTIONS = [
  "args",
  "dsn",
  "forceSignal",
  "maxRestartDelay",
  "onRestart",
  "probe",
  "restartDelay",
  "restartOnFailure",
  "settings",
];

function resolve(options: RunWorkerOptions): Omit<SupervisorParts, "factory"> {
  knownOptions("options", options, [...RUN_OPTIONS, ...OWN_OPTIONS]);
  const never = new AbortController().signal;
  const {
    restartOnFailure,
    restartDelay = { seconds: 5 },
    maxRestartDelay,
    onRestart,
    forceSignal,
    probe = new WorkerProbe(),
    args = [],
    dsn,
    settings = {},
    ...run
  } = options;
  // Before a factory opens what it would have to close.
  const { signal = never } = resolveRunOptions(run);
  const delayMs = toMs("restartDelay", restartDelay);
  const maxDelayMs = toMs("maxRestartDelay", maxRestartDelay ?? Math.max(60_000, delayMs));
  if (maxDelayMs < delayMs) {
    throw new RangeError(
      `Cannot use "maxRestartDelay" as it must be at least "restartDelay": current values are ${maxDelayMs} ms and ${delayMs} ms`,
    );
  }
  if (onRestart !== undefined && typeof onRestart !== "function") {
    throw new TypeError(
      `Cannot use "onRestart" as it must be a function: current value is ${shown(onRestart)}`,
    );
  }
  if (typeof probe?.enter !== "function") {
    throw new TypeError(
      `Cannot use "probe" as it must be a WorkerProbe: current value is ${shown(probe)}`,
    );
  }
  const logger = run.logger ?? silentLogger;
  const force = abortSignal("forceSignal", forceSignal) ?? never;
  const stop = AbortSignal.any([signal, force]);
  return {
    run: { ...run, signal: stop },
    context: { args, dsn, settings: resolveSettings(settings), signal: stop },
    restart: flag("restartOnFailure", restartOnFailure) ? { delayMs, maxDelayMs } : null,
    onRestart: onRestart ?? (({ error, delayMs }) =>
      logger.error(
        `The worker has failed and starts again in ${Math.ceil(delayMs)} ms: ${stackOf(error)}`,
      )),
    stop,
    forceSignal: force,
    probe,
    logger,
  };
}
