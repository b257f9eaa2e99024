import { Doctor } from "../queries/doctor.ts";
import type { Command, Surroundings } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { findings } from "./doctor_checks.ts";
import type { Finding, Level } from "./finding.ts";
import { readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";
import { DEFAULT_SILENT_AFTER_MS } from "./status_command.ts";
import { type Column, tableLines } from "./table.ts";
import { type Style, styled, visible } from "./text.ts";

/** How far to look back for work that was done. */
const WINDOW_MS = 300_000;
const WAITING_SECONDS = 60;
const SNAPSHOT_SECONDS = 300;

/** `pgq doctor` */
export const doctor: Command = {
  name: "doctor",
  summary: "Examine schema, server, tables and workers, and say how to mend what is wrong",
  args: [],
  flags: [{
    flags: "--silent-after <seconds>",
    summary:
      "when a worker that holds jobs and renews no lease counts as silent: its heartbeatTimeout (default: 30)",
  }],
  notes: `Changes nothing. Ends with code 1 if there is a warning or an error.

Example:
  pgq doctor
  pgq doctor --json | jq -r '.findings[].fix | select(. != null)'`,

  async run(input, surroundings) {
    const { silentAfter = DEFAULT_SILENT_AFTER_MS } = readFlags(input.flags, ["silentAfter"]);
    const found = await withDatabase(
      input,
      surroundings,
      async ({ driver, settings }) =>
        findings(await new Doctor(driver, settings).examine(WINDOW_MS), {
          silentAfter: silentAfter / 1_000,
          waiting: WAITING_SECONDS,
          snapshot: SNAPSHOT_SECONDS,
        }),
    );
    const healthy = !found.some(({ level }) => level === "warning" || level === "error");
    if (wantsJson(input)) printJson(surroundings, { healthy, findings: found });
    else printFindings(surroundings, found);
    return healthy ? 0 : 1;
  },
};

const STYLES: Readonly<Record<Level, Style>> = {
  ok: "green",
  note: "cyan",
  unknown: "dim",
  warning: "yellow",
  error: "red",
};

const COLUMNS: readonly Column<Finding>[] = [
  { title: "LEVEL", text: ({ level }) => level },
  { title: "CHECK", text: ({ check }) => check },
  { title: "FINDING", text: ({ message }) => message },
  { title: "FIX", text: ({ fix }) => fix ?? "" },
];

/** On a terminal the fix has a line of its own, whole, so that it can be copied. */
function printFindings({ print, terminal }: Surroundings, found: readonly Finding[]): void {
  if (terminal === undefined) {
    for (const line of tableLines(COLUMNS, found)) print(line);
    return;
  }
  for (const { level, check, message, fix } of found) {
    const word = styled(level.padEnd(8), STYLES[level], terminal.colors);
    print(`${word}${check.padEnd(14)}${visible(message)}`);
    if (fix !== null) print(`${" ".repeat(22)}${styled(visible(fix), "bold", terminal.colors)}`);
  }
}
