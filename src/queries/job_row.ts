import type { Headers, Job, JobStatus } from "../job.ts";
import { withPayloadText } from "../payload_text.ts";
import { fromBase64, isJsonText } from "../sql/bytes.ts";

/** A job as the statements give it: names of one word, so that a client that renames columns leaves them alone. */
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
  /** In base64. */
  payload: string | null;
  headers: Headers | string | null;
  attempts: number;
  slot: string | number | bigint | null;
}

/** A job as a claim gives it: without what the claim has set. */
export interface ClaimedRow
  extends
    Omit<JobRow, "manager" | "created" | "updated" | "heartbeat" | "due" | "status" | "payload"> {
  /** Microseconds since 1970, nearly: it is rounded. As {@linkcode ClaimedRow.due} is. */
  created: number;
  due: number;
  /** JSON as it is, or in base64. See `sql/functions/payload.sql`. */
  payload: string | null;
  /** When it was claimed, in microseconds since 1970. */
  lease: string | number | bigint;
}

/** A job that a worker has claimed. */
export interface ClaimedJob extends Job {
  /** Which claim it was: the worker may lose the job and claim it again, and this is then another. */
  readonly lease: string;
}

/** Clients give `int8` as text, number or bigint. */
export function decodeId(value: string | number | bigint): number {
  const id = Number(value);
  if (Number.isSafeInteger(id)) return id;
  throw new RangeError(`Cannot read the id ${value} as it must be at most 2^53 - 1`);
}

/** Gives a row as a job. */
export function decodeJob(row: JobRow): Job {
  return {
    id: decodeId(row.id),
    priority: row.priority,
    created: instant(row.created),
    updated: instant(row.updated),
    heartbeat: instant(row.heartbeat),
    executeAfter: instant(row.due),
    status: row.status,
    entrypoint: row.entrypoint,
    dedupeKey: row.dedupe,
    payload: row.payload === null ? null : fromBase64(row.payload),
    headers: decodeHeaders(row.headers),
    attempts: row.attempts,
    queueManagerId: row.manager,
    slot: row.slot === null ? null : Number(row.slot),
  };
}

/** Gives the row of a claim as a job. */
export function decodeClaimed(row: ClaimedRow, queueManagerId: string): ClaimedJob {
  const lease = String(row.lease);
  const claimedAt = Number(lease) / 1_000;
  const { payload } = row;
  const isText = payload !== null && isJsonText(payload);
  const job: ClaimedJob = {
    id: decodeId(row.id),
    priority: row.priority,
    created: instantOf(row.created),
    updated: new Date(claimedAt),
    heartbeat: new Date(claimedAt),
    executeAfter: instantOf(row.due),
    status: "picked",
    entrypoint: row.entrypoint,
    dedupeKey: row.dedupe,
    payload: payload === null || isText ? null : fromBase64(payload),
    headers: decodeHeaders(row.headers),
    attempts: row.attempts,
    queueManagerId,
    slot: row.slot === null ? null : Number(row.slot),
    lease,
  };
  return isText ? withPayloadText(job, payload) : job;
}

function instantOf(microseconds: number): Date {
  return new Date(Math.round(microseconds) / 1_000);
}

/** Some clients give a date, fresh for each row, and some its text. */
function instant(value: Date | string): Date {
  return typeof value === "string" ? new Date(value) : value;
}

/** A Python producer without headers writes JSON's null, not SQL's. */
function decodeHeaders(value: Headers | string | null): Headers | null {
  return typeof value === "string" ? JSON.parse(value) as Headers | null : value;
}
