import { type Duration, toMs } from "./duration.ts";
import { InvalidPayloadError, PgQueuerError } from "./errors.ts";
import { integerAtLeast, knownOptions } from "./validate.ts";

/**
 * Thrown by a handler to have its job run again.
 *
 * @example Try again later
 * ```ts ignore
 * pgq.entrypoint("sync", async () => {
 *   const response = await fetch("https://example.com");
 *   if (response.status === 429) throw new RetryRequested({ delay: { minutes: 1 }, reason: "rate limited" });
 * });
 * ```
 */
export class RetryRequested extends PgQueuerError {
  override readonly name = "RetryRequested";
  /** How long to wait, in milliseconds. */
  readonly delayMs: number;
  /** Why, for the log. */
  readonly reason: string | null;

  /**
   * @param options `delay` until the next attempt (default 0), and a `reason` for the log.
   * @throws {RangeError} If the delay is negative or absurd.
   */
  constructor(options: { delay?: Duration; reason?: string; cause?: unknown } = {}) {
    knownOptions("options", options, ["delay", "reason", "cause"]);
    super(options.reason ?? "The handler asked for another attempt", { cause: options.cause });
    this.delayMs = toMs("delay", options.delay ?? 0);
    this.reason = options.reason ?? null;
  }
}

/** When a job whose handler threw is run again. */
export interface RetryOptions {
  /** Most attempts, the first included. @default {5} */
  maxAttempts?: number | undefined;
  /** Wait before the second attempt. @default {{ seconds: 1 }} */
  initialDelay?: Duration | undefined;
  /** Longest wait. @default {{ minutes: 5 }} */
  maxDelay?: Duration | undefined;
  /** What each wait is longer than the one before. @default {2} */
  multiplier?: number | undefined;
  /** Random part of a wait that may be taken off it, from 0 to 1: jobs that failed together do not return together. @default {0.2} */
  jitter?: number | undefined;
  /** Decides for each error: `false` gives up, a duration is the wait, `undefined` leaves it to the other options. */
  decide?: ((error: unknown, attempts: number) => Duration | false | undefined) | undefined;
}

/** {@linkcode RetryOptions}, checked. */
export interface RetryPolicy {
  readonly maxAttempts: number;
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
  readonly multiplier: number;
  readonly jitter: number;
  readonly decide: RetryOptions["decide"];
}

/** Checks the options. */
export function resolveRetry(options: RetryOptions): RetryPolicy {
  knownOptions("retry", options, [
    "maxAttempts",
    "initialDelay",
    "maxDelay",
    "multiplier",
    "jitter",
    "decide",
  ]);
  return {
    maxAttempts: integerAtLeast("maxAttempts", options.maxAttempts ?? 5, 1),
    initialDelayMs: toMs("initialDelay", options.initialDelay ?? { seconds: 1 }),
    maxDelayMs: toMs("maxDelay", options.maxDelay ?? { minutes: 5 }),
    multiplier: atLeastOne(options.multiplier ?? 2),
    jitter: fraction(options.jitter ?? 0.2),
    decide: options.decide,
  };
}

/**
 * How long to wait before the next attempt, in milliseconds, or `null` to give up.
 *
 * @param attempts Retries so far; `0` after the first attempt.
 */
export function retryDelayMs(
  policy: RetryPolicy,
  error: unknown,
  attempts: number,
  random: number = Math.random(),
): number | null {
  if (attempts + 1 >= policy.maxAttempts) return null;
  const decided = policy.decide?.(error, attempts);
  if (decided === false) return null;
  if (decided !== undefined) return toMs("retry.decide", decided);
  const delayMs = Math.min(
    policy.maxDelayMs,
    policy.initialDelayMs * policy.multiplier ** attempts,
  );
  return delayMs * (1 - policy.jitter * random);
}

/** What becomes of a job whose last attempt failed. */
export type OnFailure = "delete" | "hold";

/** What an entrypoint says about attempts that failed. */
export interface FailurePolicy {
  readonly onFailure: OnFailure;
  /** `null`: no attempt but those that the handler asks for. */
  readonly retry: RetryPolicy | null;
}

/** What becomes of a job whose attempt threw. */
export interface AfterFailure {
  /** How long to wait before the next attempt; `null` if there is none. */
  readonly delayMs: number | null;
  /** Why a handler asked for the next attempt. */
  readonly reason: string | null;
  /** What to tell as the cause. */
  readonly thrown: unknown;
  /** Whether it is kept, if there is no next attempt. */
  readonly held: boolean;
}

/**
 * Decides whether a job whose attempt threw runs again: when the handler asks for it, else by the policy. Never throws.
 *
 * @param attempts Retries so far; `0` after the first attempt.
 */
export function afterFailure(
  error: unknown,
  attempts: number,
  { retry, onFailure }: FailurePolicy,
): AfterFailure {
  const given = { delayMs: null, reason: null, thrown: error, held: onFailure === "hold" };
  if (error instanceof RetryRequested) {
    return { ...given, delayMs: error.delayMs, reason: error.reason };
  }
  if (error instanceof InvalidPayloadError) return { ...given, held: true };
  if (retry === null) return given;
  try {
    return { ...given, delayMs: retryDelayMs(retry, error, attempts) };
  } catch (decideError) {
    // The caller's own function: without its answer the job has failed, and the log says why.
    return { ...given, thrown: decideError };
  }
}

function atLeastOne(value: number): number {
  if (Number.isFinite(value) && value >= 1) return value;
  throw new RangeError(
    `Cannot use "multiplier" as it must be a number >= 1: current value is ${value}`,
  );
}

function fraction(value: number): number {
  if (value >= 0 && value <= 1) return value;
  throw new RangeError(`Cannot use "jitter" as it must be from 0 to 1: current value is ${value}`);
}
