import { integerAtLeast, shown } from "./validate.ts";

/** Identifies a job. A number, exact up to 2^53: decoding an id beyond that throws. */
export type JobId = number;

/**
 * Checks a list of job ids. Gives each id once.
 *
 * @throws {TypeError} If it is no array.
 * @throws {RangeError} If an id is none, such as the `null` of a job that was dropped as a duplicate.
 */
export function checkIds(ids: readonly JobId[]): JobId[] {
  if (!Array.isArray(ids)) {
    throw new TypeError(
      `Cannot use "ids" as it must be an array of job ids: current value is ${shown(ids)}`,
    );
  }
  return [...new Set(ids.map((id, index) => integerAtLeast(`ids[${index}]`, id, 1)))];
}

/** Where a job stands. `picked` is a claimed job; a row of the queue is never `successful`, `exception` or `deleted`. */
export type JobStatus =
  | "queued"
  | "picked"
  | "successful"
  | "exception"
  | "canceled"
  | "deleted"
  | "failed";

/** Anything that JSON can hold. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** Data about a job, beside its payload: a JSON object. */
export type Headers = { readonly [key: string]: Json };

/** One row of the queue table, as a handler gets it. A plain object, so that a test can write one by hand. */
export interface Job {
  readonly id: JobId;
  /** Higher runs first. */
  readonly priority: number;
  readonly created: Date;
  readonly updated: Date;
  /** When the lease was renewed last. */
  readonly heartbeat: Date;
  /** The job does not start before. */
  readonly executeAfter: Date;
  readonly status: JobStatus;
  readonly entrypoint: string;
  readonly dedupeKey: string | null;
  /** What was enqueued, byte for byte. `null` and an empty payload are two things. */
  readonly payload: Uint8Array | null;
  readonly headers: Headers | null;
  /** Retries so far; `0` in the first attempt. */
  readonly attempts: number;
  /** UUID of the worker that holds the lease. */
  readonly queueManagerId: string | null;
  /** Seat of a job whose entrypoint has a concurrency limit. */
  readonly slot: number | null;
}
