/** A run as text, for a terminal. */
import { OURS } from "./peers.ts";
import type { ContenderResult, RunResult, WorkloadResult } from "./results.ts";
import type { Spread } from "./summary.ts";

/** The table, the targets, and what went wrong. */
export function renderTable(run: RunResult): string {
  const lines = [
    `${run.machine}; ${Object.entries(run.versions).map((pair) => pair.join(" ")).join(", ")}`,
    `server: ${Object.entries(run.server).map((pair) => pair.join("=")).join(", ")}`,
    `medians of ${run.rounds} interleaved ${
      run.rounds === 1 ? "round" : "rounds"
    } at ${run.scale} × the full size, ` +
    `lowest and highest in brackets; CPU in µs per job`,
  ];
  for (const workload of run.workloads) lines.push("", ...workloadLines(workload));
  if (run.targets.length > 0) {
    lines.push("", "targets");
    const width = Math.max(...run.targets.map(({ title }) => title.length));
    for (const { title, ratio, wanted, reached } of run.targets) {
      const mark = reached ? "reached" : "MISSED ";
      lines.push(`  ${mark}  ${title.padEnd(width)}  ${String(ratio).padStart(6)}  (${wanted})`);
    }
  }
  for (const line of run.skipped) lines.push("", `not measured: ${line}`);
  const problems = problemsOf(run);
  if (problems.length > 0) lines.push("", "WRONG", ...problems.map((line) => `  ${line}`));
  return lines.join("\n");
}

/** What was not as it must be, a line each. */
export function problemsOf(run: RunResult): string[] {
  return run.workloads.flatMap(({ name, results }) =>
    results.flatMap(({ contender, problems }) =>
      problems.map((problem) => `${name}, ${contender}: ${problem}`)
    )
  );
}

function workloadLines(workload: WorkloadResult): string[] {
  const parameters = Object.entries(workload.parameters)
    .map(([name, value]) => `${name} ${typeof value === "number" ? count(value) : value}`);
  const width = Math.max(...workload.results.map(({ contender }) => contender.length));
  const ours = workload.results.find(({ contender }) => contender === OURS);
  return [
    `${workload.title} (${workload.name}: ${parameters.join(", ")})`,
    ...workload.results.map((result) =>
      `  ${result.contender.padEnd(width)}  ${resultLine(workload, result, ours)}`
    ),
  ];
}

function resultLine(
  { figure, unit }: WorkloadResult,
  { figures, contender }: ContenderResult,
  ours: ContenderResult | undefined,
): string {
  const main = figures[figure];
  if (main === undefined) return "failed";
  const parts = [`${spread(main)} ${unit}`.padEnd(34)];
  const own = ours?.figures[figure]?.median;
  if (contender !== OURS && own !== undefined) {
    parts.push(`pgqueuer is ${(own / main.median).toPrecision(3)} ×`.padEnd(22));
  }
  for (const [name, value] of Object.entries(figures)) {
    if (name === figure || name === "seconds") continue;
    parts.push(name === "cut" ? "cut short" : `${name} ${count(value.median)}`);
  }
  return parts.join("  ").trimEnd();
}

function spread({ median, min, max }: Spread): string {
  return min === max ? count(median) : `${count(median)} [${count(min)}–${count(max)}]`;
}

/** Such as `61,200` and `2.51`. */
export function count(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
