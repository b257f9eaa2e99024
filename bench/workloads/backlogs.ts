/** A drain must cost the same whatever stands in the queue, or holds it open. */
import type { Sql } from "postgres";
import { type Bench, ready, type Workload } from "../bench.ts";
import { drain } from "../drain.ts";

const DAY_MS = 86_400_000;
const LIMIT_MS = 60_000;

const base = {
  figure: "jobsPerSecond",
  unit: "jobs/s",
  better: "more",
  contenders: (bench: Bench) => bench.best("postgres"),
} as const;

/** The front of a queue that is far longer than what is measured. */
const backlog: Workload = {
  ...base,
  name: "backlog",
  title: "first 50k of a backlog of 1,000,000",
  parameters: (bench) => ({ backlog: bench.scaled(1_000_000, 10_000), jobs: measured(bench) }),
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(1_000_000, 10_000))] },
      workers: 1,
      jobs: measured(bench),
      limitMs: LIMIT_MS,
    }),
};

/** Jobs whose time has not come stand in front. */
const deferred: Workload = {
  ...base,
  name: "deferred",
  title: "50k due behind 200k deferred",
  parameters: (bench) => ({ deferred: behind(bench), jobs: measured(bench) }),
  measure: (bench, contender) => {
    const count = behind(bench);
    const parts = [{ first: 1, count, delayMs: DAY_MS }, ready(measured(bench), count + 1)];
    return drain(bench, contender, { filling: { parts }, workers: 1, limitMs: LIMIT_MS });
  },
};

/** Deferred jobs that have all come due at once. */
const due: Workload = {
  ...base,
  name: "due",
  inQuick: false,
  title: "first 50k of 1,000,000 deferred to the same moment",
  parameters: (bench) => ({ due: bench.scaled(1_000_000, 10_000), jobs: measured(bench) }),
  measure: (bench, contender) =>
    drain(bench, contender, {
      // Long over when the database is filled and copied.
      filling: { parts: [{ first: 1, count: bench.scaled(1_000_000, 10_000), delayMs: 1_000 }] },
      workers: 1,
      jobs: measured(bench),
      limitMs: LIMIT_MS,
      surroundings: async ({ sql }) => {
        await untilDue(sql!);
        return () => Promise.resolve();
      },
    }),
};

/** Another session holds a snapshot open, so no dead row can be removed. */
const snapshot: Workload = {
  ...base,
  name: "snapshot",
  title: "drain of 400k while another session holds an old snapshot",
  parameters: (bench) => ({ jobs: bench.scaled(400_000, 5_000) }),
  measure: (bench, contender) =>
    drain(bench, contender, {
      filling: { parts: [ready(bench.scaled(400_000, 5_000))] },
      workers: 1,
      limitMs: LIMIT_MS,
      surroundings: ({ sql }) => holdSnapshot(sql!),
    }),
};

export const backlogs: readonly Workload[] = [backlog, deferred, due, snapshot];

/** Takes a snapshot and keeps it. Gives what ends it. */
export async function holdSnapshot(sql: Sql): Promise<() => Promise<void>> {
  const session = await sql.reserve();
  await session`BEGIN ISOLATION LEVEL REPEATABLE READ`;
  await session`SELECT count(*) FROM pg_class`;
  return async () => {
    await session`COMMIT`;
    session.release();
  };
}

/** The jobs were deferred by a second when the database was filled. */
async function untilDue(sql: Sql): Promise<void> {
  await sql`SELECT pg_sleep(1)`;
}

function measured(bench: Bench): number {
  return bench.scaled(50_000, 5_000);
}

function behind(bench: Bench): number {
  return bench.scaled(200_000, 5_000);
}
