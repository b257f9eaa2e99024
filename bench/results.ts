/** What a run found, as it is written to `results/`. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Figures } from "./bench.ts";
import type { Spread } from "./summary.ts";
import { judge, type Reached } from "./targets.ts";

const RESULTS = join(dirname(fileURLToPath(import.meta.url)), "results");

/** One contender at one workload. */
export interface ContenderResult {
  readonly contender: string;
  readonly figures: Readonly<Record<string, Spread>>;
  /** One for each round. */
  readonly rounds: readonly Figures[];
  readonly problems: readonly string[];
  /** Of the last round, where the workload looks at it over time. */
  readonly series?: readonly Figures[];
}

/** All contenders at one workload. */
export interface WorkloadResult {
  readonly name: string;
  readonly title: string;
  /** When the run began, as ISO 8601: only figures of one run may be compared. */
  readonly measured: string;
  readonly figure: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly parameters: Readonly<Record<string, number | string>>;
  readonly results: readonly ContenderResult[];
}

/** A run. */
export interface RunResult {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly server: Readonly<Record<string, string>>;
  readonly kind: "full" | "targets" | "quick" | "soak";
  readonly rounds: number;
  readonly scale: number;
  readonly seconds: number;
  readonly workloads: readonly WorkloadResult[];
  readonly targets: readonly Reached[];
  /** Who could not be measured here, and why. */
  readonly skipped: readonly string[];
}

/**
 * A former run with the workloads of a later one in place of its own, so that those which take long can be measured by
 * themselves.
 *
 * @throws {Error} If the two are of different machines or versions.
 */
export function mergeRuns(
  former: RunResult,
  later: RunResult,
  order: readonly string[],
): RunResult {
  const [one, other] = [bedOf(former), bedOf(later)];
  if (one !== other) {
    throw new Error(
      `Cannot merge as both runs must be of one machine and one PostgreSQL and Node: the former is of ${one}, this one of ${other}`,
    );
  }
  const names = new Set(later.workloads.map(({ name }) => name));
  const kept = former.workloads.filter(({ name }) => !names.has(name));
  const workloads = [...kept, ...later.workloads]
    .sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  return {
    ...former,
    versions: { ...former.versions, ...later.versions },
    seconds: former.seconds + later.seconds,
    workloads,
    targets: judge(workloads),
    skipped: [...new Set([...former.skipped, ...later.skipped])],
  };
}

function bedOf({ machine, server, versions }: RunResult): string {
  return JSON.stringify([machine, server, versions.PostgreSQL, versions.Node]);
}

/** Writes a result file, never half of it. */
export function writeResult(name: string, text: string): string {
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, name);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return path;
}
