import { Buffer } from "node:buffer";
import type { JobStatus } from "../job.ts";
import { type JobDetails, type LiveJob, type LogEntry, Operator } from "../queries/operator.ts";
import type { Traceback } from "../traceback.ts";
import { durationText } from "./amounts.ts";
import { CliError, type Command, type Surroundings } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { jobJson, noteOf, readJobIds, STATUS_STYLES } from "./job_view.ts";
import { printJson, wantsJson } from "./output.ts";
import { type Style, styled, visible, visibleLines } from "./text.ts";

/** A job that was retried for ever would fill the screen. */
const LOG_LIMIT = 200;

/** A job as it is shown: what is known of it, and where it stands. */
interface Shown extends JobDetails {
  readonly id: number;
  readonly status: JobStatus | null;
  readonly withPayload: boolean;
}

/** `pgq show` */
export const show: Command = {
  name: "show",
  summary: "Show one job: its row, its log as a time line, why it failed",
  args: [{ name: "<id>", summary: "the job, also one that is gone and still in the log" }],
  flags: [
    { flags: "--payload", summary: "print the payload too: as text if it is UTF-8, else in hex" },
  ],
  notes: `Ends with code 1 if neither queue nor log knows the job.

Example:
  pgq show 42 --payload`,

  async run(input, surroundings) {
    const [id] = readJobIds(input.args) as [number];
    const { payload: withPayload = false } = readFlags(input.flags, ["payload"]);
    const found = await withDatabase(input, surroundings, async (database) => {
      const operator = new Operator(database.driver, database.settings);
      const details = await operator.findJob(id, { payload: withPayload, logLimit: LOG_LIMIT });
      if (details === null) return null;
      const status = (await database.queries.jobStatus([id])).get(id) ?? null;
      return { ...details, id, status, withPayload };
    });
    if (found === null) {
      throw new CliError(`Cannot show job ${id} as neither the queue nor the log knows it`);
    }
    if (wantsJson(input)) printJson(surroundings, detailsJson(found));
    else printDetails(surroundings, found);
    return 0;
  },
};

function detailsJson({ id, status, job, payload, withPayload, log }: Shown): unknown {
  return {
    id,
    status,
    job: job === null ? null : jobJson(job),
    ...(withPayload ? { payload: payload === null ? null : payloadJson(payload) } : {}),
    log: log.map(({ created, status, entrypoint, priority, traceback }) => ({
      created,
      status,
      entrypoint,
      priority,
      traceback,
    })),
  };
}

function payloadJson(payload: Uint8Array): unknown {
  return { text: textOf(payload) ?? null, base64: Buffer.from(payload).toString("base64") };
}

/** The text of bytes that are UTF-8. */
function textOf(payload: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return undefined;
  }
}

function printDetails({ print, terminal }: Surroundings, shown: Shown): void {
  const { id, status, job, payload, withPayload, log } = shown;
  const paint = (text: string, style: Style | undefined): string =>
    styled(text, style, terminal?.colors ?? false);
  const entrypoint = (job ?? log[0]!).entrypoint;
  const where = job === null && status !== null ? `${status}, gone from the queue` : status ?? "";
  print(
    `${paint(`Job ${id}`, "bold")}  ${visible(entrypoint)}  ${
      paint(where, status === null ? undefined : STATUS_STYLES[status])
    }`,
  );

  if (job !== null) {
    for (const [name, value] of factsOf(job)) print(`  ${name.padEnd(13)}${value}`);
  }
  if (job !== null && withPayload) {
    print(`  ${"payload is".padEnd(13)}${payloadText(payload)}`);
  }

  print("");
  print(paint("Log", "bold"));
  for (const line of timeLine(log, paint)) print(`  ${line}`);
  if (log.length === 0) print("  empty: its rows are older than the workers' retention");
  if (log.length === LOG_LIMIT) print(`  only the last ${LOG_LIMIT} rows are shown`);

  const last = log.findLast(({ traceback }) => traceback !== null)?.traceback;
  if (last) {
    print("");
    print(paint("Traceback of the last failure", "bold"));
    for (const line of visibleLines(tracebackText(last))) print(`  ${line}`);
  }
}

function payloadText(payload: Uint8Array | null): string {
  if (payload === null) return "null";
  const text = textOf(payload);
  return text === undefined ? `hex ${Buffer.from(payload).toString("hex")}` : visible(text);
}

function factsOf(job: LiveJob): [name: string, value: string][] {
  const at = (time: Date): string => {
    const ms = job.now.getTime() - time.getTime();
    const away = ms < 0 ? `in ${durationText(-ms)}` : `${durationText(ms)} ago`;
    return `${time.toISOString()} (${away})`;
  };
  const facts: [string, string | null][] = [
    ["priority", String(job.priority)],
    ["attempts", String(job.attempts)],
    ["enqueued", at(job.created)],
    ["due", job.executeAfter > job.created ? at(job.executeAfter) : null],
    ["changed", at(job.updated)],
    ["worker", job.queueManagerId],
    ["heartbeat", job.queueManagerId === null ? null : at(job.heartbeat)],
    ["note", job.cancelRequested ? noteOf(job) : null],
    ["seat", job.slot === null ? null : String(job.slot)],
    ["take-overs", job.takeOvers === 0 ? null : String(job.takeOvers)],
    ["dedupe key", job.dedupeKey === null ? null : visible(job.dedupeKey)],
    ["headers", job.headers === null ? null : visible(JSON.stringify(job.headers))],
    ["payload", job.payloadBytes === null ? "null" : `${job.payloadBytes} bytes`],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null);
}

/** Each row with the time since the one before. */
function timeLine(
  log: readonly LogEntry[],
  paint: (text: string, style: Style | undefined) => string,
): string[] {
  return log.map(({ created, status, traceback }, at) => {
    const before = log[at - 1];
    const since = before ? `+${durationText(created.getTime() - before.created.getTime())}` : "";
    const why = traceback === null ? "" : `  ${visible(summaryOf(traceback))}`;
    const word = paint(status.padEnd(10), STATUS_STYLES[status]);
    return `${created.toISOString()}  ${since.padStart(9)}  ${word}${why}`.trimEnd();
  });
}

function summaryOf({ exception_type, exception_message, additional_context }: Traceback): string {
  const delay = additional_context?.retry_delay;
  const again = typeof delay === "string" ? ` (again in ${delay})` : "";
  return `${exception_type}: ${exception_message}${again}`;
}

/** The stack. Those of other languages begin with other lines, so the message stands above unless it is there. */
function tracebackText({ exception_type, exception_message, traceback }: Traceback): string {
  const header = `${exception_type}: ${exception_message}`;
  return traceback.includes(exception_message) ? traceback : `${header}\n${traceback}`;
}
