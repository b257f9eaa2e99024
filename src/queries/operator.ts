import type { Executor, Parameter } from "../driver.ts";
import type { Headers, JobId, JobStatus } from "../job.ts";
import type { Settings } from "../settings.ts";
import { textArray } from "../sql/array_literal.ts";
import { type StatementName, Statements } from "../sql/render.ts";
import type { Traceback } from "../traceback.ts";
import { explained } from "./database_error.ts";
import { decodeId } from "./job_row.ts";

/** Statuses of the rows of the queue. All others are those of jobs that are gone, and only the log knows them. */
export const LIVE_STATUSES: readonly JobStatus[] = ["queued", "picked", "failed"];

/** Which jobs to list. */
export interface JobFilter {
  readonly statuses: readonly JobStatus[];
  /** `undefined`: any. */
  readonly entrypoint?: string | undefined;
  /** What the entrypoint must contain, in small or capital letters. Empty: any. */
  readonly entrypointHas?: string | undefined;
  /** Least age: since a job was enqueued, or since it ended where it is gone. */
  readonly olderThanMs?: number | undefined;
  /** Greatest age. */
  readonly newerThanMs?: number | undefined;
  /** Most jobs. */
  readonly limit: number;
}

/** What an error was, without its stack. */
export interface ErrorSummary {
  readonly type: string | null;
  readonly message: string | null;
}

/** What the queue says of a job, without its payload. */
export interface LiveJob {
  readonly id: JobId;
  readonly status: JobStatus;
  readonly entrypoint: string;
  readonly priority: number;
  readonly attempts: number;
  readonly created: Date;
  readonly updated: Date;
  readonly heartbeat: Date;
  readonly executeAfter: Date;
  readonly queueManagerId: string | null;
  readonly slot: number | null;
  readonly dedupeKey: string | null;
  readonly headers: Headers | null;
  /** Size of the payload; `null` if there is none. */
  readonly payloadBytes: number | null;
  /** Somebody wants the running job stopped. */
  readonly cancelRequested: boolean;
  /** Workers in a row that died while they ran it. */
  readonly takeOvers: number;
  /** Why it is held. */
  readonly error: ErrorSummary | null;
  /** The time by the database's clock when this was read. */
  readonly now: Date;
}

/** What the log says of a job that is gone. */
export interface EndedJob {
  readonly id: JobId;
  readonly status: JobStatus;
  readonly entrypoint: string;
  readonly priority: number;
  readonly ended: Date;
  readonly error: ErrorSummary | null;
  readonly now: Date;
}

/** A job in a list: in the queue, or gone. */
export type ListedJob = LiveJob | EndedJob;

/** One row of a job's log. */
export interface LogEntry {
  readonly created: Date;
  readonly status: JobStatus;
  readonly entrypoint: string;
  readonly priority: number;
  readonly traceback: Traceback | null;
  readonly now: Date;
}

/** All that is known of one job. */
export interface JobDetails {
  /** Its row; `null` if it is gone. */
  readonly job: LiveJob | null;
  /** Its payload, if it was asked for and there is one. */
  readonly payload: Uint8Array | null;
  /** The last rows of its log, the oldest first. */
  readonly log: readonly LogEntry[];
}

type Int8 = string | number | bigint;
type Instant = Date | string;

interface LiveRow {
  id: Int8;
  status: JobStatus;
  entrypoint: string;
  priority: number;
  attempts: number;
  created: Instant;
  updated: Instant;
  heartbeat: Instant;
  due: Instant;
  manager: string | null;
  slot: Int8 | null;
  dedupe: string | null;
  headers: string | null;
  size: number | null;
  canceled: boolean;
  takeovers: number;
  error: string | null;
  now: Instant;
}

interface EndedRow {
  id: Int8;
  status: JobStatus;
  entrypoint: string;
  priority: number;
  ended: Instant;
  error: string | null;
  now: Instant;
}

/** Reads what an operator asks about single jobs. One method for each question. */
export class Operator {
  readonly #executor: Executor;
  readonly #settings: Settings;
  readonly #sql: Statements;

  constructor(executor: Executor, settings: Settings) {
    this.#executor = executor;
    this.#settings = settings;
    this.#sql = new Statements(settings);
  }

  /** Lists jobs, the newest first. */
  async listJobs(filter: JobFilter): Promise<ListedJob[]> {
    const live = filter.statuses.filter((status) => LIVE_STATUSES.includes(status));
    const ended = filter.statuses.filter((status) => !LIVE_STATUSES.includes(status));
    const jobs: ListedJob[] = [];
    if (live.length > 0) {
      const rows = await this.#list<LiveRow>("list_jobs", live, filter);
      jobs.push(...rows.map(decodeLive));
    }
    if (ended.length > 0) {
      const rows = await this.#list<EndedRow>("list_ended", ended, filter);
      jobs.push(...rows.map(decodeEnded));
    }
    return jobs.sort((one, other) => timeOf(other) - timeOf(one) || other.id - one.id)
      .slice(0, filter.limit);
  }

  /** Gives all that is known of a job, or `null` if neither queue nor log knows it. */
  async findJob(
    id: JobId,
    options: { payload: boolean; logLimit: number },
  ): Promise<JobDetails | null> {
    const [row] = await this.#query<LiveRow & { payload: string | null }>("find_job", [
      id,
      String(options.payload),
    ]);
    const log = await this.#query<{
      created: Instant;
      status: JobStatus;
      entrypoint: string;
      priority: number;
      traceback: string | null;
      now: Instant;
    }>("job_log", [id, options.logLimit]);
    if (row === undefined && log.length === 0) return null;
    return {
      job: row === undefined ? null : decodeLive(row),
      payload: typeof row?.payload === "string" ? fromHex(row.payload) : null,
      log: log.map((entry) => ({
        ...entry,
        created: new Date(entry.created),
        now: new Date(entry.now),
        traceback: entry.traceback === null ? null : JSON.parse(entry.traceback) as Traceback,
      })),
    };
  }

  #list<Row>(
    name: StatementName,
    statuses: readonly JobStatus[],
    { entrypoint, entrypointHas, olderThanMs, newerThanMs, limit }: JobFilter,
  ): Promise<Row[]> {
    return this.#query<Row>(name, [
      textArray(statuses),
      entrypoint ?? null,
      olderThanMs ?? null,
      newerThanMs ?? null,
      limit,
      entrypointHas || null,
    ]);
  }

  async #query<Row>(name: StatementName, parameters: readonly Parameter[]): Promise<Row[]> {
    try {
      return await this.#executor.query<Row>(this.#sql.get(name), parameters);
    } catch (error) {
      throw explained(error, "read jobs", this.#settings);
    }
  }
}

/** When a job was enqueued, or when it ended if it is gone. */
export function timeOf(job: ListedJob): number {
  return ("ended" in job ? job.ended : job.created).getTime();
}

function decodeLive(row: LiveRow): LiveJob {
  return {
    id: decodeId(row.id),
    status: row.status,
    entrypoint: row.entrypoint,
    priority: row.priority,
    attempts: row.attempts,
    created: new Date(row.created),
    updated: new Date(row.updated),
    heartbeat: new Date(row.heartbeat),
    executeAfter: new Date(row.due),
    queueManagerId: row.manager,
    slot: row.slot === null ? null : Number(row.slot),
    dedupeKey: row.dedupe,
    headers: row.headers === null ? null : JSON.parse(row.headers) as Headers | null,
    payloadBytes: row.size,
    cancelRequested: row.canceled,
    takeOvers: row.takeovers,
    error: decodeError(row.error),
    now: new Date(row.now),
  };
}

function decodeEnded(row: EndedRow): EndedJob {
  return {
    id: decodeId(row.id),
    status: row.status,
    entrypoint: row.entrypoint,
    priority: row.priority,
    ended: new Date(row.ended),
    error: decodeError(row.error),
    now: new Date(row.now),
  };
}

function decodeError(text: string | null): ErrorSummary | null {
  if (text === null) return null;
  const error = JSON.parse(text) as ErrorSummary;
  return error.type === null && error.message === null ? null : error;
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}
