/** Jobs and log rows as plain lists, so that what the queue holds and what the model holds can be compared. */
import type { Job } from "../../mod.ts";
import type { ModelJob } from "./claim_rule.ts";
import type { ModelLogRow } from "./log_model.ts";
import type { StateRow } from "./real_queue.ts";

/** Columns of a row of the queue. */
export const COLUMN = {
  id: 0,
  entrypoint: 1,
  status: 3,
  manager: 4,
  slot: 5,
  takeOvers: 7,
  dedupeKey: 9,
  heartbeat: 14,
  due: 15,
} as const;

export function modelRow(job: ModelJob): StateRow {
  return [
    job.id,
    job.entrypoint,
    job.priority,
    job.status,
    job.manager,
    job.slot,
    job.attempts,
    job.takeOvers,
    job.cancelRequested,
    job.dedupeKey,
    job.payload,
    job.headers,
    job.created,
    job.updated,
    job.heartbeat,
    job.due,
  ];
}

/** Leaves out what means nothing: the last heartbeat of a job that nobody runs, and since when a job has been due. */
export function settled(row: StateRow, now: number): StateRow {
  return row.map((value, column) => {
    if (column === COLUMN.heartbeat && row[COLUMN.status] !== "picked") return "-";
    if (column === COLUMN.due && value as number <= now) return "past";
    return value;
  });
}

export function modelLogRow(row: ModelLogRow): StateRow {
  return [
    row.jobId,
    row.status,
    row.entrypoint,
    row.priority,
    row.created,
    row.exception,
    row.counted,
  ];
}

/** A job as a worker or an operator gets it. */
export function shownJob(job: Job): StateRow {
  return [
    job.id,
    job.entrypoint,
    job.priority,
    job.status,
    job.queueManagerId,
    job.slot,
    job.attempts,
    job.dedupeKey,
    job.payload === null ? null : new TextDecoder().decode(job.payload),
    job.headers,
    +job.created,
  ];
}

export function modelJob(job: ModelJob): StateRow {
  return [
    job.id,
    job.entrypoint,
    job.priority,
    job.status,
    job.manager,
    job.slot,
    job.attempts,
    job.dedupeKey,
    job.payload,
    job.headers,
    job.created,
  ];
}

/** @throws {Error} That shows the rows in which two lists differ. */
export function different(
  what: string,
  given: readonly unknown[],
  wanted: readonly unknown[],
): void {
  const lines = (list: readonly unknown[]) => list.map((row) => JSON.stringify(row));
  const [is, should] = [lines(given), lines(wanted)];
  if (is.join("\n") === should.join("\n")) return;
  throw new Error([
    `The ${what} differs from the model:`,
    ...is.filter((line) => !should.includes(line)).map((line) => `  is        ${line}`),
    ...should.filter((line) => !is.includes(line)).map((line) => `  should be ${line}`),
  ].join("\n"));
}
