import type { Executor, Parameter } from "../driver.ts";
import type { Job, JobId, JobStatus } from "../job.ts";
import { numberArray } from "../sql/array_literal.ts";
import type { StatementName, Statements } from "../sql/render.ts";
import type { Traceback } from "../traceback.ts";
import { decodeId, decodeJob, type JobRow } from "./job_row.ts";

/** How many jobs stand in the queue. */
export interface QueueSize {
  readonly entrypoint: string;
  readonly priority: number;
  readonly status: JobStatus;
  readonly count: number;
}

/** How many jobs came to a status within one second. */
export interface LogStatistics {
  /** The second. */
  readonly created: Date;
  readonly entrypoint: string;
  readonly priority: number;
  readonly status: JobStatus;
  readonly count: number;
}

/** A held job. */
export interface FailedJob extends Job {
  /** Why it failed last; `null` if the log does not know. */
  readonly traceback: Traceback | null;
}

/** What became of each id that {@linkcode Queries.requeue} was given. */
export interface RequeueResult {
  /** Queued again. */
  readonly requeued: JobId[];
  /** Still held: a queued or running job has their dedupe key. */
  readonly duplicates: JobId[];
  /** Not held: queued, running or gone. Nothing was done. */
  readonly notHeld: JobId[];
}

/** What a look at old log rows came to. */
export interface Pruned {
  /** Rows deleted. */
  readonly gone: number;
  /** Id of the last row that was old enough and counted; `null` if none was. */
  readonly last: number | null;
}

type Int8 = string | number | bigint;

/** Reads and writes the log and the statistics. One method for each statement in `sql/queries/log.sql`. */
export class LogStore {
  readonly #executor: Executor;
  readonly #sql: Statements;

  constructor(executor: Executor, sql: Statements) {
    this.#executor = executor;
    this.#sql = sql;
  }

  /** Says where jobs stand. An id that is not known is not in the map. */
  async jobStatus(jobIds: readonly JobId[]): Promise<Map<JobId, JobStatus>> {
    const rows = await this.#query<{ id: Int8; status: JobStatus | null }>("job_status", [
      numberArray(jobIds),
    ]);
    const found = new Map<JobId, JobStatus>();
    for (const { id, status } of rows) if (status !== null) found.set(decodeId(id), status);
    return found;
  }

  /** Counts the rows of the queue. */
  async queueSize(): Promise<QueueSize[]> {
    const rows = await this.#query<QueueSize & { count: Int8 }>("queue_size", []);
    return rows.map((row) => ({ ...row, count: Number(row.count) }));
  }

  /** Counts the rows of the log, newest first. */
  async statistics(lastMs: number | null, limit: number): Promise<LogStatistics[]> {
    const rows = await this.#query<LogStatistics & { created: Date | string; count: Int8 }>(
      "log_statistics",
      [lastMs, limit],
    );
    return rows.map((row) => ({
      ...row,
      created: new Date(row.created),
      count: Number(row.count),
    }));
  }

  /**
   * Folds some log rows into statistics, unless another session is doing it. Says whether there are more of them. Must not
   * run in a caller's transaction.
   */
  async aggregate(): Promise<boolean> {
    const [row] = await this.#query<{ more: boolean }>("aggregate", []);
    return row!.more;
  }

  /** Looks at `limit` log rows behind the id `after`, and deletes those older than `retentionMs` that are counted. */
  async pruneLog(retentionMs: number, limit: number, after: number): Promise<Pruned> {
    const [row] = await this.#query<{ gone: number; last: Int8 | null }>(
      "prune_log",
      [retentionMs, limit, after],
    );
    const { gone, last } = row!;
    return { gone, last: last === null ? null : Number(last) };
  }

  /** Deletes up to `limit` counts older than `retentionMs`. Gives their number. */
  async pruneStatistics(retentionMs: number, limit: number): Promise<number> {
    const [row] = await this.#query<{ count: number }>("prune_statistics", [retentionMs, limit]);
    return row!.count;
  }

  /** Gives up to `limit` held jobs, the newest first. */
  async listFailed(limit: number): Promise<FailedJob[]> {
    const rows = await this.#query<JobRow & { traceback: string | null }>("list_failed", [limit]);
    return rows.map((row) => ({
      ...decodeJob(row),
      traceback: row.traceback === null ? null : JSON.parse(row.traceback) as Traceback,
    }));
  }

  /** Queues held jobs again. */
  async requeue(jobIds: readonly JobId[]): Promise<RequeueResult> {
    const rows = await this.#query<{ id: Int8; requeued: boolean }>("requeue", [
      numberArray(jobIds),
    ]);
    const held = new Map(rows.map((row) => [decodeId(row.id), row.requeued]));
    const ids = [...new Set(jobIds)];
    return {
      requeued: ids.filter((id) => held.get(id) === true),
      duplicates: ids.filter((id) => held.get(id) === false),
      notHeld: ids.filter((id) => !held.has(id)),
    };
  }

  #query<Row>(name: StatementName, parameters: readonly Parameter[]): Promise<Row[]> {
    return this.#executor.query<Row>(this.#sql.get(name), parameters);
  }
}
