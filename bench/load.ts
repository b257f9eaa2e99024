/** Workers that run for long under a load, looked at every second: what the pressure workloads and the soak share. */
import { setTimeout as delay } from "node:timers/promises";
import { type Bench, checkHoldings, type Figures, type Place, ready, sumOf } from "./bench.ts";
import type { Contender } from "./peers.ts";
import { now, type Part, type ProducerReport, type Task } from "./peers/task.ts";
import { type GivenTask, PeerProcess } from "./process.ts";
import { longestBelow, quantile } from "./summary.ts";

/** A span of time, as `now()` gives it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** How the load is made. */
export interface LoadOptions {
  readonly workers: number;
  /** Notes the latency of each so manieth job. */
  readonly sampleEvery: number;
  readonly lookMs: number;
  /** More of what the workers are told. */
  readonly task?: Partial<Task>;
}

/** Jobs of one call of the producer. */
const BATCH = 500;
/** Longest that jobs may take to be enqueued beyond the time that was given for it. */
const GRACE_MS = 10 * 60_000;
/** Longest wait for all jobs to be done. */
const IDLE_MS = 20 * 60_000;

/** Looks that come late, or not at all, say nothing of the time before. */
const LEAST_SEEN = 0.5;

/** Workers under way on a queue of their own. */
export class Load {
  readonly place: Place;
  readonly #bench: Bench;
  readonly #contender: Contender;
  readonly #parts: Part[] = [];
  readonly #series: Figures[] = [];
  readonly #timer: NodeJS.Timeout;
  #workers: PeerProcess[] = [];
  #looking: Promise<void> = Promise.resolve();
  #starts: (readonly [number, number, number])[] = [];

  private constructor(bench: Bench, contender: Contender, place: Place, options: LoadOptions) {
    this.#bench = bench;
    this.#contender = contender;
    this.place = place;
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.#look()).catch(() => {});
    }, options.lookMs);
  }

  /** Starts workers on an empty queue. */
  static async start(bench: Bench, contender: Contender, options: LoadOptions): Promise<Load> {
    const place = await bench.open(contender);
    const load = new Load(bench, contender, place, options);
    for (let index = 0; index < options.workers; index++) {
      const { file } = contender.peer;
      const { tuned, variant } = contender;
      const worker = await PeerProcess.start(contender.runtime, file, {
        role: "work",
        dsn: place.dsn,
        tuned,
        variant,
        handler: "latency",
        sampleEvery: options.sampleEvery,
        ...options.task,
      });
      load.#workers.push(worker);
      worker.go();
    }
    return load;
  }

  /** Handlers that have run. */
  get handled(): number {
    return this.#workers.reduce((sum, { tally }) => sum + tally.count, 0);
  }

  get offered(): number {
    return this.#parts.reduce((sum, { count }) => sum + count, 0);
  }

  get series(): readonly Figures[] {
    return this.#series;
  }

  /** Offers `count` jobs at `rate` a second, in a process of its own. Gives when that was. */
  async offer(count: number, rate: number): Promise<Span> {
    const part = ready(count, this.offered + 1);
    this.#parts.push(part);
    const task: GivenTask = {
      role: "offer",
      dsn: this.place.dsn,
      tuned: this.#contender.tuned,
      first: part.first,
      count,
      rate,
      batch: BATCH,
    };
    const timeoutMs = count * 1_000 / rate + GRACE_MS;
    const report: ProducerReport = await this.#bench.produce(this.#contender, task, timeoutMs);
    return { from: report.begunAt, to: report.endedAt };
  }

  /** Offers jobs as fast as they can be enqueued, and waits for the last. Gives how many a second went through. */
  async probe(count: number): Promise<number> {
    const { from } = await this.offer(count, 1e9);
    await this.idle();
    return count * 1_000 / (now() - from);
  }

  /** Waits until every job that was offered has run. */
  async idle(): Promise<void> {
    const begun = performance.now();
    while (this.handled < this.offered) {
      if (performance.now() - begun > IDLE_MS) {
        throw new Error(`${this.handled} of ${this.offered} jobs have run: ${this.#said()}`);
      }
      await delay(5);
    }
  }

  /**
   * Jobs a second that ran in a span.
   *
   * @throws {Error} If it was looked at for a part of the span only.
   */
  rate({ from, to }: Span): number {
    const inside = this.#series.filter(({ at }) => at! >= from && at! <= to);
    const [first, last] = [inside[0], inside.at(-1)];
    const seenMs = (last?.at ?? 0) - (first?.at ?? 0);
    if (seenMs === 0 || seenMs < LEAST_SEEN * (to - from)) {
      throw new Error(`of ${Math.round(to - from)} ms only ${Math.round(seenMs)} were looked at`);
    }
    return (last!.jobs! - first!.jobs!) * 1_000 / seenMs;
  }

  /** The longest time in a span, in milliseconds, in which fewer than `rate` jobs a second ran at each look. */
  longestBelow({ from, to }: Span, rate: number): number {
    const inside = this.#series.filter(({ at }) => at! >= from && at! <= to);
    return longestBelow(inside as { at: number; jobs: number }[], rate);
  }

  /** Milliseconds from the call to the start of jobs that were asked for in a span. To be asked after `stop`. */
  latency({ from, to }: Span, share: number): number {
    const waits = this.#starts.filter(([, calledAt]) => calledAt >= from && calledAt <= to)
      .map(([, calledAt, startedAt]) => startedAt - calledAt);
    return quantile(waits, share);
  }

  /** The highest value that was seen. */
  most(name: string): number {
    return Math.max(0, ...this.#series.map((one) => one[name] ?? 0));
  }

  /** Stops the workers and checks what they did. Gives what was not as it must be. */
  async stop(): Promise<string[]> {
    clearInterval(this.#timer);
    const said = this.#said();
    const reports = await Promise.all(this.#workers.map((worker) => worker.stop()));
    await this.#looking;
    this.#workers = [];
    this.#starts = reports.flatMap(({ starts }) => starts).filter(([, calledAt]) => calledAt > 0);
    const count = reports.reduce((sum, report) => sum + report.count, 0);
    const sum = reports.reduce((all, report) => all + report.sum, 0);
    const problems: string[] = [];
    if (said !== "") problems.push(`workers complained: ${said}`);
    if (count !== this.offered) problems.push(`${count} handlers ran, not ${this.offered}`);
    if (sum !== sumOf(this.#parts)) problems.push("other jobs ran than were enqueued");
    return problems;
  }

  /** Checks the tables, row by row. */
  async check(): Promise<readonly string[]> {
    const total = this.offered;
    const wanted = { ready: 0, deferred: 0, running: 0, done: total, total };
    return (await checkHoldings(this.#contender, this.place, wanted)).problems;
  }

  /** Ends all of it, whatever has gone wrong. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const worker of this.#workers) worker.kill();
    await this.#looking;
    await this.place.drop();
  }

  async #look(): Promise<void> {
    const at = now();
    const jobs = this.handled;
    const kilobytes = this.#workers.map((worker) => worker.residentKb() ?? NaN);
    const [row] = await this.place.sql!<[Figures]>`
      SELECT
        (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'pgqueuer')::float8
          AS "deadRows",
        pg_table_size('pgqueuer')::float8 / 1e6 AS "queueMb",
        pg_indexes_size('pgqueuer')::float8 / 1e6 AS "queueIndexMb",
        pg_table_size('pgqueuer_log')::float8 / 1e6 AS "logMb",
        pg_indexes_size('pgqueuer_log')::float8 / 1e6 AS "logIndexMb",
        pg_notification_queue_usage() AS "notificationUsage"`;
    const residentMb = kilobytes.reduce((sum, each) => sum + each, 0) / 1_024;
    this.#series.push({ at, jobs, ...row, residentMb });
  }

  /** What the workers wrote to stderr: warnings and errors only. */
  #said(): string {
    return this.#workers.map(({ stderr }) => stderr).filter((text) => text !== "").join("\n");
  }
}
