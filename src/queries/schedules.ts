import type { Executor, Parameter } from "../driver.ts";
import type { Schedule } from "../schedule.ts";
import { numberArray, textArray } from "../sql/array_literal.ts";
import type { StatementName, Statements } from "../sql/render.ts";

/** The row of a registered schedule. All instants are in milliseconds since 1970, by the database's clock. */
export interface ScheduleRow {
  readonly schedule: Schedule;
  readonly id: number;
  readonly picked: boolean;
  /** Its next fire, or the one that is due. */
  readonly next: number;
  /** `next_run` as text with all its digits: what a change of it is compared with. */
  readonly version: string;
  readonly heartbeat: number;
}

/** What the table says about the registered schedules. */
export interface ScheduleOutlook {
  /** The time by the database's clock. */
  readonly now: number;
  readonly rows: readonly ScheduleRow[];
  /** Schedules that have no row. */
  readonly missing: readonly Schedule[];
}

interface OutlookRow {
  position: number;
  id: string | number | bigint | null;
  status: string;
  version: string | null;
  next: number | null;
  heartbeat: number | null;
  now: number;
}

/** Reads and writes the table of schedules. One method for each statement in `sql/queries/schedules.sql`. */
export class ScheduleStore {
  readonly #executor: Executor;
  readonly #sql: Statements;

  constructor(executor: Executor, sql: Statements) {
    this.#executor = executor;
    this.#sql = sql;
  }

  /** Gives the rows of some schedules and the time. `schedules` must not be empty. */
  async outlook(schedules: readonly Schedule[]): Promise<ScheduleOutlook> {
    const found = await this.#query<OutlookRow>("schedule_outlook", keysOf(schedules));
    const rows: ScheduleRow[] = [];
    const missing: Schedule[] = [];
    for (const row of found) {
      const schedule = schedules[row.position - 1]!;
      if (row.id === null) missing.push(schedule);
      else {
        rows.push({
          schedule,
          id: Number(row.id),
          picked: row.status === "picked",
          next: row.status === "queued" || row.status === "picked" ? row.next! : Infinity,
          version: row.version!,
          heartbeat: row.heartbeat!,
        });
      }
    }
    return { now: found[0]!.now, rows, missing };
  }

  /** Deletes the rows of `entrypoints` that are none of `schedules`. Gives their entrypoints and expressions. */
  clean(
    schedules: readonly Schedule[],
    entrypoints: readonly string[],
  ): Promise<{ entrypoint: string; expression: string }[]> {
    return this.#query("clean_schedules", [...keysOf(schedules), textArray(entrypoints)]);
  }

  /** Adds rows, each with its next fire. */
  async add(schedules: readonly Schedule[], next: readonly number[]): Promise<void> {
    await this.#query("add_schedules", [...keysOf(schedules), numberArray(next)]);
  }

  /** Moves a row to another fire. Says whether it was still as read. */
  async move(row: ScheduleRow, next: number): Promise<boolean> {
    return (await this.#query("move_schedule", [row.id, row.version, next])).length > 0;
  }

  /** Takes a due fire. Gives the claim's token, or `null` if another worker was faster. */
  async claim(row: ScheduleRow, next: number): Promise<string | null> {
    return await this.#token("claim_fire", [row.id, row.version, next]);
  }

  /** Takes a due fire without a lease. Says whether no other worker was faster. */
  async pass(row: ScheduleRow, next: number): Promise<boolean> {
    return (await this.#query("pass_fire", [row.id, row.version, next])).length > 0;
  }

  /** Takes a due fire and enqueues its job. Says whether no other worker was faster. */
  async enqueue(
    row: ScheduleRow,
    next: number,
    dedupeKey: string,
    payload: string,
  ): Promise<boolean> {
    const parameters = [row.id, row.version, next, dedupeKey, payload];
    return (await this.#query("enqueue_fire", parameters)).length > 0;
  }

  /** Takes a fire whose worker went silent. Gives the claim's token, or `null` if it is not so any more. */
  async takeOver(row: ScheduleRow, timeoutMs: number): Promise<string | null> {
    return await this.#token("take_over_fire", [row.id, row.version, timeoutMs]);
  }

  /** Renews leases. Gives the ids of those that another worker has by now. */
  async heartbeat(ids: readonly number[], tokens: readonly string[]): Promise<number[]> {
    const rows = await this.#query<{ id: string | number | bigint }>(
      "heartbeat_fires",
      fireLeaseParameters(ids, tokens),
    );
    return rows.map((row) => Number(row.id));
  }

  /** Ends a fire. */
  async finish(id: number, token: string): Promise<void> {
    await this.#query("finish_fire", [id, token]);
  }

  /** Puts a fire back that did not come to its end. */
  async release(id: number, token: string, due: number): Promise<void> {
    await this.#query("release_fire", [id, token, due]);
  }

  async #token(name: StatementName, parameters: readonly Parameter[]): Promise<string | null> {
    const [row] = await this.#query<{ token: string }>(name, parameters);
    return row?.token ?? null;
  }

  #query<Row>(name: StatementName, parameters: readonly Parameter[]): Promise<Row[]> {
    return this.#executor.query<Row>(this.#sql.get(name), parameters);
  }
}

function keysOf(schedules: readonly Schedule[]): [string, string] {
  return [
    textArray(schedules.map((schedule) => schedule.cron.expression)),
    textArray(schedules.map((schedule) => schedule.entrypoint)),
  ];
}

/** Parameters of the statement `heartbeat_fires`, for a thread that sends it too. */
export function fireLeaseParameters(
  ids: readonly number[],
  tokens: readonly string[],
): Parameter[] {
  return [numberArray(ids), textArray(tokens)];
}
