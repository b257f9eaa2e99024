/** Workers empty a queue of jobs that do nothing. */
import { type Bench, ready, type Workload } from "../bench.ts";
import { drain } from "../drain.ts";

const JOBS = 400_000;
const LEAST = 5_000;
/** As many as the workloads of a backlog take of theirs. */
const SHORT_JOBS = 50_000;
/** Defaults of some peers take one job at a time: the rate shows in less time than all of them take. */
const LIMIT_MS = 30_000;

function drainBy(workers: number, most = JOBS): Workload {
  const jobs = (bench: Bench): number => bench.scaled(most, LEAST);
  return {
    name: `drain-${workers}`,
    title: `drain, ${workers} worker ${workers === 1 ? "process" : "processes"}`,
    figure: "jobsPerSecond",
    unit: "jobs/s",
    better: "more",
    parameters: (bench) => ({ jobs: jobs(bench), workers }),
    contenders: (bench) => bench.options.quick ? bench.best() : bench.contenders,
    measure: (bench, contender) =>
      drain(bench, contender, {
        filling: { parts: [ready(jobs(bench))] },
        workers,
        limitMs: LIMIT_MS,
      }),
  };
}

/** What those are compared with: a worker is quicker once it has run for a second, and a long drain more so. */
const shortDrain: Workload = {
  ...drainBy(1, SHORT_JOBS),
  name: "drain-50k",
  title: "drain of 50k, 1 worker process",
  inQuick: false,
  contenders: (bench) => bench.best("postgres"),
};

export const drains: readonly Workload[] = [drainBy(1), drainBy(2), shortDrain];
