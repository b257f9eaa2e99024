/** How soon an idle worker starts a job. */
import { checkHoldings, type Sample, type Workload } from "../bench.ts";
import type { Bench } from "../bench.ts";
import type { Contender } from "../peers.ts";
import { PeerProcess } from "../process.ts";
import { quantile } from "../summary.ts";

const JOBS = 1_000;
const LEAST = 100;
/** Long enough for the worker to wait again, short enough for many samples. */
const PAUSE_MS = 20;
/** Jobs that are not counted: the first ones are compiled, planned and connected. */
const WARM_UP = 20;
const TIMEOUT_MS = 120_000;

export const latency: Workload = {
  name: "latency",
  title: "call of enqueue → handler start, p50",
  figure: "callP50",
  unit: "ms",
  better: "less",
  parameters: (bench) => ({ jobs: bench.scaled(JOBS, LEAST), pauseMs: PAUSE_MS }),
  contenders: (bench) => bench.best(),
  measure,
};

async function measure(bench: Bench, contender: Contender): Promise<Sample> {
  const count = bench.scaled(JOBS, LEAST) + WARM_UP;
  const { peer, tuned } = contender;
  const place = await bench.open(contender, { parts: [], variant: "notify" });
  const common = { dsn: place.dsn, tuned } as const;
  const worker = await PeerProcess.start(contender.runtime, peer.file, {
    ...common,
    role: "work",
    handler: "latency",
  });
  try {
    worker.go();
    const { calls } = await bench.produce(contender, {
      ...common,
      role: "trickle",
      first: 1,
      count,
      pauseMs: PAUSE_MS,
    }, TIMEOUT_MS);
    while (worker.tally.count < count) {
      await new Promise<void>((resolve) => worker.onTally = resolve);
    }
    const { starts, ...report } = await worker.stop();

    const committed = new Map(calls.map(([number, , committedAt]) => [number, committedAt]));
    const warm = starts.filter(([number]) => number > WARM_UP);
    const fromCall = warm.map(([, calledAt, startedAt]) => startedAt - calledAt);
    // Below zero where the handler began before the answer had come back to the producer.
    const fromCommit = warm.map(([number, , startedAt]) => startedAt - committed.get(number)!);
    const figures = {
      callP50: quantile(fromCall, 0.5),
      callP95: quantile(fromCall, 0.95),
      callP99: quantile(fromCall, 0.99),
      commitP50: quantile(fromCommit, 0.5),
      commitP99: quantile(fromCommit, 0.99),
    };
    const problems = report.count === count ? [] : [`${report.count} handlers ran, not ${count}`];
    const wanted = { ready: 0, deferred: 0, running: 0, done: count, total: count };
    const verdict = await checkHoldings(contender, place, wanted);
    return { figures, problems: problems.concat(verdict.problems) };
  } catch (error) {
    worker.kill();
    throw error;
  } finally {
    await place.drop();
  }
}
