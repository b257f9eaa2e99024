import type { Executor, Parameter } from "../driver.ts";
import type { JobStatus } from "../job.ts";
import type { Settings } from "../settings.ts";
import { textArray } from "../sql/array_literal.ts";
import { type StatementName, Statements } from "../sql/render.ts";
import { explained } from "./database_error.ts";
import { decodeId } from "./job_row.ts";

/** Median, and what one in twenty exceeds. In seconds; `null` where the log does not tell. */
export interface Spread {
  readonly p50: number | null;
  readonly p95: number | null;
}

/** One entrypoint at a glance. */
export interface EntrypointStatus {
  readonly entrypoint: string;
  /** Jobs that a worker could start now. */
  readonly ready: number;
  /** Jobs that wait for their time. */
  readonly deferred: number;
  readonly picked: number;
  /** Held jobs. */
  readonly failed: number;
  /** Seconds that the oldest ready job has waited; `null` if none is ready. */
  readonly oldestAge: number | null;
  /** How many jobs ended in the window, by how. */
  readonly ended: Readonly<Partial<Record<JobStatus, number>>>;
  /** Ends per second in the window. */
  readonly perSecond: number;
  readonly wait: Spread;
  readonly run: Spread;
  /** How many ends the two spreads are made from. */
  readonly sample: number;
}

/** A worker that holds jobs. */
export interface Holder {
  readonly id: string;
  readonly jobs: number;
  readonly entrypoints: readonly string[];
  /** Seconds since it renewed a lease. */
  readonly silence: number;
}

/** Everything at a glance. */
export interface Status {
  /** The time by the database's clock. */
  readonly now: Date;
  readonly windowMs: number;
  readonly entrypoints: readonly EntrypointStatus[];
  /** Workers that hold jobs, the one heard of last first. Idle ones are not among them. */
  readonly holders: readonly Holder[];
  /** Sessions that listen to our channel; `null` where we may not see all sessions. */
  readonly listening: number | null;
}

/** A row of the table of schedules. */
export interface ScheduleInfo {
  readonly id: number;
  readonly entrypoint: string;
  readonly expression: string;
  readonly status: JobStatus;
  readonly created: Date;
  readonly updated: Date;
  readonly heartbeat: Date;
  /** `null`: paused. */
  readonly nextRun: Date | null;
  readonly lastRun: Date | null;
  /** The time by the database's clock. */
  readonly now: Date;
}

/** A row that was deleted from it. */
export type RemovedSchedule = Pick<ScheduleInfo, "id" | "entrypoint" | "expression">;

type Int8 = string | number | bigint;
type Instant = Date | string;

/** Enough for a percentile, and read in a moment however long the log is. */
const SAMPLE = 10_000;

/** Reads what an operator asks about the queue as a whole. */
export class Overview {
  readonly #executor: Executor;
  readonly #settings: Settings;
  readonly #sql: Statements;

  constructor(executor: Executor, settings: Settings) {
    this.#executor = executor;
    this.#settings = settings;
    this.#sql = new Statements(settings);
  }

  /** Gives the state of the queue, and what happened in the last `windowMs`. */
  async status(windowMs: number): Promise<Status> {
    const depths = await this.#query<
      Record<"ready" | "deferred" | "picked" | "failed", Int8> & {
        entrypoint: string;
        oldest: number | null;
      }
    >("depth", []);
    const ends = await this.#query<{ entrypoint: string; status: JobStatus; count: Int8 }>(
      "recent_ends",
      [windowMs],
    );
    const durations = await this.#query<
      Record<"wait" | "longwait" | "run" | "longrun", number | null> & {
        entrypoint: string;
        sample: Int8;
      }
    >("recent_durations", [windowMs, SAMPLE]);

    const names = new Set([...depths, ...ends, ...durations].map(({ entrypoint }) => entrypoint));
    const entrypoints = [...names].sort().map((entrypoint): EntrypointStatus => {
      const isIts = (row: { entrypoint: string }): boolean => row.entrypoint === entrypoint;
      const depth = depths.find(isIts);
      const duration = durations.find(isIts);
      const ended = ends.filter(isIts).map(({ status, count }) => [status, Number(count)] as const);
      return {
        entrypoint,
        ready: Number(depth?.ready ?? 0),
        deferred: Number(depth?.deferred ?? 0),
        picked: Number(depth?.picked ?? 0),
        failed: Number(depth?.failed ?? 0),
        oldestAge: depth?.oldest ?? null,
        ended: Object.fromEntries(ended),
        perSecond: ended.reduce((sum, [, count]) => sum + count, 0) / (windowMs / 1_000),
        wait: { p50: duration?.wait ?? null, p95: duration?.longwait ?? null },
        run: { p50: duration?.run ?? null, p95: duration?.longrun ?? null },
        sample: Number(duration?.sample ?? 0),
      };
    });
    const holders = await this.holders();
    const sessions = await this.#sessions();
    return { now: sessions.now, windowMs, entrypoints, holders, listening: sessions.listening };
  }

  /** Gives the workers that hold jobs. */
  async holders(): Promise<Holder[]> {
    const rows = await this.#query<
      { id: string; jobs: Int8; entrypoints: string; silence: number }
    >("holders", []);
    return rows.map((row) => ({
      ...row,
      jobs: Number(row.jobs),
      entrypoints: JSON.parse(row.entrypoints) as string[],
    }));
  }

  /** Lists the schedules. */
  async schedules(): Promise<ScheduleInfo[]> {
    const rows = await this.#query<
      & { id: Int8; entrypoint: string; expression: string; status: JobStatus }
      & Record<"created" | "updated" | "heartbeat" | "now", Instant>
      & Record<"next" | "last", Instant | null>
    >("list_schedules", []);
    return rows.map((row) => ({
      id: decodeId(row.id),
      entrypoint: row.entrypoint,
      expression: row.expression,
      status: row.status,
      created: new Date(row.created),
      updated: new Date(row.updated),
      heartbeat: new Date(row.heartbeat),
      nextRun: row.next === null ? null : new Date(row.next),
      lastRun: row.last === null ? null : new Date(row.last),
      now: new Date(row.now),
    }));
  }

  /** Deletes schedules by their id or entrypoint. Gives what it deleted. */
  async removeSchedules(idsOrEntrypoints: readonly string[]): Promise<RemovedSchedule[]> {
    const rows = await this.#query<{ id: Int8; entrypoint: string; expression: string }>(
      "remove_schedules",
      [textArray(idsOrEntrypoints)],
      "remove schedules",
    );
    return rows.map((row) => ({ ...row, id: decodeId(row.id) }));
  }

  async #sessions(): Promise<{ now: Date; listening: number | null }> {
    const [row] = await this.#query<{ listening: number; hidden: number; now: Instant }>(
      "listening_sessions",
      [],
    );
    const { listening, hidden, now } = row!;
    return { now: new Date(now), listening: hidden > 0 ? null : listening };
  }

  async #query<Row>(
    name: StatementName,
    parameters: readonly Parameter[],
    action = "read the queue",
  ): Promise<Row[]> {
    try {
      return await this.#executor.query<Row>(this.#sql.get(name), parameters);
    } catch (error) {
      throw explained(error, action, this.#settings);
    }
  }
}
