/** Handlers that take their time, entrypoints with limits, and payloads that weigh something. */
import { type Bench, ready, type Workload } from "../bench.ts";
import { drain } from "../drain.ts";
import { variantOf } from "../peers.ts";

const LIMIT_MS = 300_000;

const QUICK_MS = 10;
const QUICK_CONCURRENCY = 100;

/** The worker must always have the next job at hand. */
const slow10ms: Workload = {
  name: "slow-10ms",
  title: "handlers of 10 ms, 100 at a time: share of the ideal rate",
  figure: "idealPercent",
  unit: "%",
  better: "more",
  parameters: (bench) => ({
    jobs: bench.scaled(100_000, 5_000),
    handlerMs: QUICK_MS,
    concurrency: QUICK_CONCURRENCY,
  }),
  contenders: (bench) => bench.best("postgres"),
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(100_000, 5_000))] },
      workers: 1,
      limitMs: LIMIT_MS,
      task: { handler: "sleep", sleepMs: QUICK_MS, concurrency: QUICK_CONCURRENCY },
      // What timers really took, as they are late by up to a millisecond.
      more: ([report], { jobsPerSecond }) => {
        const handlerMs = report!.busyMs / report!.count;
        const ideal = QUICK_CONCURRENCY * 1_000 / handlerMs;
        return { handlerMs, idealPercent: 100 * jobsPerSecond! / ideal };
      },
    }),
};

const SLOW_WORKERS = 4;
const SLOW_CONCURRENCY = 25;
const SLOW_WAVES = 2;
const SLOW_JOBS = SLOW_WORKERS * SLOW_CONCURRENCY * SLOW_WAVES;

/** No worker may hold jobs that another one could start. */
const slow5s: Workload = {
  name: "slow-5s",
  inQuick: false,
  title: "handlers of 5 s, 25 at a time in each of 4 workers: share of the ideal rate",
  figure: "idealPercent",
  unit: "%",
  better: "more",
  parameters: (bench) => ({
    jobs: SLOW_JOBS,
    handlerMs: slowMs(bench),
    workers: SLOW_WORKERS,
    concurrency: SLOW_CONCURRENCY,
  }),
  // A local queue or large batches are the wrong settings here.
  contenders: (bench) =>
    bench.contenders.filter(({ tuned, peer }) => !tuned && peer.tables !== undefined),
  measure: (bench, contender) => {
    const sleepMs = slowMs(bench);
    return drain(bench, contender, {
      filling: { parts: [ready(SLOW_JOBS)] },
      workers: SLOW_WORKERS,
      limitMs: LIMIT_MS,
      task: { handler: "sleep", sleepMs, concurrency: SLOW_CONCURRENCY },
      more: (reports, { seconds }) => ({
        idealPercent: 100 * SLOW_WAVES * sleepMs / (seconds! * 1_000),
        fewestJobs: Math.min(...reports.map(({ count }) => count)),
        mostJobs: Math.max(...reports.map(({ count }) => count)),
      }),
    });
  },
};

function slowMs(bench: Bench): number {
  return bench.options.quick ? 500 : 5_000;
}

const ENTRYPOINTS = 20;
const LIMITED = 5;

/** Limits must not slow those that have none. */
const mix: Workload = {
  name: "mix",
  title: "20 entrypoints, 5 of them with limits: rate of the other 15",
  figure: "unlimitedPerSecond",
  unit: "jobs/s",
  better: "more",
  parameters: (bench) => ({
    jobs: bench.scaled(100_000, 5_000),
    entrypoints: ENTRYPOINTS,
    limited: LIMITED,
  }),
  contenders: (bench) => [bench.ours, variantOf(bench.ours, ", no limits", { variant: "free" })],
  measure: (bench, contender) => {
    const jobs = bench.scaled(100_000, 5_000);
    const limited = contender.variant === "free" ? 0 : LIMITED;
    return drain(bench, contender, {
      filling: { parts: [ready(jobs)], entrypoints: ENTRYPOINTS },
      workers: 1,
      limitMs: LIMIT_MS,
      task: { limited },
      more: ([report], { jobsPerSecond }) => ({
        unlimitedPerSecond: limited === 0
          ? jobsPerSecond!
          : jobs * (1 - LIMITED / ENTRYPOINTS) * 1_000 / (report!.unlimitedAt - report!.firstAt),
      }),
    });
  },
};

function payload(label: string, bytes: number, jobs: number, batch: number): Workload {
  return {
    name: `payload-${label}`,
    // The drain has small ones, too.
    inQuick: bytes === 1_000_000,
    title: `drain with payloads of ${label}`,
    figure: "jobsPerSecond",
    unit: "jobs/s",
    better: "more",
    parameters: (bench) => ({ jobs: bench.scaled(jobs, 100), bytes }),
    contenders: (bench) => bench.best("postgres"),
    measure: (bench, contender) =>
      drain(bench, contender, {
        filling: { parts: [ready(bench.scaled(jobs, 100))], payloadBytes: bytes, batch },
        workers: 1,
        limitMs: LIMIT_MS,
        clock: "worker",
        more: (_, { jobsPerSecond }) => ({ mbPerSecond: jobsPerSecond! * bytes / 1_000_000 }),
      }),
  };
}

/** The figure of a drain on each runtime. */
const runtimes: Workload = {
  name: "runtimes",
  title: "drain on Node, Deno and Bun",
  figure: "jobsPerSecond",
  unit: "jobs/s",
  better: "more",
  parameters: (bench) => ({ jobs: bench.scaled(400_000, 5_000) }),
  contenders: (bench) => [
    bench.ours,
    variantOf(bench.ours, " on Deno", { runtime: "deno" }),
    variantOf(bench.ours, " on Bun", { runtime: "bun" }),
  ],
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(400_000, 5_000))] },
      workers: 1,
      limitMs: LIMIT_MS,
    }),
};

/** Which of our tables survive a crash of the server. */
const durability: Workload = {
  name: "durability",
  inQuick: false,
  title: "drain at each level of durability",
  figure: "jobsPerSecond",
  unit: "jobs/s",
  better: "more",
  parameters: (bench) => ({ jobs: bench.scaled(200_000, 5_000) }),
  contenders: (bench) => [
    bench.ours,
    ...["balanced", "volatile"].map((variant) =>
      variantOf(bench.ours, `, ${variant}`, { variant })
    ),
  ],
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(200_000, 5_000))] },
      workers: 1,
      limitMs: LIMIT_MS,
    }),
};

/** How much the log says of each job. */
const logLevels: Workload = {
  name: "log-levels",
  title: "drain at each level of the log",
  figure: "jobsPerSecond",
  unit: "jobs/s",
  better: "more",
  parameters: (bench) => ({ jobs: bench.scaled(200_000, 5_000) }),
  contenders: (bench) => [
    bench.ours,
    variantOf(bench.ours, ", log: terminal", { variant: "terminal" }),
  ],
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(200_000, 5_000))] },
      workers: 1,
      limitMs: LIMIT_MS,
    }),
};

/** Share of the run after which memory must not grow any more. */
const WARM_SHARE = 0.2;

/** A worker must run for ever. */
const memory: Workload = {
  name: "memory",
  inQuick: false,
  title: "memory of a worker over 1,000,000 jobs: growth after the first fifth",
  figure: "growthPercent",
  unit: "%",
  better: "less",
  parameters: (bench) => ({ jobs: bench.scaled(1_000_000, 10_000) }),
  contenders: (bench) => [bench.ours],
  measure: async (bench, contender) => {
    const jobs = bench.scaled(1_000_000, 10_000);
    const sample = await drain(bench, contender, {
      filling: { parts: [ready(jobs)] },
      workers: 1,
      limitMs: LIMIT_MS,
      seriesMs: 100,
      more: ([report]) => ({ heapMb: report!.heapKb / 1_024 }),
    });
    const residentMb = (share: number): number =>
      (sample.series ?? []).find((one) => one.jobs! >= jobs * share)?.residentMb ?? NaN;
    const [warm, end] = [residentMb(WARM_SHARE), residentMb(1)];
    if (Number.isNaN(warm) || Number.isNaN(end)) return sample;
    const growthPercent = 100 * (end - warm) / warm;
    return { ...sample, figures: { ...sample.figures, residentMb: end, growthPercent } };
  },
};

export const handlers: readonly Workload[] = [
  slow10ms,
  slow5s,
  mix,
  payload("100B", 100, 100_000, 1_000),
  payload("10KB", 10_000, 50_000, 100),
  payload("1MB", 1_000_000, 1_000, 8),
  runtimes,
  durability,
  logLevels,
  memory,
];
