/** What happens around a queue in production: how far it holds out, and how soon it is back. */
import type { Sql } from "postgres";
import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Figures, Sample, Workload } from "../bench.ts";
import { Load, type Span } from "../load.ts";
import type { Contender } from "../peers.ts";
import { now } from "../peers/task.ts";

const WORKERS = 2;
/** Share of what goes through that is offered in quiet times, and while others are at work. */
const CALM_SHARE = 0.3;
const BUSY_SHARE = 0.6;
const OVERLOAD_SHARE = 1.5;
/** The rate must be back within a tenth, in a minute. */
const BACK_SHARE = 0.9;
const BACK_MS = 60_000;
/** Sessions that scan our tables, and how long each keeps its snapshot. */
const SCANNERS = 4;
const SNAPSHOT_MS = 5_000;

/** One kind of pressure. */
interface Pressure {
  readonly name: string;
  readonly title: string;
  /** Works on the load for `ms`. `base` is how many jobs a second went through before. */
  apply(load: Load, base: number, ms: number, bench: Bench): Promise<Span>;
}

const PRESSURES: readonly Pressure[] = [
  {
    name: "pressure-writer",
    title: "a writing transaction held open",
    async apply(load, base, ms) {
      const session = await load.place.sql!.reserve();
      await session`CREATE TABLE bench_writer (n int)`;
      await session`BEGIN`;
      await session`INSERT INTO bench_writer VALUES (1)`;
      const span = await offerFor(load, base * BUSY_SHARE, ms);
      await session`COMMIT`;
      session.release();
      return span;
    },
  },
  {
    name: "pressure-scans",
    title: "four REPEATABLE READ sessions that scan our tables",
    async apply(load, base, ms) {
      const deadline = performance.now() + ms;
      const scanners = Array.from({ length: SCANNERS }, () => scan(load.place.sql!, deadline));
      const span = await offerFor(load, base * BUSY_SHARE, ms);
      await Promise.all(scanners);
      return span;
    },
  },
  {
    name: "pressure-overload",
    title: "1.5 × what goes through is offered",
    apply: (load, base, ms) => offerFor(load, base * OVERLOAD_SHARE, ms),
  },
  {
    name: "pressure-burst",
    title: "a burst of a million",
    async apply(load, _base, _ms, bench) {
      const { from } = await load.offer(bench.scaled(1_000_000, 10_000), 1e9);
      await load.idle();
      return { from, to: now() };
    },
  },
];

export const pressures: readonly Workload[] = PRESSURES.map((pressure): Workload => ({
  name: pressure.name,
  title: `${pressure.title}: rate meanwhile, of what could go through`,
  figure: "keptPercent",
  unit: "%",
  better: "more",
  rounds: 1,
  // One of them shows in a minute that they work.
  inQuick: pressure.name === "pressure-writer",
  parameters: (bench) => ({ workers: WORKERS, seconds: pressureMs(bench) / 1_000 }),
  contenders: (bench) => [bench.ours],
  measure: (bench, contender) => measure(bench, contender, pressure),
}));

async function measure(
  bench: Bench,
  contender: Contender,
  pressure: Pressure,
): Promise<Sample> {
  const probeJobs = bench.scaled(100_000, 5_000);
  const load = await Load.start(bench, contender, {
    workers: WORKERS,
    sampleEvery: bench.options.soak ? 256 : 8,
    lookMs: bench.options.quick ? 250 : 1_000,
  });
  try {
    // The first time, code is compiled and statements are planned.
    await load.probe(probeJobs);
    const base = await load.probe(probeJobs);
    const before = await offerFor(load, base * CALM_SHARE, calmMs(bench));
    await load.idle();

    const during = await pressure.apply(load, base, pressureMs(bench), bench);
    await load.idle();
    const backlogMs = now() - during.to;

    const { rate, backMs } = await recover(load, base, probeJobs);
    const after = await offerFor(load, base * CALM_SHARE, calmMs(bench));
    await load.idle();
    const problems = await load.stop();

    const offered = pressure.name === "pressure-writer" || pressure.name === "pressure-scans"
      ? base * BUSY_SHARE
      : base;
    const figures: Figures = {
      keptPercent: 100 * load.rate(during) / offered,
      basePerSecond: base,
      duringPerSecond: load.rate(during),
      // A mean hides that nothing went on for a minute.
      halfRateSeconds: load.longestBelow(during, load.rate(during) / 2) / 1_000,
      afterPercent: 100 * rate / base,
      backlogSeconds: backlogMs / 1_000,
      backSeconds: backMs / 1_000,
      beforeP99: load.latency(before, 0.99),
      duringP50: load.latency(during, 0.5),
      duringP99: load.latency(during, 0.99),
      afterP99: load.latency(after, 0.99),
      deadRows: load.most("deadRows"),
      queueIndexMb: load.most("queueIndexMb"),
      notificationUsage: load.most("notificationUsage"),
    };
    if (backMs > BACK_MS) {
      problems.push(
        `a minute after the pressure the rate was ${Math.round(figures.afterPercent!)} %`,
      );
    }
    problems.push(...await load.check());
    const series = load.series.map((one) => ({
      ...one,
      pressure: one.at! >= during.from && one.at! <= during.to ? 1 : 0,
    }));
    return { figures, problems, series };
  } finally {
    await load.close();
  }
}

/** Probes until the rate is back, or a minute is over. */
async function recover(
  load: Load,
  base: number,
  jobs: number,
): Promise<{ rate: number; backMs: number }> {
  const begun = performance.now();
  let best = 0;
  while (true) {
    best = Math.max(best, await load.probe(jobs));
    const backMs = performance.now() - begun;
    if (best >= base * BACK_SHARE || backMs > BACK_MS) return { rate: best, backMs };
    await delay(1_000);
  }
}

function offerFor(load: Load, rate: number, ms: number): Promise<Span> {
  return load.offer(Math.max(1, Math.round(rate * ms / 1_000)), rate);
}

async function scan(sql: Sql, deadline: number): Promise<void> {
  const session = await sql.reserve();
  while (performance.now() < deadline) {
    const until = Math.min(deadline, performance.now() + SNAPSHOT_MS);
    await session`BEGIN ISOLATION LEVEL REPEATABLE READ`;
    while (performance.now() < until) {
      await session`SELECT count(*), max(updated) FROM pgqueuer`;
      await session`SELECT count(*), max(created) FROM pgqueuer_log`;
    }
    await session`COMMIT`;
  }
  session.release();
}

function pressureMs({ options }: Bench): number {
  return options.soak ? 600_000 : options.quick ? 5_000 : 60_000;
}

function calmMs({ options }: Bench): number {
  return options.quick ? 2_000 : 10_000;
}
