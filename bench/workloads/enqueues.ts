/** How fast jobs get into the queue. */
import { type Bench, checkHoldings, ready, type Sample, type Workload } from "../bench.ts";
import { type Contender, variantOf } from "../peers.ts";
import type { GivenTask } from "../process.ts";

/** What a producer is told, but for where. */
type Order = Omit<GivenTask, "dsn">;

async function measure(
  bench: Bench,
  contender: Contender,
  jobs: number,
  order: Order,
): Promise<Sample> {
  const place = await bench.open(contender);
  try {
    const before = place.cpuMs();
    const { begunAt, endedAt } = await bench.produce(contender, {
      ...order,
      dsn: place.dsn,
      tuned: contender.tuned,
      variant: contender.variant,
    });
    const after = place.cpuMs();
    const seconds = (endedAt - begunAt) / 1_000;
    const figures = {
      jobsPerSecond: jobs / seconds,
      seconds,
      ...(before === undefined || after === undefined
        ? {}
        : { serverCpuUs: (after - before) * 1_000 / jobs }),
    };
    const wanted = { ready: jobs, deferred: 0, running: 0, done: 0, total: jobs };
    const { problems } = await checkHoldings(contender, place, wanted);
    return { figures, problems };
  } finally {
    await place.drop();
  }
}

const base = { figure: "jobsPerSecond", unit: "jobs/s", better: "more" } as const;

const BULK = 200_000;
const SINGLE = 20_000;
const CALLERS = 10;

const bulk: Workload = {
  ...base,
  name: "bulk-enqueue",
  title: "bulk enqueue by 1,000",
  parameters: (bench) => ({ jobs: bench.scaled(BULK, 5_000), batch: 1_000 }),
  contenders: (bench) => bench.best(),
  measure: (bench, contender) => {
    const jobs = bench.scaled(BULK, 5_000);
    return measure(bench, contender, jobs, { role: "fill", parts: [ready(jobs)], batch: 1_000 });
  },
};

const single: Workload = {
  ...base,
  name: "single-enqueue",
  title: "single enqueue, 10 callers in one process",
  parameters: (bench) => ({ jobs: bench.scaled(SINGLE, 1_000), callers: CALLERS }),
  contenders: (bench) => [
    ...bench.best(),
    variantOf(bench.ours, ", coalesce: false", { variant: "alone" }),
  ],
  measure: (bench, contender) => {
    const count = bench.scaled(SINGLE, 1_000);
    const order: Order = { role: "single", first: 1, count, callers: CALLERS };
    return measure(bench, contender, count, order);
  },
};

export const enqueues: readonly Workload[] = [bulk, single];
