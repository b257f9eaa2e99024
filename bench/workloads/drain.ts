/** Workers empty a queue of jobs that do nothing. */
import { ready, type Workload } from "../bench.ts";
import { drain } from "../drain.ts";

const JOBS = 400_000;
const LEAST = 5_000;
/** As many as the workloads of a backlog take of theirs. */
const SHORT_JOBS = 50_000;
/** Defaults of some peers take one job at a time: the rate shows in less time than all of them take. */
const LIMIT_MS = 30_000;

function drainBy(workers: number): Workload {
  return {
    name: `drain-${workers}`,
    title: `drain, ${workers} worker ${workers === 1 ? "process" : "processes"}`,
    figure: "jobsPerSecond",
    unit: "jobs/s",
    better: "more",
    parameters: (bench) => ({ jobs: bench.scaled(JOBS, LEAST), workers }),
    contenders: (bench) => bench.options.quick ? bench.best() : bench.contenders,
    measure: (bench, contender) =>
      drain(bench, contender, {
        filling: { parts: [ready(bench.scaled(JOBS, LEAST))] },
        workers,
        limitMs: LIMIT_MS,
      }),
  };
}

/** What those are compared with: a worker is quicker once it has run for a second, and a long drain more so. */
const shortDrain: Workload = {
  ...drainBy(1),
  name: "drain-50k",
  title: "drain of 50k, 1 worker process",
  inQuick: false,
  parameters: (bench) => ({ jobs: bench.scaled(SHORT_JOBS, LEAST), workers: 1 }),
  contenders: (bench) => bench.best("postgres"),
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(SHORT_JOBS, LEAST))] },
      workers: 1,
      limitMs: LIMIT_MS,
    }),
};

export const drains: readonly Workload[] = [drainBy(1), drainBy(2), shortDrain];
