import { type Duration, toMs, toPositiveMs } from "../duration.ts";
import type { Logger } from "../logger.ts";
import { abortSignal, flag, integerAtLeast, knownOptions, oneOf } from "../validate.ts";

/** Options for {@linkcode PgQueuer.run}. */
export interface RunOptions {
  /**
   * Most jobs that one claim takes, and never more than can start at once. `"auto"` takes as many as can start at once, or
   * within about 100 ms where handlers block the event loop for each other; while they are quick, also those that will start
   * within about 25 ms, so that no handler waits for the next claim, but no more than 4 MiB of payloads. A job that cannot
   * start within a quarter of a second after all is put back for other workers.
   *
   * @default {"auto"}
   */
  batchSize?: number | "auto" | undefined;
  /**
   * How long a handler may block the event loop and keep its job: a thread with a connection of its own sends heartbeats
   * meanwhile, and after it other workers take the jobs over, since a process that hangs must lose them in the end. The
   * thread needs a driver of {@linkcode openWorkerDriver} and Deno, Bun or Node from 20.16 on; it is started with the
   * first job and connects only when it is needed. `0` is no thread: then `heartbeatTimeout` is the limit.
   *
   * @default twenty times `heartbeatTimeout`, which is ten minutes
   */
  blockTimeout?: Duration | undefined;
  /**
   * Longest wait between two looks at the queue when no notification comes. Bounds how late a job can start if a
   * notification is lost. While jobs wait for the seat of a full limit nothing is sent until the lease of a running one
   * should have run out, so that `heartbeatTimeout` is the bound.
   *
   * @default {{ seconds: 30 }}
   */
  dequeueTimeout?: Duration | undefined;
  /**
   * How long a picked job may go without a heartbeat before another worker takes it over. Three heartbeats are sent in
   * this time. `0` turns both off: a job whose worker dies is then never run again (at most once). Use the same value
   * everywhere in a fleet.
   *
   * @default {{ seconds: 30 }}
   */
  heartbeatTimeout?: Duration | undefined;
  /**
   * Most handlers that run at the same time in this process. More means more memory, and more jobs to run again when the
   * process dies.
   *
   * @default {100}
   */
  maxConcurrentTasks?: number | undefined;
  /** Where to write what the worker does, if the {@linkcode PgQueuer} was given no logger. @default nowhere */
  logger?: Logger | undefined;
  /**
   * What to do once no job is ready: `"continuous"` waits for more, `"drain"` returns when every handler has settled and
   * there is still none. A drain does not wait for deferred jobs, nor for those of other workers.
   *
   * @default {"continuous"}
   */
  mode?: "continuous" | "drain" | undefined;
  /**
   * Age at which rows of the log and of the statistics are deleted, in small batches, by workers that run jobs. Deleted
   * log rows are counted in the statistics first. `0` keeps all.
   *
   * @default {{ days: 30 }}
   */
  retention?: Duration | undefined;
  /**
   * Whether the run stops and rejects when it cannot hear notifications: its own health check did not come back, or
   * it could not listen again. By default it listens anew and goes on, and looks at the queue every `dequeueTimeout`
   * meanwhile; this is for those who would rather have a new process, or a new worker by {@linkcode runWorker}. A drain
   * ends by itself and heeds it not.
   *
   * @default {false}
   */
  shutdownOnListenerFailure?: boolean | undefined;
  /**
   * How long to wait for running handlers after a stop. After it their signals abort, and jobs that do not end within a
   * second more are put back in the queue.
   *
   * @default {{ seconds: 30 }}
   */
  shutdownTimeout?: Duration | undefined;
  /** Stops the worker as {@linkcode PgQueuer.stop} does: no job is claimed any more, running handlers are awaited. */
  signal?: AbortSignal | undefined;
}

/** {@linkcode RunOptions} with every default filled in, every value checked and every duration in milliseconds. */
export interface ResolvedRunOptions {
  readonly batchSize: number | "auto";
  readonly blockTimeoutMs: number;
  readonly dequeueTimeoutMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly logger: Logger | undefined;
  readonly maxConcurrentTasks: number;
  readonly mode: "continuous" | "drain";
  readonly retentionMs: number;
  readonly shutdownOnListenerFailure: boolean;
  readonly shutdownTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Names of the options. */
export const RUN_OPTIONS: readonly string[] = [
  "batchSize",
  "blockTimeout",
  "dequeueTimeout",
  "heartbeatTimeout",
  "logger",
  "maxConcurrentTasks",
  "mode",
  "retention",
  "shutdownOnListenerFailure",
  "shutdownTimeout",
  "signal",
];

/** PostgreSQL would sort and lock a larger batch in one go, and a worker hold it in memory. */
const MAX_BATCH_SIZE = 10_000;

/** Shorter timeouts would spend the database on heartbeats, or lose leases to a pause of the garbage collector. */
const MIN_LEASE_MS = 100;

/** Heartbeat timeouts in the default block timeout: far more than a handler should block, and a hung process is found out. */
const BLOCKED_TIMEOUTS = 20;

const DEFAULT_HEARTBEAT_TIMEOUT_MS = 30_000;

/**
 * Checks the options of a run.
 *
 * @throws {TypeError} If an option is unknown or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function resolveRunOptions(options: RunOptions = {}): ResolvedRunOptions {
  knownOptions("options", options, RUN_OPTIONS);
  const { batchSize = "auto", maxConcurrentTasks = 100 } = options;
  const mode = oneOf("mode", options.mode ?? "continuous", ["continuous", "drain"]);
  const heartbeatTimeoutMs = leaseDuration(
    "heartbeatTimeout",
    options.heartbeatTimeout ?? DEFAULT_HEARTBEAT_TIMEOUT_MS,
  );
  return {
    batchSize: batchSize === "auto"
      ? "auto"
      : atMostBatch(integerAtLeast("batchSize", batchSize, 1)),
    blockTimeoutMs: blockTimeout(options.blockTimeout, heartbeatTimeoutMs),
    dequeueTimeoutMs: toPositiveMs("dequeueTimeout", options.dequeueTimeout ?? { seconds: 30 }),
    heartbeatTimeoutMs,
    logger: options.logger,
    maxConcurrentTasks: integerAtLeast("maxConcurrentTasks", maxConcurrentTasks, 1),
    mode,
    retentionMs: toMs("retention", options.retention ?? { days: 30 }),
    shutdownOnListenerFailure:
      flag("shutdownOnListenerFailure", options.shutdownOnListenerFailure) && mode === "continuous",
    shutdownTimeoutMs: toMs("shutdownTimeout", options.shutdownTimeout ?? { seconds: 30 }),
    signal: abortSignal("signal", options.signal),
  };
}

function atMostBatch(batchSize: number): number {
  if (batchSize <= MAX_BATCH_SIZE) return batchSize;
  throw new RangeError(
    `Cannot use "batchSize" as it must be at most ${MAX_BATCH_SIZE}: current value is ${batchSize}`,
  );
}

/**
 * Checks how long a lease lasts. Gives milliseconds; `0`: it has no end of its own.
 *
 * @throws {RangeError} If it is too short to be renewed in time.
 */
export function leaseDuration(name: string, value: Duration): number {
  const ms = toMs(name, value);
  if (ms === 0 || ms >= MIN_LEASE_MS) return ms;
  throw new RangeError(
    `Cannot use "${name}" as it must be 0 or at least ${MIN_LEASE_MS} ms: current value is ${ms} ms`,
  );
}

function blockTimeout(value: Duration | undefined, heartbeatTimeoutMs: number): number {
  if (value === undefined) {
    return BLOCKED_TIMEOUTS * (heartbeatTimeoutMs || DEFAULT_HEARTBEAT_TIMEOUT_MS);
  }
  const ms = toMs("blockTimeout", value);
  if (ms === 0 || ms > heartbeatTimeoutMs) return ms;
  throw new RangeError(
    `Cannot use "blockTimeout" as it must be 0 or longer than heartbeatTimeout, ${heartbeatTimeoutMs} ms: current value is ${ms} ms`,
  );
}
