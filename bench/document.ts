/**
 * Writes the figures of the last full run into docs/performance.md, between two marks:
 *
 *     tsx bench/document.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { OURS } from "./peers.ts";
import type { RunResult, WorkloadResult } from "./results.ts";
import { count } from "./table.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DOCUMENT = join(ROOT, "docs", "performance.md");
const RESULT = join(ROOT, "bench", "results", "latest.json");
const BEGIN = "<!-- bench: begin, written by bench/document.ts -->";
const END = "<!-- bench: end -->";

/** The document with the figures of a run in place of those that it has. */
export function withFigures(document: string, run: RunResult | undefined): string {
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`Cannot write figures as "${BEGIN}" must be there`);
  const section = run === undefined
    ? "No full run has been made yet: `npm run bench` makes one."
    : renderSection(run);
  // The formatter would align the tables.
  return document.slice(0, from) +
    `${BEGIN}\n<!-- deno-fmt-ignore-start -->\n\n${section}\n\n<!-- deno-fmt-ignore-end -->\n` +
    document.slice(to);
}

/** The run whose figures the document has to have. */
export function latestRun(): RunResult | undefined {
  try {
    return JSON.parse(readFileSync(RESULT, "utf8"));
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Brings the document in step with the last full run. */
export function updateDocument(): void {
  writeFileSync(DOCUMENT, withFigures(readFileSync(DOCUMENT, "utf8"), latestRun()));
}

function renderSection(run: RunResult): string {
  const versions = Object.entries(run.versions).map((pair) => pair.join(" ")).join(", ");
  const settings = Object.entries(run.server).map(([name, value]) => `\`${name} = ${value}\``);
  const days = [...new Set(run.workloads.map(({ measured }) => measured.slice(0, 10)))].sort();
  return [
    `Measured on ${days.join(" and ")}: ${run.machine}. ${versions}. ${
      settings.join(", ")
    }; everything else as PostgreSQL comes. Medians of interleaved rounds, lowest and highest in brackets. With an hour stand those of another run than the first: only ratios within a table mean anything.`,
    "![Bars of each workload](../bench/results/latest.svg)",
    ...(run.targets.length === 0 ? [] : [renderTargets(run)]),
    ...run.workloads.map((workload) => renderWorkload(workload, run.date)),
    ...run.skipped.map((line) => `Not measured: ${line}.`),
  ].join("\n\n");
}

function renderTargets({ targets }: RunResult): string {
  return table(
    ["target", "wanted", "found", ""],
    targets.map(({ title, wanted, ratio, reached }) => [
      title,
      wanted,
      String(ratio),
      reached ? "reached" : "**missed**",
    ]),
  );
}

function renderWorkload(workload: WorkloadResult, date: string): string {
  const { title, name, figure, unit, parameters, results } = workload;
  const ours = results.find(({ contender }) => contender === OURS)?.figures[figure]?.median;
  const others = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))]
    .filter((other) => other !== figure && other !== "seconds" && other !== "cut");
  const rows = results.map(({ contender, figures }) => {
    const main = figures[figure];
    const range = main === undefined || main.min === main.max
      ? ""
      : ` [${count(main.min)}–${count(main.max)}]`;
    const ratio = ours === undefined || main === undefined || contender === OURS
      ? ""
      : `${(ours / main.median).toPrecision(2)} ×`;
    const cut = figures.cut === undefined ? "" : " (cut short)";
    return [
      contender,
      main === undefined ? "failed" : `${count(main.median)}${range}${cut}`,
      ratio,
      ...others.map((other) => {
        const value = figures[other]?.median;
        return value === undefined ? "" : count(value);
      }),
    ];
  });
  const what = Object.entries(parameters)
    .map(([key, value]) => `${key} ${typeof value === "number" ? count(value) : value}`);
  const { measured } = workload;
  what.push(`rounds ${Math.max(...results.map(({ rounds }) => rounds.length))}`);
  if (measured !== date) what.push(measured.slice(0, 16).replace("T", " "));
  return `### ${title[0]!.toUpperCase()}${title.slice(1)}\n\n\`${name}\`: ${what.join(", ")}.\n\n` +
    table(["", unit, "ours is", ...others], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) updateDocument();
