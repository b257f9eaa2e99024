/** How jobs look: as JSON, and in tables. */
import type { JobStatus } from "../job.ts";
import type { EndedJob, ListedJob, LiveJob } from "../queries/operator.ts";
import { timeOf } from "../queries/operator.ts";
import { durationText } from "./amounts.ts";
import { UsageError } from "./command.ts";
import type { Column } from "./table.ts";
import type { Style } from "./text.ts";

/** A job as JSON. The same keys for all: those of a job that is gone are null where the log does not know them. */
export function jobJson(job: ListedJob): Record<string, unknown> {
  const live: Partial<LiveJob> = "created" in job ? job : {};
  const ended: Partial<EndedJob> = "ended" in job ? job : {};
  return {
    id: job.id,
    status: job.status,
    entrypoint: job.entrypoint,
    priority: job.priority,
    attempts: live.attempts ?? null,
    created: live.created ?? null,
    updated: live.updated ?? null,
    heartbeat: live.heartbeat ?? null,
    execute_after: live.executeAfter ?? null,
    ended: ended.ended ?? null,
    queue_manager_id: live.queueManagerId ?? null,
    slot: live.slot ?? null,
    dedupe_key: live.dedupeKey ?? null,
    headers: live.headers ?? null,
    payload_bytes: live.payloadBytes ?? null,
    cancel_requested: live.cancelRequested ?? null,
    take_overs: live.takeOvers ?? null,
    error: job.error,
  };
}

/** The columns of a list of jobs. */
export const JOB_COLUMNS: readonly Column<ListedJob>[] = [
  { title: "ID", right: true, text: (job) => job.id },
  { title: "STATUS", text: (job) => job.status, style: (job) => STATUS_STYLES[job.status] },
  { title: "ENTRYPOINT", text: (job) => job.entrypoint },
  { title: "PRIORITY", right: true, text: (job) => job.priority },
  { title: "ATTEMPTS", right: true, text: (job) => "attempts" in job ? job.attempts : "" },
  { title: "AGE", right: true, text: (job) => durationText(job.now.getTime() - timeOf(job)) },
  { title: "NOTE", text: noteOf },
];

/** The columns of a list of held jobs. */
export const FAILED_COLUMNS: readonly Column<ListedJob>[] = [
  ...JOB_COLUMNS.filter(({ title }) => !["STATUS", "PRIORITY", "NOTE"].includes(title)),
  {
    title: "PAYLOAD",
    right: true,
    text: (job) => "payloadBytes" in job && job.payloadBytes !== null ? job.payloadBytes : "null",
  },
  { title: "ERROR", text: errorText },
];

/** What stands out about a job. */
export function noteOf(job: ListedJob): string {
  const now = job.now.getTime();
  if ("ended" in job || job.status === "failed") return errorText(job);
  if (job.status === "queued") {
    const left = job.executeAfter.getTime() - now;
    return left > 0 ? `due in ${durationText(left)}` : "";
  }
  const beat = `heartbeat ${durationText(now - job.heartbeat.getTime())} ago`;
  return job.cancelRequested ? `${beat}, cancel requested` : beat;
}

function errorText({ error }: ListedJob): string {
  if (error === null) return "";
  return [error.type, error.message].filter((part) => part !== null && part !== "").join(": ");
}

/** The colour of a status. */
export const STATUS_STYLES: Readonly<Partial<Record<JobStatus, Style>>> = {
  picked: "cyan",
  successful: "green",
  canceled: "yellow",
  deleted: "yellow",
  exception: "red",
  failed: "red",
};

/**
 * Reads job ids off the command line. Gives each once.
 *
 * @throws {UsageError} If one is none.
 */
export function readJobIds(args: readonly string[]): number[] {
  return [
    ...new Set(args.map((arg) => {
      const id = Number(arg);
      if (/^\d+$/.test(arg) && id >= 1 && Number.isSafeInteger(id)) return id;
      throw new UsageError(
        `Cannot use "${arg}" as a job id as it must be a whole number from 1 to 2^53 - 1`,
      );
    })),
  ];
}
