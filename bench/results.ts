/** What a run found, as it is written to `results/`. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Figures } from "./bench.ts";
import type { Spread } from "./summary.ts";
import type { Reached } from "./targets.ts";

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

/** Writes a result file, never half of it. */
export function writeResult(name: string, text: string): string {
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, name);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return path;
}
