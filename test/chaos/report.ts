/** What a chaos run prints in the end. What is wrong comes first, as an output may be cut short. */
import { silences } from "./check_leases.ts";
import { isClaim } from "./evidence.ts";
import { HEARTBEAT_TIMEOUT_MS } from "./kinds.ts";
import { RECOVERY_MS } from "./recovery.ts";
import type { ChaosResult } from "./run.ts";

/** Breaches of one check that are shown. The first tells most. */
const SHOWN = 3;

/** Longest line of a summary. */
const SUMMARY_WIDTH = 240;

/** What is wrong, in a line for each check that found a breach. */
export function summary({ findings }: ChaosResult): string[] {
  const broken = findings.filter(({ breaches }) => breaches.length > 0);
  return [
    `${broken.length} of ${findings.length} checks found a breach:`,
    ...broken.map(({ check, breaches: [first] }) =>
      `- ${check}: ${first!.split("\n")[0]}`.slice(0, SUMMARY_WIDTH)
    ),
  ];
}

/** The report, as lines. */
export function report(result: ChaosResult): string[] {
  return [...findings(result), "", ...disturbances(result), "", ...numbers(result)];
}

function disturbances({ evidence, recoveries }: ChaosResult): string[] {
  const kinds = [...new Set(evidence.disturbances.all.map(({ kind }) => kind))].sort();
  const rows = kinds.map((kind) => {
    const times = evidence.disturbances.all.filter((one) => one.kind === kind).length;
    const ms = recoveries.filter(({ after }) => after === kind).map((recovery) => recovery.ms);
    return [kind, String(times), seconds(median(ms)), seconds(Math.max(...ms))];
  });
  return table(["disturbance", "times", "works again after", "at most"], rows);
}

function numbers({ evidence, drainMs }: ChaosResult): string[] {
  const { stories, ledger } = evidence;
  const late = silences(evidence).map(({ from, to }) => to - from);
  const claims = stories.flatMap(({ changes }) => changes.filter(isClaim)).length;
  const unknown = ledger.filter(({ told }) => told === "unknown").length;
  const rolledBack = ledger.filter(({ told }) => told === "rolled back").length;
  return [
    `${stories.length} jobs in ${ledger.length} calls, of which ${rolledBack} rolled back and ${unknown} had an unknown outcome`,
    `${claims} claims; ${late.length} jobs of silent workers, dealt with ${
      seconds(median(late))
    } after their lease of ${HEARTBEAT_TIMEOUT_MS / 1_000} s (at most ${
      seconds(Math.max(...late))
    }, whatever else was disturbed)`,
    `all ended ${seconds(drainMs)} after the last disturbance`,
    `${evidence.disturbances.standstills.length} times the machine or the server had no time for a second, restarts included`,
    `a worker that is left alone may leave a job that it could take for ${RECOVERY_MS / 1_000} s`,
  ];
}

function findings({ findings }: ChaosResult): string[] {
  const rows = findings.map(({ check, breaches }) => [
    breaches.length === 0 ? "ok" : "BREACH",
    check,
    breaches.length === 0 ? "" : `${breaches.length} times`,
  ]);
  const evidence = findings.flatMap(({ check, breaches }) =>
    breaches.length === 0 ? [] : ["", `${check}:`, ...breaches.slice(0, SHOWN)]
  );
  return [...table(["", "finding", ""], rows), ...evidence];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length))
  );
  return [head, ...rows].map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  );
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1_000).toFixed(2)} s` : "-";
}
