/** How fast workers empty a queue: the measurement that most workloads share. */
import { setTimeout as delay } from "node:timers/promises";
import {
  type Bench,
  checkHoldings,
  type Figures,
  type Filling,
  type Place,
  type Sample,
  sumOf,
} from "./bench.ts";
import { type Contender, OURS } from "./peers.ts";
import { now, type Task, type WorkerReport } from "./peers/task.ts";
import { PeerProcess } from "./process.ts";

/** What is drained, and by whom. */
export interface DrainOptions {
  readonly filling: Filling;
  readonly workers: number;
  /** What the workers are told. */
  readonly task?: Partial<Task>;
  /** Ends the measurement after so many jobs. @default all that are ready */
  readonly jobs?: number;
  /** Ends the measurement after this time, as some defaults need hours. The rate is then that of what was done. */
  readonly limitMs?: number;
  /** Called with the filled database, before the workers start. What it gives is called at the end. */
  readonly surroundings?: (place: Place) => Promise<() => Promise<void>>;
  /** When the clock starts: with the first handler, or with the worker where one claim takes much of the queue. */
  readonly clock?: "handler" | "worker";
  /** How often to note what has been done and what memory the workers use. @default never */
  readonly seriesMs?: number;
  /** Adds to the figures what a workload wants to know of the workers' reports. */
  readonly more?: (reports: readonly WorkerReport[], figures: Figures) => Figures;
}

/** How often to ask whether the last job is done. */
const BUSY_POLL_MS = 4;
/** How long a worker may do nothing before it counts as stuck. */
const STUCK_MS = 60_000;

/** Fills a database, lets workers loose on it, and checks what they did. */
export async function drain(
  bench: Bench,
  contender: Contender,
  options: DrainOptions,
): Promise<Sample> {
  const { variant } = contender;
  const filling = variant === "" ? options.filling : { ...options.filling, variant };
  const place = await bench.open(contender, filling);
  try {
    const end = await options.surroundings?.(place);
    try {
      return await drainPlace(contender, place, options);
    } finally {
      await end?.();
    }
  } finally {
    await place.drop();
  }
}

async function drainPlace(
  contender: Contender,
  place: Place,
  options: DrainOptions,
): Promise<Sample> {
  const { peer, tuned } = contender;
  const { filling, jobs, limitMs = Infinity } = options;
  const due = filling.parts.filter(({ delayMs }) => delayMs < LONG_DELAY_MS);
  const total = filling.parts.reduce((sum, part) => sum + part.count, 0);
  const all = due.reduce((sum, part) => sum + part.count, 0);
  const wanted = jobs ?? all;
  const workers = await Promise.all(
    Array.from(
      { length: options.workers },
      () =>
        PeerProcess.start(contender.runtime, peer.file, {
          role: "work",
          dsn: place.dsn,
          tuned,
          variant: contender.variant,
          ...filling,
          marks: jobs === undefined ? [] : [jobs],
          ...options.task,
        }),
    ),
  );
  try {
    const before = {
      server: place.cpuMs(),
      workers: workers.map((worker) => worker.cpuMs()),
    };
    const series: Figures[] = [];
    const timer = options.seriesMs === undefined
      ? undefined
      : setInterval(() => series.push(lookAt(workers)), options.seriesMs);
    const begunAt = now();
    for (const worker of workers) worker.go();
    await handled(workers, wanted, limitMs).finally(() => clearInterval(timer));
    if (timer !== undefined) series.push(lookAt(workers));
    const done = () => workers.reduce((sum, { tally }) => sum + tally.count, 0);
    const isCut = done() < wanted;
    const handledAt = now();
    const handledCount = done();
    const endedAt = isCut || jobs !== undefined || peer.tables === undefined
      ? handledAt
      : await idle(place, peer.tables.busySql);
    const server = since(before.server, place.cpuMs());
    const own = workers.map((worker, index) => since(before.workers[index], worker.cpuMs()));
    const reports = await Promise.all(workers.map((worker) => worker.stop()));

    const count = reports.reduce((sum, report) => sum + report.count, 0);
    const firstAt = options.clock === "worker"
      ? begunAt
      : Math.min(...reports.filter((one) => one.count > 0).map((one) => one.firstAt));
    // Of one worker the time of its mark is known; of several, when the sum was seen.
    const mark = options.workers === 1 ? reports[0]!.marks[0]?.[1] : undefined;
    const rated = mark === undefined ? handledCount : wanted;
    const seconds = ((mark ?? endedAt) - firstAt) / 1_000;
    const figures: Figures = {
      jobsPerSecond: rated / seconds,
      seconds,
      ...(isCut ? { cut: 1 } : {}),
      ...perJob("serverCpuUs", server, handledCount),
      ...perJob("workerCpuUs", own.reduce((sum, each) => sum + each, 0), handledCount),
    };
    Object.assign(figures, options.more?.(reports, figures));

    const problems: string[] = [];
    if (count < wanted && !isCut) problems.push(`${count} handlers ran, not ${wanted}`);
    if (count > all) problems.push(`${count} handlers ran, and there were ${all} jobs`);
    const sum = reports.reduce((all, report) => all + report.sum, 0);
    if (count === all && sum !== sumOf(due)) {
      problems.push(`other jobs ran than were enqueued: their numbers sum up to ${sum}`);
    }
    // A peer that is stopped in the middle may leave a job to its next start.
    if (!isCut || contender.name === OURS) {
      const wanted = { ready: all - count, deferred: total - all, running: 0, done: count, total };
      const verdict = await checkHoldings(contender, place, wanted);
      problems.push(...verdict.problems);
      Object.assign(figures, verdict.figures);
    }
    return { figures, problems, ...(series.length > 0 ? { series } : {}) };
  } catch (error) {
    for (const worker of workers) worker.kill();
    throw error;
  }
}

function lookAt(workers: readonly PeerProcess[]): Figures {
  const kilobytes = workers.map((worker) => worker.residentKb() ?? NaN);
  return {
    at: now(),
    jobs: workers.reduce((sum, { tally }) => sum + tally.count, 0),
    residentMb: kilobytes.reduce((sum, each) => sum + each, 0) / 1_024,
  };
}

/** Jobs that are deferred by more than this are not to run at all. */
const LONG_DELAY_MS = 600_000;

/** Waits until so many handlers have run, or the time is over. */
async function handled(
  workers: readonly PeerProcess[],
  wanted: number,
  limitMs: number,
): Promise<void> {
  const begun = performance.now();
  let last = 0;
  let lastAt = begun;
  while (true) {
    const count = workers.reduce((sum, { tally }) => sum + tally.count, 0);
    if (count >= wanted || performance.now() - begun >= limitMs) return;
    if (count !== last) [last, lastAt] = [count, performance.now()];
    if (performance.now() - lastAt > STUCK_MS) {
      const errors = workers.map(({ stderr }) => stderr).join("\n");
      throw new Error(`Workers do nothing any more after ${count} of ${wanted} jobs:\n${errors}`);
    }
    await Promise.race([
      delay(Math.min(100, limitMs)),
      ...workers.map((worker) => new Promise<void>((resolve) => worker.onTally = resolve)),
    ]);
  }
}

/** Waits until no job is ready or running. Gives when that was: the last commit before it was seen. */
async function idle(place: Place, busySql: string): Promise<number> {
  const begun = performance.now();
  while (performance.now() - begun < STUCK_MS) {
    const [row] = await place.sql!.unsafe<[{ busy: boolean; at: number }]>(
      `${busySql}, (SELECT extract(epoch FROM timestamp)::float8 * 1000 FROM pg_last_committed_xact()) AS at`,
    );
    if (!row.busy) return Math.min(now(), row.at);
    await delay(BUSY_POLL_MS);
  }
  throw new Error("All handlers have run, but jobs stay unfinished");
}

function since(before: number | undefined, after: number | undefined): number {
  return before === undefined || after === undefined ? NaN : after - before;
}

function perJob(name: string, ms: number, jobs: number): Figures {
  return Number.isNaN(ms) || jobs === 0 ? {} : { [name]: ms * 1_000 / jobs };
}
