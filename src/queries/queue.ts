import type { Executor, Parameter } from "../driver.ts";
import type { Headers, Job, JobId, JobStatus } from "../job.ts";
import type { CheckedJob, OnConflict } from "../new_job.ts";
import { byteaArray, numberArray, textArray } from "../sql/array_literal.ts";
import type { StatementName, Statements } from "../sql/render.ts";
import type { Traceback } from "../traceback.ts";

/** What a worker without work waits for. */
export interface Outlook {
  /** A job is ready now. */
  readonly ready: boolean;
  /** Milliseconds until the next deferred job is due; `null` if there is none. */
  readonly dueMs: number | null;
  /** Milliseconds until the next lease runs out; `null` if no job is picked. */
  readonly staleMs: number | null;
}

/** An outcome that ends a job. */
export interface Ending {
  readonly jobId: JobId;
  readonly status: "successful" | "exception" | "canceled";
  readonly traceback: Traceback | null;
}

/** An outcome that keeps a job as failed. */
export interface Holding {
  readonly jobId: JobId;
  readonly traceback: Traceback | null;
}

/** A row of the queue, as clients give it. */
export interface JobRow {
  id: string | number | bigint;
  priority: number;
  manager: string | null;
  created: Date | string;
  updated: Date | string;
  heartbeat: Date | string;
  due: Date | string;
  status: JobStatus;
  entrypoint: string;
  dedupe: string | null;
  payload: Uint8Array | null;
  headers: Headers | string | null;
  attempts: number;
  slot: string | number | bigint | null;
}

const ENQUEUE: Record<OnConflict, StatementName> = {
  raise: "enqueue",
  skip: "enqueue_or_skip",
  update_priority: "enqueue_or_raise_priority",
};

/** Reads and writes the queue table. One method for each statement in `sql/queries/queue.sql`. */
export class QueueStore {
  readonly #executor: Executor;
  readonly #sql: Statements;

  constructor(executor: Executor, sql: Statements) {
    this.#executor = executor;
    this.#sql = sql;
  }

  /** Inserts jobs. Gives their ids in the order of the input, `null` for one that was left out. */
  async enqueue(jobs: readonly CheckedJob[], onConflict: OnConflict): Promise<(JobId | null)[]> {
    const [row] = await this.#query<{ ids: string }>(ENQUEUE[onConflict], [
      numberArray(jobs.map((job) => job.priority)),
      textArray(jobs.map((job) => job.entrypoint)),
      byteaArray(jobs.map((job) => job.payload)),
      numberArray(jobs.map((job) => job.delayMs)),
      textArray(jobs.map((job) => job.due)),
      textArray(jobs.map((job) => job.dedupeKey)),
      textArray(jobs.map((job) => job.headers)),
    ]);
    return row!.ids.split(",").map((id) => id === "" ? null : decodeId(id));
  }

  /** Claims up to `limit` ready jobs for `queueManagerId`, highest priority first. */
  async dequeue(
    limit: number,
    entrypoints: readonly string[],
    queueManagerId: string,
  ): Promise<Job[]> {
    const rows = await this.#query<JobRow>("dequeue", [
      limit,
      textArray(entrypoints),
      queueManagerId,
    ]);
    return rows.map(decodeJob);
  }

  /** Claims up to `limit` jobs whose heartbeat is older than `timeoutMs`, except those in `running`. */
  async takeOver(
    limit: number,
    entrypoints: readonly string[],
    queueManagerId: string,
    timeoutMs: number,
    running: readonly JobId[],
  ): Promise<Job[]> {
    const rows = await this.#query<JobRow>("take_over", [
      limit,
      textArray(entrypoints),
      queueManagerId,
      timeoutMs,
      numberArray(running),
    ]);
    return rows.map(decodeJob);
  }

  /** Says what a worker without work waits for. Sends `event` to every listener, if there is one. */
  async lookAhead(
    entrypoints: readonly string[],
    timeoutMs: number,
    event: string | null,
  ): Promise<Outlook> {
    const [row] = await this.#query<{ ready: boolean; due: number | null; stale: number | null }>(
      "look_ahead",
      [textArray(entrypoints), timeoutMs, event],
    );
    return { ready: row!.ready, dueMs: row!.due, staleMs: row!.stale };
  }

  /** Renews leases. Gives the ids whose lease is still held. */
  heartbeat(jobIds: readonly JobId[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("heartbeat", [numberArray(jobIds), queueManagerId]);
  }

  /** Deletes picked jobs and logs their outcomes. Gives the ids whose lease was still held. */
  acknowledge(endings: readonly Ending[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("acknowledge", [
      numberArray(endings.map((ending) => ending.jobId)),
      textArray(endings.map((ending) => ending.status)),
      textArray(endings.map((ending) => encodeTraceback(ending.traceback))),
      queueManagerId,
    ]);
  }

  /** Keeps picked jobs as failed. Gives the ids whose lease was still held. */
  hold(holdings: readonly Holding[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("hold", [
      numberArray(holdings.map((holding) => holding.jobId)),
      textArray(holdings.map((holding) => encodeTraceback(holding.traceback))),
      queueManagerId,
    ]);
  }

  /** Puts picked jobs back in the queue. Gives the ids whose lease was still held. */
  release(jobIds: readonly JobId[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("release", [numberArray(jobIds), queueManagerId]);
  }

  /** Puts back every job that `queueManagerId` holds in the table and that is not in `known`. Gives their ids. */
  releaseUnknown(known: readonly JobId[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("release_unknown", [numberArray(known), queueManagerId]);
  }

  /** Sends an event to every listener. */
  async notify(event: string): Promise<void> {
    await this.#query("notify", [event]);
  }

  async #ids(name: StatementName, parameters: readonly Parameter[]): Promise<JobId[]> {
    const rows = await this.#query<{ id: string | number | bigint }>(name, parameters);
    return rows.map((row) => decodeId(row.id));
  }

  #query<Row>(name: StatementName, parameters: readonly Parameter[]): Promise<Row[]> {
    return this.#executor.query<Row>(this.#sql.get(name), parameters);
  }
}

function encodeTraceback(traceback: Traceback | null): string | null {
  return traceback === null ? null : JSON.stringify(traceback);
}

/** Clients give `int8` as text, number or bigint. */
export function decodeId(value: string | number | bigint): number {
  const id = Number(value);
  if (Number.isSafeInteger(id)) return id;
  throw new RangeError(`Cannot read the id ${value} as it must be at most 2^53 - 1`);
}

/** Reads one row of the queue. */
export function decodeJob(row: JobRow): Job {
  return {
    id: decodeId(row.id),
    priority: row.priority,
    created: new Date(row.created),
    updated: new Date(row.updated),
    heartbeat: new Date(row.heartbeat),
    executeAfter: new Date(row.due),
    status: row.status,
    entrypoint: row.entrypoint,
    dedupeKey: row.dedupe,
    // A Buffer on some clients: handlers get the same class everywhere.
    payload: row.payload === null
      ? null
      : new Uint8Array(row.payload.buffer, row.payload.byteOffset, row.payload.byteLength),
    headers: decodeHeaders(row.headers),
    attempts: row.attempts,
    queueManagerId: row.manager,
    slot: row.slot === null ? null : Number(row.slot),
  };
}

/** A Python producer without headers writes JSON's null, not SQL's. */
function decodeHeaders(value: Headers | string | null): Headers | null {
  return typeof value === "string" ? JSON.parse(value) as Headers | null : value;
}
