/**
 * Measures our queue and its peers in one run, interleaved, on a PostgreSQL of its own:
 *
 *     npm run bench -- --help
 */
import process from "node:process";
import { Bench, type Sample, type Workload } from "./bench.ts";
import { describeMachine } from "./cpu.ts";
import { latestRun, updateDocument } from "./document.ts";
import { BenchUsageError, readOptions, type RunOptions, USAGE } from "./options.ts";
import { renderChart } from "./chart.ts";
import { findContenders } from "./contenders.ts";
import type { Contender } from "./peers.ts";
import {
  type ContenderResult,
  mergeRuns,
  type RunResult,
  type WorkloadResult,
  writeResult,
} from "./results.ts";
import { BenchServer, SERVER_SETTINGS } from "./server.ts";
import { summarize, thinned } from "./summary.ts";
import { problemsOf, renderTable } from "./table.ts";
import { judge } from "./targets.ts";
import { WORKLOADS } from "./workloads.ts";

const say = (line: string): void => void process.stderr.write(`${line}\n`);

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  let options: RunOptions;
  try {
    const read = readOptions(argv);
    if (read === "help") return print(USAGE.trimEnd());
    if (read === "list") {
      return print(WORKLOADS.map(({ name, title }) => `${name.padEnd(16)} ${title}`).join("\n"));
    }
    options = read;
    choose(options);
  } catch (error) {
    if (!(error instanceof BenchUsageError)) throw error;
    say(error.message);
    return 2;
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // The servers end with this process, and so do the peers.
    process.once(signal, () => process.exit(130));
  }
  const begun = performance.now();
  const found = await findContenders(options.peers, say);
  const server = await BenchServer.start(say);
  try {
    const bench = new Bench({ ...found, server, options, say });
    const workloads: WorkloadResult[] = [];
    const date = new Date().toISOString();
    for (const workload of choose(options)) {
      const chosen = workload.contenders(bench).filter(({ name }) => matches(options.peers, name));
      if (chosen.length === 0) continue;
      const rounds = Math.min(options.rounds, workload.rounds ?? Infinity);
      const measured = await measureAll(bench, workload, chosen, rounds);
      workloads.push({ ...measured, measured: date });
    }
    if (workloads.length === 0) {
      say(`Nothing was measured: no such workload has a contender ${options.peers.join(" or ")}`);
      return 2;
    }
    const result: RunResult = {
      date,
      machine: describeMachine(),
      versions: { PostgreSQL: server.version, ...found.versions },
      server: SERVER_SETTINGS,
      kind: kindOf(options),
      rounds: options.rounds,
      scale: options.scale,
      seconds: Math.round((performance.now() - begun) / 1_000),
      workloads,
      targets: judge(workloads),
      skipped: found.skipped,
    };
    keep(result, options);
    print(options.json ? JSON.stringify(result) : renderTable(result));
    return problemsOf(result).length === 0 ? 0 : 1;
  } finally {
    await server.stop();
    found.redis?.stop();
  }
}

/** Writes a complete run, or what takes its place in one, for the document too; any other for itself. */
function keep(result: RunResult, options: RunOptions): void {
  const whole = options.targets ||
    !options.quick && options.only.length === 0 && options.peers.length === 0;
  const former = options.merge ? latestRun() : undefined;
  // First of all, as it must not be lost if the two do not fit.
  if (!whole || former !== undefined) write("partial", result);
  if (!whole && former === undefined) return;
  const order = WORKLOADS.map(({ name }) => name);
  write("latest", former === undefined ? result : mergeRuns(former, result, order));
  updateDocument();
}

function write(name: string, run: RunResult): void {
  writeResult(`${name}.svg`, renderChart(run));
  say(`written to ${writeResult(`${name}.json`, `${JSON.stringify(run, null, 1)}\n`)}`);
}

function kindOf({ targets, soak, quick }: RunOptions): RunResult["kind"] {
  return targets ? "targets" : soak ? "soak" : quick ? "quick" : "full";
}

/** Each contender once in each round, so that whatever else the machine does falls on all of them alike. */
async function measureAll(
  bench: Bench,
  workload: Workload,
  chosen: readonly Contender[],
  rounds: number,
): Promise<Omit<WorkloadResult, "measured">> {
  const samples = new Map<string, Sample[]>(chosen.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contender of chosen) {
      const sample = await measure(bench, workload, contender);
      samples.get(contender.name)!.push(sample);
      const value = sample.figures[workload.figure];
      say(
        `${workload.name} ${round}/${rounds}  ${contender.name}: ${
          value === undefined ? "failed" : `${value.toPrecision(4)} ${workload.unit}`
        }${sample.problems.map((problem) => `\n  WRONG: ${problem}`).join("")}`,
      );
    }
  }
  const { name, title, figure, unit, better } = workload;
  const results = [...samples].map(([contender, samples]): ContenderResult => ({
    contender,
    figures: summarize(samples),
    rounds: samples.map(({ figures }) => figures),
    problems: samples.flatMap(({ problems }) => problems),
    ...(samples.at(-1)?.series === undefined ? {} : { series: thinned(samples.at(-1)!.series!) }),
  }));
  const parameters = workload.parameters(bench);
  return { name, title, figure, unit, better, parameters, results };
}

/** What goes wrong for one contender is part of the result, and no end to the others. */
async function measure(bench: Bench, workload: Workload, contender: Contender): Promise<Sample> {
  try {
    return await workload.measure(bench, contender);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { figures: {}, problems: [text] };
  }
}

function choose({ only, soak, quick }: RunOptions): Workload[] {
  for (const name of only) {
    if (WORKLOADS.some((workload) => workload.name.startsWith(name))) continue;
    throw new BenchUsageError(
      `Cannot use --only as it must name a workload, see --list: current value is "${name}"`,
    );
  }
  if (only.length > 0) return WORKLOADS.filter(({ name }) => matches(only, name));
  return WORKLOADS.filter((workload) =>
    (soak || workload.soak !== "only") && (!quick || workload.inQuick !== false)
  );
}

function matches(wanted: readonly string[], name: string): boolean {
  return wanted.length === 0 || wanted.some((beginning) => name.startsWith(beginning));
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}
