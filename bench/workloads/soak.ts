/** Half an hour at half of what goes through: nothing may grow, and nothing slow down. */
import type { Bench, Figures, Sample, Workload } from "../bench.ts";
import { Load } from "../load.ts";
import type { Contender } from "../peers.ts";
import { now } from "../peers/task.ts";

const WORKERS = 2;
const SHARE = 0.5;
const SOAK_MS = 30 * 60_000;
/** The log is pruned while it grows. */
const RETENTION_MS = 5 * 60_000;
/** What the end is compared with: the time after the first fifth, when log rows begin to be deleted. */
const WARM_SHARE = 0.2;
const WINDOW_SHARE = 0.2;

export const soak: Workload = {
  name: "soak",
  title: "half an hour at half the rate: rate of the last fifth, of that offered",
  figure: "endPercent",
  unit: "%",
  better: "more",
  soak: "only",
  rounds: 1,
  parameters: (bench) => ({
    workers: WORKERS,
    seconds: soakMs(bench) / 1_000,
    retentionSeconds: retentionMs(bench) / 1_000,
  }),
  contenders: (bench) => [bench.ours],
  measure,
};

async function measure(bench: Bench, contender: Contender): Promise<Sample> {
  const ms = soakMs(bench);
  const load = await Load.start(bench, contender, {
    workers: WORKERS,
    sampleEvery: 256,
    lookMs: Math.min(5_000, ms / 50),
    task: { retentionMs: retentionMs(bench) },
  });
  try {
    const jobs = bench.scaled(100_000, 5_000);
    await load.probe(jobs);
    const base = await load.probe(jobs);
    const begun = now();
    const rate = base * SHARE;
    await load.offer(Math.round(rate * ms / 1_000), rate);
    const ended = now();
    await load.idle();
    const problems = await load.stop();

    const window = (share: number) => {
      const from = begun + (ended - begun) * share;
      return { from, to: from + (ended - begun) * WINDOW_SHARE };
    };
    const [warm, end] = [window(WARM_SHARE), window(1 - WINDOW_SHARE)];
    const mean = (name: string, span: { from: number; to: number }): number => {
      const inside = load.series.filter(({ at }) => at! >= span.from && at! <= span.to);
      return inside.reduce((sum, one) => sum + one[name]!, 0) / inside.length;
    };
    const figures: Figures = {
      endPercent: 100 * load.rate(end) / rate,
      offeredPerSecond: rate,
      warmP99: load.latency(warm, 0.99),
      endP99: load.latency(end, 0.99),
    };
    for (
      const name of ["residentMb", "deadRows", "queueMb", "queueIndexMb", "logMb", "logIndexMb"]
    ) {
      figures[`${name}Warm`] = mean(name, warm);
      figures[`${name}End`] = mean(name, end);
    }
    problems.push(...await checkCounts(load, retentionMs(bench) / 2));
    return { figures, problems, series: load.series };
  } finally {
    await load.close();
  }
}

/**
 * Of what is too young to be deleted, the statistics and what they do not count yet have each row of the log. That each job
 * has run once is known from the workers.
 */
async function checkCounts(load: Load, youngMs: number): Promise<string[]> {
  const sql = load.place.sql!;
  const rows = await sql<{ status: string; counted: number; logged: number }[]>`
    WITH young AS (SELECT date_trunc('second', now() - ${youngMs} * interval '1 millisecond') AS since)
    SELECT status::text, sum(counted)::float8 AS counted, sum(logged)::float8 AS logged FROM (
      SELECT status, count AS counted, 0 AS logged FROM pgqueuer_statistics, young WHERE created >= since
      UNION ALL SELECT status, CASE WHEN aggregated THEN 0 ELSE 1 END, 1 FROM pgqueuer_log, young WHERE created >= since
    ) AS both_of_them GROUP BY status`;
  const [left] = await sql<[{ count: number }]>`SELECT count(*)::int AS count FROM pgqueuer`;
  return rows.flatMap(({ status, counted, logged }) =>
    counted === logged ? [] : [`${counted} jobs were counted as ${status}, not ${logged}`]
  ).concat(left.count === 0 ? [] : [`${left.count} jobs are left`]);
}

/** As long as it is, unless the run is scaled down to try it out. */
function soakMs({ options }: Bench): number {
  return Math.max(10_000, SOAK_MS * Math.min(1, options.scale));
}

function retentionMs(bench: Bench): number {
  return RETENTION_MS * soakMs(bench) / SOAK_MS;
}
