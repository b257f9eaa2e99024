/** Workers empty a queue of jobs that do nothing. */
import { ready, type Workload } from "../bench.ts";
import { drain } from "../drain.ts";

const JOBS = 400_000;
const LEAST = 5_000;
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

export const drains: readonly Workload[] = [drainBy(1), drainBy(2)];
