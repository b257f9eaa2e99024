/** What the bench makes of its measurements. That it measures is shown by `npm run check`, which runs it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { renderChart } from "../bench/chart.ts";
import { latestRun, withFigures } from "../bench/document.ts";
import { readOptions } from "../bench/options.ts";
import {
  type ContenderResult,
  mergeRuns,
  type RunResult,
  type WorkloadResult,
} from "../bench/results.ts";
import {
  longestBelow,
  median,
  quantile,
  SERIES_POINTS,
  summarize,
  thinned,
} from "../bench/summary.ts";
import { problemsOf, renderTable } from "../bench/table.ts";
import { judge } from "../bench/targets.ts";
import { WORKLOADS } from "../bench/workloads.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

function result(contender: string, figures: Record<string, number>): ContenderResult {
  const samples = [{ figures, problems: [] }];
  return { contender, figures: summarize(samples), rounds: [figures], problems: [] };
}

function workload(name: string, results: readonly ContenderResult[]): WorkloadResult {
  return {
    name,
    title: `${name} & co`,
    figure: "jobsPerSecond",
    unit: "jobs/s",
    better: "more",
    measured: "2026-11-23T10:00:00.000Z",
    parameters: { jobs: 1_000 },
    results,
  };
}

function aRun(workloads: readonly WorkloadResult[]): RunResult {
  return {
    date: "2026-11-23T10:00:00.000Z",
    machine: "a machine",
    versions: { PostgreSQL: "18.4" },
    server: { fsync: "on" },
    kind: "full",
    rounds: 3,
    scale: 1,
    seconds: 60,
    workloads,
    targets: judge(workloads),
    skipped: [],
  };
}

const DRAIN = workload("drain-1", [
  result("pgqueuer", { jobsPerSecond: 68_000, serverCpuUs: 11 }),
  result("graphile-worker tuned", { jobsPerSecond: 34_000, serverCpuUs: 20 }),
  result("pg-boss tuned", { jobsPerSecond: 34_000 }),
]);

test("a median and a quantile do not depend on the order", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3);
  expect(quantile([1, 2], 0.99)).toBe(2);
  expect(summarize([{ figures: { a: 3 }, problems: [] }, { figures: { a: 1 }, problems: [] }]))
    .toEqual({ a: { median: 2, min: 1, max: 3 } });
});

test("a long series is thinned evenly, from its first point to its last", () => {
  const series = Array.from({ length: 2_000 }, (_, index) => ({
    at: 1_790_000_000_000.25 + index * 1_000,
    jobs: index * 12_345,
    queueMb: index / 3,
  }));
  const thin = thinned(series);
  expect(thin).toHaveLength(SERIES_POINTS);
  expect(thin[0]).toEqual({ at: 1_790_000_000_000, jobs: 0, queueMb: 0 });
  expect(thin.at(-1)).toEqual({ at: 1_790_001_999_000, jobs: 1_999 * 12_345, queueMb: 666.3 });
  const steps = thin.slice(1).map(({ at }, index) => at! - thin[index]!.at!);
  expect(Math.max(...steps) - Math.min(...steps)).toBeLessThanOrEqual(1_000);
  expect(thinned(series.slice(0, 3))).toHaveLength(3);
  expect(thinned(series.slice(0, 1))).toHaveLength(1);
  expect(thinned([])).toEqual([]);
});

test("the longest time below a rate is that of looks in a row", () => {
  // Looks of a second, and one that came two seconds late.
  const jobs = [0, 100, 140, 150, 250, 260, 360, 370, 400];
  const at = [0, 1, 2, 3, 4, 5, 6, 7, 10].map((second) => second * 1_000);
  const looks = jobs.map((count, index) => ({ at: at[index]!, jobs: count }));

  expect(longestBelow(looks, 50)).toBe(4_000);
  expect(longestBelow(looks.slice(0, 7), 50)).toBe(2_000);
  expect(longestBelow(looks, 5)).toBe(0);
  expect(longestBelow([], 50)).toBe(0);
});

describe("the targets", () => {
  test("compare ratios of one run, at least and at most", () => {
    const latency = workload("latency", [
      result("pgqueuer", { callP50: 0.9, callP99: 5 }),
      result("graphile-worker tuned", { callP50: 1, callP99: 5 }),
    ]);

    expect(judge([DRAIN, latency]).map(({ title, ratio, reached }) => [title, ratio, reached]))
      .toEqual([
        ["drain-1: 1.7 × graphile-worker tuned", 2, true],
        ["drain-1: 2.6 × pg-boss tuned", 2, false],
        ["latency p50: at most 0.8 × graphile-worker tuned", 0.9, false],
        ["latency p99: at most that of graphile-worker tuned", 1, true],
      ]);
  });

  test("leave out figures of two runs", () => {
    const floor = { ...workload("sql-floor", [result("pgqueuer", { jobsPerSecond: 70_000 })]) };
    const titles = (measured: string): string[] =>
      judge([DRAIN, { ...floor, measured }]).map(({ title }) => title);

    expect(titles(DRAIN.measured)).toContain("drain-1: 0.9 × the SQL floor");
    expect(titles("2026-11-24T10:00:00.000Z")).not.toContain("drain-1: 0.9 × the SQL floor");
  });

  test("are those of the project, on workloads that there are", () => {
    const everywhere = WORKLOADS.map(({ name }) =>
      workload(
        name,
        ["pgqueuer", "pgqueuer, coalesce: false", "graphile-worker tuned", "pg-boss tuned"]
          .map((contender) => result(contender, { jobsPerSecond: 1, callP50: 1, callP99: 1 })),
      )
    );

    expect(judge(everywhere).map(({ wanted }) => wanted).join("; ")).toBe(
      "≥ 1.6, goal 2; ≥ 8; ≥ 2; ≥ 1.7, goal 2; ≥ 2.6, goal 3; ≥ 1.4; ≥ 0.9; ≥ 0.9; ≥ 0.9; ≥ 3; ≤ 0.8; ≤ 1; ≥ 0.9",
    );
  });
});

test("the table has every contender, its ratio, the targets and what went wrong", () => {
  const wrong = { ...result("pg-boss", {}), problems: ["2 jobs are ready, not 0"] };
  const run = aRun([DRAIN, workload("backlog", [wrong])]);
  const table = renderTable(run);

  expect(table).toContain("pgqueuer               68,000 jobs/s");
  expect(table).toContain("pgqueuer is 2.00 ×");
  expect(table).toContain("MISSED   drain-1: 2.6 × pg-boss tuned");
  expect(table).toContain("pg-boss  failed");
  expect(problemsOf(run)).toEqual(["backlog, pg-boss: 2 jobs are ready, not 0"]);
});

describe("a run that is merged into a former one", () => {
  const later = {
    ...aRun([{
      ...workload("soak", [result("pgqueuer", {})]),
      measured: "2026-11-24T10:00:00.000Z",
    }]),
    date: "2026-11-24T10:00:00.000Z",
    skipped: ["pg-boss: it is not there"],
  };
  const order = ["drain-1", "mix", "soak"];

  test("takes the place of the workloads that it has, and leaves the others", () => {
    const soaked = mergeRuns(aRun([DRAIN, workload("soak", [])]), later, order);
    expect(soaked.workloads.map(({ name, results }) => [name, results.length]))
      .toEqual([["drain-1", 3], ["soak", 1]]);
    expect(soaked.date).toBe("2026-11-23T10:00:00.000Z");
    expect(soaked.targets).toHaveLength(2);
    expect(soaked.skipped).toEqual(["pg-boss: it is not there"]);

    const mixed = mergeRuns(soaked, { ...later, workloads: [workload("mix", [])] }, order);
    expect(mixed.workloads.map(({ name }) => name)).toEqual(order);
  });

  test("must be of the same machine and versions", () => {
    const elsewhere = { ...later, versions: { PostgreSQL: "17.2" } };
    expect(() => mergeRuns(aRun([DRAIN]), elsewhere, order)).toThrow(/one PostgreSQL.*17\.2/);
  });
});

test("the chart is well-formed and has a bar for each contender and a curve for each value", () => {
  const series = [0, 1, 2].map((second) => ({ at: second * 1_000, jobs: second * 10, logMb: 2 }));
  const soak = workload("soak", [{ ...result("pgqueuer", { jobsPerSecond: 10 }), series }]);
  const chart = renderChart(aRun([DRAIN, soak]));

  expect(chart.match(/<rect /g)).toHaveLength(4);
  expect(chart.match(/<polyline /g)).toHaveLength(2);
  expect(chart).toContain("drain-1 &amp; co");
  expect(chart).toContain("soak: jobs/s, at most 10");
  expect(chart).not.toContain("NaN");
});

describe("docs/performance.md", () => {
  const document = readFileSync(join(ROOT, "docs", "performance.md"), "utf8");

  test("has the figures of bench/results/latest.json", () => {
    // To mend it: npx tsx bench/document.ts
    expect(withFigures(document, latestRun())).toBe(document);
  });

  test("gets those of a run in place of those that it has", () => {
    const once = withFigures(document, aRun([DRAIN]));

    expect(once).toContain("| pg-boss tuned | 34,000 | 2.0 × |  |");
    expect(once).toContain(
      "| drain-1: 1.7 × graphile-worker tuned | ≥ 1.7, goal 2 | 2 | reached |",
    );
    expect(withFigures(once, latestRun())).toBe(document);
    expect(() => withFigures("no marks", undefined)).toThrow("must be there");
  });

  test("names workloads that there are", () => {
    const names = WORKLOADS.map(({ name }) => name);
    const [notes] = document.split("## Figures");
    const mentioned = [...notes!.matchAll(/`((?:snapshot|pressure|slow|sql)[\w-]*)`/g)];

    expect(mentioned.length).toBeGreaterThan(4);
    expect(mentioned.map(([, name]) => name).filter((name) => !names.includes(name!))).toEqual([]);
  });
});

describe("the command line", () => {
  test("has defaults for a full and for a quick run", () => {
    expect(readOptions([])).toMatchObject({ rounds: 3, scale: 1, only: [], json: false });
    expect(readOptions(["--quick"])).toMatchObject({ rounds: 1, scale: 0.025 });
    expect(readOptions(["--quick", "--rounds", "2", "--only", "a", "--only", "b"]))
      .toMatchObject({ rounds: 2, only: ["a", "b"] });
    expect(readOptions(["--help"])).toBe("help");
  });

  test("--targets measures what has a target, with those that it is compared with", () => {
    const options = readOptions(["--targets"]);

    const { only } = options as { only: readonly string[] };
    expect(only.filter((name) => !WORKLOADS.some((one) => one.name === name))).toEqual([]);
    // Last: on Bun the matcher takes the place of the array.
    expect(options).toMatchObject({
      only: expect.arrayContaining(["drain-1", "snapshot", "latency", "sql-floor", "runtimes"]),
      peers: ["pgqueuer", "graphile-worker tuned", "pg-boss tuned"],
      rounds: 3,
      scale: 1,
    });
  });

  test.each([
    [["--targets", "--quick"], /--targets as it says what to measure/],
    [["--merge", "--quick"], /--merge as figures of the full size/],
    [
      ["--peers", "pgqueuer", "--peers", "grafile"],
      /--peers .*graphile-worker.*value is "grafile"/,
    ],
    [["--rounds", "0"], /--rounds as it must be a whole number/],
    [["--scale", "x"], /--scale as it must be a number > 0/],
    [["--quik"], /--quik/],
  ])("refuses %j", (argv, message) => {
    expect(() => readOptions(argv)).toThrow(message);
  });
});
