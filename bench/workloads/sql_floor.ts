/** What PostgreSQL alone needs for the same rows: no worker on it can be faster on one connection. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkHoldings, ready, type Workload } from "../bench.ts";

const JOBS = 400_000;
const LEAST = 5_000;
const BATCH = 1_000;
const PROCEDURE: string = readFileSync(
  fileURLToPath(new URL("sql_floor.sql", import.meta.url)),
  "utf8",
);

export const sqlFloor: Workload = {
  name: "sql-floor",
  title: "SQL floor: claim, acknowledge and log rows from a loop in the server",
  figure: "jobsPerSecond",
  unit: "jobs/s",
  better: "more",
  parameters: (bench) => ({ jobs: bench.scaled(JOBS, LEAST), batch: BATCH }),
  contenders: (bench) => [bench.ours],
  async measure(bench, contender) {
    const jobs = bench.scaled(JOBS, LEAST);
    const place = await bench.open(contender, { parts: [ready(jobs)] });
    try {
      await place.sql!.unsafe(PROCEDURE);
      const before = place.cpuMs();
      const begunAt = performance.now();
      await place.sql!.unsafe(`CALL bench_floor(${BATCH})`);
      const seconds = (performance.now() - begunAt) / 1_000;
      const after = place.cpuMs();
      const wanted = { ready: 0, deferred: 0, running: 0, done: jobs, total: jobs };
      return {
        figures: {
          jobsPerSecond: jobs / seconds,
          seconds,
          ...(before === undefined || after === undefined
            ? {}
            : { serverCpuUs: (after - before) * 1_000 / jobs }),
        },
        problems: (await checkHoldings(contender, place, wanted)).problems,
      };
    } finally {
      await place.drop();
    }
  },
};
