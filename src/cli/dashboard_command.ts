import type { LogStatistics } from "../queries/log.ts";
import { Operator } from "../queries/operator.ts";
import { Overview } from "../queries/overview.ts";
import type { Command, Input, Surroundings } from "./command.ts";
import { type Database, withDatabase } from "./connection.ts";
import { Dashboard } from "./dashboard.ts";
import type { DashboardState } from "./dashboard_state.ts";
import { type DashboardData, HISTORY_COLUMNS, STATUS_CHOICES } from "./dashboard_views.ts";
import { readFlags } from "./flags.ts";
import { printJson, printTable, wantsJson } from "./output.ts";
import { StopSignals } from "./stop_signals.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_INTERVAL_MS = 2_000;
const DEFAULT_LIMIT = 25;
/** More than any screen shows, so that there is something to filter. */
const LIVE_LIMIT = 500;
const WINDOW_MS = 300_000;

/** `pgq dashboard` */
export const dashboard: Command = {
  name: "dashboard",
  summary: "Watch the queue on a live screen, or print its statistics",
  args: [],
  flags: [
    {
      flags: "-i, --interval <seconds>",
      summary: "between two looks (default: 2 on a live screen, else one look)",
    },
    {
      flags: "-n, --limit <number>",
      summary: "most rows of statistics and jobs (default: 25, 500 on a live screen)",
    },
  ],
  notes:
    `On a terminal: a live screen, whose last line says the keys. Elsewhere, and with --json: how many jobs came to
each status, by second, the newest first; again after each --interval, until a signal comes.
A look counts the whole queue.

Example:
  pgq dashboard
  pgq dashboard --json | jq '.[0]'`,

  run(input, surroundings) {
    const { interval, limit } = readFlags(input.flags, ["interval", "limit"]);
    const { terminal } = surroundings;
    return withDatabase(
      input,
      surroundings,
      (database) =>
        terminal === undefined || wantsJson(input)
          ? printStatistics(input, surroundings, database, interval, limit ?? DEFAULT_LIMIT)
          : watch(terminal, database, interval ?? DEFAULT_INTERVAL_MS, limit ?? LIVE_LIMIT),
    );
  },
};

async function printStatistics(
  input: Input,
  surroundings: Surroundings,
  { queries }: Database,
  intervalMs: number | undefined,
  limit: number,
): Promise<number> {
  const print = (rows: readonly LogStatistics[]): void => {
    if (wantsJson(input)) printJson(surroundings, rows);
    else printTable(surroundings, HISTORY_COLUMNS, rows);
  };
  print(await queries.logStatistics({ limit }));
  if (intervalMs === undefined) return 0;

  let wake = (): void => {};
  const end = (): void => wake();
  const signals = new StopSignals({ stop: end, hurry: end }, { also: surroundings.readerGone });
  try {
    while (true) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, intervalMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (signals.stopping) return 0;
      if (!wantsJson(input)) surroundings.print("");
      print(await queries.logStatistics({ limit }));
    }
  } finally {
    signals.close();
  }
}

async function watch(
  terminal: Terminal,
  { driver, settings, queries }: Database,
  intervalMs: number,
  limit: number,
): Promise<number> {
  const [overview, operator] = [new Overview(driver, settings), new Operator(driver, settings)];
  const read = async ({ view, statuses, filter }: DashboardState): Promise<DashboardData> => ({
    status: await overview.status(WINDOW_MS),
    jobs: view === "jobs"
      ? await operator.listJobs({
        statuses: STATUS_CHOICES[statuses]!,
        entrypointHas: filter,
        limit,
      })
      : [],
    history: view === "history" ? await queries.logStatistics({ limit }) : [],
  });
  const { schema, queueTable } = settings;
  const screen = new Dashboard({
    terminal,
    title: schema === null ? queueTable : `${schema}.${queueTable}`,
    intervalMs,
    read,
    requeue: (id) => queries.requeue([id]),
    cancel: (id) => queries.cancel([id]),
  });
  await screen.run();
  return 0;
}
