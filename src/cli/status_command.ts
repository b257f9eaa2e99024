import { type EntrypointStatus, type Holder, Overview, type Status } from "../queries/overview.ts";
import { durationText, sessionsText } from "./amounts.ts";
import type { Command, Surroundings } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { countHealthChecks } from "./health_checks.ts";
import { printJson, printTable, wantsJson } from "./output.ts";
import type { Column } from "./table.ts";
import { styled, visible } from "./text.ts";

const DEFAULT_WINDOW_MS = 300_000;
/** The default of a run's `heartbeatTimeout`. */
export const DEFAULT_SILENT_AFTER_MS = 30_000;

/** What `pgq status` prints. */
interface Report extends Status {
  readonly silentAfterMs: number;
  /** Workers that were heard checking themselves; `null` if nobody listened for it. */
  readonly healthChecks: number | null;
}

/** `pgq status` */
export const status: Command = {
  name: "status",
  summary: "Show depth, age, throughput and times of each entrypoint, and the workers",
  args: [],
  flags: [
    {
      flags: "--last <seconds>",
      summary: "how far to look back for throughput and times (default: 300)",
    },
    {
      flags: "--silent-after <seconds>",
      summary:
        "when a worker that holds jobs and renews no lease counts as silent: its heartbeatTimeout (default: 30)",
    },
    {
      flags: "--listen <seconds>",
      summary: "also count the workers whose health checks are heard meanwhile, idle ones too",
    },
  ],
  notes:
    `Workers are known by the jobs they hold. An idle one holds none: its session that listens is counted
where the role may see all sessions (pg_read_all_stats), and --listen hears its health checks: Python's
about every 10 s, ours once each dequeueTimeout (30 s).
A wait goes from the last enqueue or retry to the claim, with the delay of a deferred job. Times are
made from the last 10,000 ends.

Example:
  pgq status --last 3600`,

  async run(input, surroundings) {
    const { last = DEFAULT_WINDOW_MS, silentAfter = DEFAULT_SILENT_AFTER_MS, listen } = readFlags(
      input.flags,
      ["last", "silentAfter", "listen"],
    );
    const report = await withDatabase(
      input,
      surroundings,
      async ({ driver, settings }): Promise<Report> => {
        const healthChecks = listen === undefined
          ? null
          : await countHealthChecks(driver, settings.channel, listen);
        const found = await new Overview(driver, settings).status(last);
        return { ...found, silentAfterMs: silentAfter, healthChecks };
      },
    );
    if (wantsJson(input)) printJson(surroundings, statusJson(report));
    else printStatus(surroundings, report);
    return 0;
  },
};

/** The columns of the table of entrypoints. */
export const STATUS_COLUMNS: readonly Column<EntrypointStatus>[] = [
  { title: "ENTRYPOINT", text: (row) => row.entrypoint },
  { title: "READY", right: true, text: (row) => row.ready },
  { title: "DEFERRED", right: true, text: (row) => row.deferred },
  { title: "PICKED", right: true, text: (row) => row.picked },
  {
    title: "FAILED",
    right: true,
    text: (row) => row.failed,
    style: (row) => row.failed > 0 ? "red" : undefined,
  },
  { title: "OLDEST", right: true, text: (row) => seconds(row.oldestAge) },
  { title: "PER MIN", right: true, text: (row) => rate(row.perSecond * 60) },
  { title: "WAIT P50", right: true, text: (row) => seconds(row.wait.p50) },
  { title: "P95", right: true, text: (row) => seconds(row.wait.p95) },
  { title: "RUN P50", right: true, text: (row) => seconds(row.run.p50) },
  { title: "P95", right: true, text: (row) => seconds(row.run.p95) },
];

/** A status as JSON. Ages and times are in seconds. */
export function statusJson(report: Report): Record<string, unknown> {
  const { now, windowMs, entrypoints, holders, listening, healthChecks } = report;
  const sum = (of: (row: EntrypointStatus) => number): number =>
    entrypoints.reduce((total, row) => total + of(row), 0);
  const { alive, silent } = split(holders, report.silentAfterMs);
  return {
    time: now,
    window_seconds: windowMs / 1_000,
    totals: {
      ready: sum((row) => row.ready),
      deferred: sum((row) => row.deferred),
      picked: sum((row) => row.picked),
      failed: sum((row) => row.failed),
      per_second: sum((row) => row.perSecond),
    },
    workers: {
      alive: alive.map(holderJson),
      silent: silent.map(holderJson),
      listening_sessions: listening,
      health_checks: healthChecks,
    },
    entrypoints: entrypoints.map((row) => ({
      entrypoint: row.entrypoint,
      ready: row.ready,
      deferred: row.deferred,
      picked: row.picked,
      failed: row.failed,
      oldest_age_seconds: row.oldestAge,
      ended: row.ended,
      per_second: row.perSecond,
      wait_seconds: row.wait,
      run_seconds: row.run,
      sample: row.sample,
    })),
  };
}

function holderJson({ id, jobs, entrypoints, silence }: Holder): unknown {
  return { queue_manager_id: id, jobs, entrypoints, heartbeat_age_seconds: silence };
}

function printStatus(surroundings: Surroundings, report: Report): void {
  const { print, terminal } = surroundings;
  for (const line of summaryLines(report)) {
    print(styled(line, line.includes(" silent") ? "red" : undefined, terminal?.colors ?? false));
  }
  print("");
  if (report.entrypoints.length === 0) print("No jobs, and none of late");
  else printTable(surroundings, STATUS_COLUMNS, report.entrypoints);
}

/** The workers and the throughput, a line each. */
export function summaryLines(report: Report): string[] {
  const { entrypoints, holders, listening, healthChecks, windowMs, silentAfterMs } = report;
  const { alive, silent } = split(holders, silentAfterMs);
  const heard = healthChecks === null ? "" : `, ${healthChecks} heard of`;
  const sessions = listening === null
    ? "idle ones not seen (needs pg_read_all_stats)"
    : sessionsText(listening);
  const total = entrypoints.reduce((sum, row) => sum + row.perSecond, 0);
  return [
    `Workers     ${alive.length} at work, ${sessions}${heard}`,
    ...silent.map(({ id, jobs, silence }) =>
      `            ${id} is silent for ${durationText(silence * 1_000)} with ${jobs} ${
        jobs === 1 ? "job" : "jobs"
      }`
    ),
    `Throughput  ${rate(total * 60)} a minute over the last ${durationText(windowMs)}`,
  ].map(visible);
}

function split(
  holders: readonly Holder[],
  silentAfterMs: number,
): { alive: Holder[]; silent: Holder[] } {
  const isSilent = ({ silence }: Holder): boolean => silence * 1_000 > silentAfterMs;
  return {
    alive: holders.filter((holder) => !isSilent(holder)),
    silent: holders.filter(isSilent),
  };
}

function seconds(value: number | null): string {
  return value === null ? "-" : durationText(value * 1_000);
}

function rate(perMinute: number): string {
  return perMinute === 0 || perMinute >= 10 ? String(Math.round(perMinute)) : perMinute.toFixed(1);
}
