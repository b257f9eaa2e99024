import type { Driver } from "../driver.ts";
import { type Duration, toMs } from "../duration.ts";
import type { Gate } from "../queries/gate.ts";
import { type OnFailure, resolveRetry, type RetryOptions, type RetryPolicy } from "../retry.ts";
import { integerAtLeast, knownOptions, nonEmptyText, oneOf, shown } from "../validate.ts";
import type { Handler } from "./run_job.ts";
import { leaseDuration } from "./run_options.ts";

/** Options for {@linkcode PgQueuer.entrypoint}. Declare the same limits in every worker of a fleet. */
export interface EntrypointOptions {
  /**
   * Most jobs of this entrypoint that run at the same time in the whole fleet. Never exceeded. `0` is no limit.
   *
   * @default {0}
   */
  concurrencyLimit?: number | undefined;
  /**
   * Most jobs of this entrypoint that start in a second in the whole fleet: a token bucket in the database that holds
   * `max(1, requestsPerSecond)` tokens. Less than 1 is fine: `0.1` is one every ten seconds.
   *
   * @default {Infinity}
   */
  requestsPerSecond?: number | undefined;
  /**
   * A picked job of this entrypoint whose heartbeat is older than this is run again, instead of after the run's
   * `heartbeatTimeout`. At least 100 ms; `0` is no timer of its own.
   *
   * @default {0}
   */
  retryTimer?: Duration | undefined;
  /**
   * Jobs of this entrypoint that share a dedupe key run one after another, and those without one too.
   *
   * @default {false}
   */
  serializedDispatch?: boolean | undefined;
  /** Longest that an attempt may take; then its signal aborts and it counts as failed. `0` is no limit. @default {0} */
  timeout?: Duration | undefined;
  /** Runs a job again whose handler threw. A handler can ask for it by itself: {@linkcode RetryRequested}. @default off */
  retry?: RetryOptions | undefined;
  /**
   * What becomes of a job whose last attempt failed. `"delete"` removes it; the traceback stays in the log. `"hold"` keeps
   * it with status `failed` until somebody looks at it.
   *
   * @default {"delete"}
   */
  onFailure?: OnFailure | undefined;
  /**
   * A job whose workers died this many times in a row while they ran it is held: it may be what kills them.
   *
   * @default {5}
   */
  maxTakeOvers?: number | undefined;
  /**
   * Whether the handler gets a transaction, `context.tx`, in which its job ends: see {@linkcode TransactionalOptions}.
   *
   * @default {false}
   */
  transactional?: false | undefined;
}

/** Options for {@linkcode PgQueuer.entrypoint} with a {@linkcode TransactionalHandler}. */
export interface TransactionalOptions extends Omit<EntrypointOptions, "transactional"> {
  /**
   * Each attempt has a transaction on a connection of its own. The handler's writes by `context.tx` and the end of its job
   * commit together, or neither does: if the handler throws, the lease is lost or the worker dies, nothing of it is left.
   * A worker with such an entrypoint runs at most `maxTransactions` (an option of the driver) handlers at a time.
   */
  transactional: true;
}

/** A handler with the checked options of its entrypoint. */
export interface Entrypoint {
  readonly handler: Handler;
  readonly concurrencyLimit: number;
  readonly requestsPerSecond: number;
  readonly retryTimerMs: number;
  readonly serializedDispatch: boolean;
  readonly timeoutMs: number;
  readonly retry: RetryPolicy | null;
  readonly onFailure: OnFailure;
  readonly maxTakeOvers: number;
  readonly transactional: boolean;
}

/**
 * Tells the options of an entrypoint, which may be left out, from its handler.
 *
 * @throws {TypeError} If something stands behind the handler: options there would not be obeyed.
 */
export function optionsFirst<Options extends object, Run>(
  name: string,
  second: Options | Run,
  third: Run | undefined,
): [options: Partial<Options>, handler: Run] {
  if (typeof second !== "function") return [second as Options, third as Run];
  if (third === undefined) return [{}, second as Run];
  throw new TypeError(
    `Cannot register "${name}" as its handler must come last: behind it is ${
      shown(third)
    }, write the options before the handler`,
  );
}

/**
 * Adds the handler of an entrypoint to those of a worker.
 *
 * @throws {TypeError} If an argument is of the wrong kind, an option is unknown, or the driver has no transactions.
 * @throws {RangeError} If the name is empty or has a handler already, or the driver has no connections for transactions.
 */
export function addEntrypoint(
  entrypoints: Map<string, Entrypoint>,
  name: string,
  options: EntrypointOptions | TransactionalOptions,
  handler: Handler,
  { transactions }: Driver,
): void {
  nonEmptyText("name", name);
  if (typeof handler !== "function") {
    throw new TypeError(
      `Cannot register entrypoint "${name}" as its handler must be a function: current value is ${
        shown(handler)
      }`,
    );
  }
  const entrypoint = resolveEntrypoint(name, options, handler);
  if (entrypoints.has(name)) {
    throw new RangeError(`Cannot register entrypoint "${name}" as it has a handler already`);
  }
  if (entrypoint.transactional && transactions === undefined) {
    throw new TypeError(
      `Cannot register entrypoint "${name}" as transactional as its driver must have transactions: current value is a driver without "transactions", write new PgQueuer(await openWorkerDriver(dsn))`,
    );
  }
  if (entrypoint.transactional && transactions!.max < 1) {
    throw new RangeError(
      `Cannot register entrypoint "${name}" as transactional as the driver must have connections for it: "maxTransactions" is 0, as the pool has no more clients than the three of the worker itself. Give it a larger "max"`,
    );
  }
  entrypoints.set(name, entrypoint);
}

/**
 * Checks the options of an entrypoint.
 *
 * @throws {TypeError} If an option is unknown or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function resolveEntrypoint(
  name: string,
  options: EntrypointOptions | TransactionalOptions,
  handler: Handler,
): Entrypoint {
  knownOptions(`options of entrypoint ${name}`, options, [
    "concurrencyLimit",
    "requestsPerSecond",
    "retryTimer",
    "serializedDispatch",
    "timeout",
    "retry",
    "onFailure",
    "maxTakeOvers",
    "transactional",
  ]);
  return {
    handler,
    serializedDispatch: flag("serializedDispatch", options.serializedDispatch),
    transactional: flag("transactional", options.transactional),
    concurrencyLimit: integerAtLeast("concurrencyLimit", options.concurrencyLimit ?? 0, 0),
    requestsPerSecond: rate(options.requestsPerSecond ?? Infinity),
    retryTimerMs: leaseDuration("retryTimer", options.retryTimer ?? 0),
    timeoutMs: toMs("timeout", options.timeout ?? 0),
    retry: options.retry === undefined ? null : resolveRetry(options.retry),
    onFailure: oneOf("onFailure", options.onFailure ?? "delete", ["delete", "hold"]),
    maxTakeOvers: integerAtLeast("maxTakeOvers", options.maxTakeOvers ?? 5, 1),
  };
}

/** What claims of the entrypoints have to look at. */
export function gatesOf(
  entrypoints: ReadonlyMap<string, Entrypoint>,
  heartbeatTimeoutMs: number,
): Gate[] {
  return Array.from(entrypoints, ([entrypoint, options]) => ({
    entrypoint,
    concurrencyLimit: options.concurrencyLimit,
    requestsPerSecond: options.requestsPerSecond,
    serializedDispatch: options.serializedDispatch,
    leaseMs: options.retryTimerMs > 0 ? options.retryTimerMs : heartbeatTimeoutMs,
    maxTakeOvers: options.maxTakeOvers,
  }));
}

function flag(name: string, value: unknown = false): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(
    `Cannot use "${name}" as it must be true or false: current value is ${shown(value)}`,
  );
}

function rate(value: unknown): number {
  if (typeof value === "number" && value > 0) return value;
  throw new RangeError(
    `Cannot use "requestsPerSecond" as it must be a number > 0: current value is ${shown(value)}`,
  );
}
