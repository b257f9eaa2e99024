/**
 * What a test asks of a peer: a process of either language that enqueues, works and looks at the queue. A request is a line
 * of JSON on its stdin, `{ id, command, … }`. On its stdout each request is answered by `{ id, result }` or
 * `{ id, error }`, and meanwhile it tells what happens: `{ event, … }`. `peer_main.ts` and `peer_main.py` are the two.
 */

import type { Headers } from "../../mod.ts";

/** A job as it is handed over. Times are milliseconds, bytes are in base64. */
export interface PeerJob {
  readonly entrypoint: string;
  readonly payload?: string | null;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly dedupeKey?: string | null;
  readonly headers?: Headers | null;
}

/** A job as a handler got it. */
export interface SeenJob {
  readonly id: number;
  readonly entrypoint: string;
  readonly payload: string | null;
  readonly priority: number;
  readonly attempts: number;
  readonly headers: Record<string, unknown> | null;
}

/**
 * What a handler does: ends at once; takes `ms`; waits until it is told to go on or is canceled; throws; asks for a retry
 * after `ms` in its first attempt.
 */
export type Handler = "end" | "sleep" | "wait" | "fail" | "retry";

/** An entrypoint of a worker. */
export interface PeerEntrypoint {
  readonly does: Handler;
  readonly ms?: number;
  readonly concurrencyLimit?: number;
  readonly onFailure?: "delete" | "hold";
}

/** A worker's options. */
export interface WorkOptions {
  readonly entrypoints?: Readonly<Record<string, PeerEntrypoint>>;
  /** Name of a schedule to its expressions. */
  readonly schedules?: Readonly<Record<string, readonly string[]>>;
  readonly heartbeatTimeoutMs?: number;
  readonly dequeueTimeoutMs?: number;
  readonly batchSize?: number;
  readonly maxConcurrentTasks?: number;
}

/** A held job. */
export interface HeldJob {
  readonly id: number;
  readonly attempts: number;
}

/** A traceback of the log, as the peer's own classes read it. */
export interface SeenTraceback {
  readonly type: string;
  readonly message: string;
  readonly text: string;
  readonly context: Record<string, unknown> | null;
}

/** A row of the statistics. */
export interface StatisticsRow {
  readonly created: number;
  readonly entrypoint: string;
  readonly priority: number;
  readonly status: string;
  readonly count: number;
}

/** What is asked, and what is answered. */
export interface Commands {
  enqueue: [{ jobs: readonly PeerJob[]; onConflict?: string }, (number | null)[]];
  /** Enqueues in a transaction that stays open. */
  begin: [{ jobs: readonly PeerJob[] }, (number | null)[]];
  /** Commits it. Gives the time before the commit. */
  commit: [Record<never, never>, number];
  work: [WorkOptions, void];
  /** Stops the worker, whose running handlers end first. */
  stop: [Record<never, never>, void];
  /** Lets handlers that wait go on. */
  go: [{ ids: readonly number[] }, void];
  cancel: [{ ids: readonly number[] }, void];
  failed: [Record<never, never>, HeldJob[]];
  requeue: [{ ids: readonly number[] }, void];
  /** Those of a job's log, the oldest first. */
  tracebacks: [{ job: number }, SeenTraceback[]];
  statistics: [Record<never, never>, StatisticsRow[]];
}

/** What a peer tells by itself. */
export type PeerEvent =
  | { readonly event: "start"; readonly at: number; readonly job: SeenJob }
  | { readonly event: "end"; readonly at: number; readonly id: number; readonly canceled: boolean }
  | { readonly event: "fire"; readonly at: number; readonly entrypoint: string }
  /** The worker has ended by itself, with this error. */
  | { readonly event: "failed"; readonly error: string };
