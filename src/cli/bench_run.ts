import { randomBytes } from "node:crypto";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { openWorkerDriver, type WorkerDriver } from "../drivers/worker_driver.ts";
import { PgQueuer } from "../pg_queuer.ts";
import { BenchStore } from "../queries/bench.ts";
import { Queries } from "../queries/queries.ts";
import { resolveSettings, type Settings } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import type { Logger } from "../logger.ts";
import type { DrainLoad } from "./bench_limits.ts";

/** What to measure, and who is told. */
export interface BenchRunOptions {
  readonly dsn: string;
  readonly jobs: number;
  /** Ends the measurement; what it made is dropped all the same. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Is told how far the measurement is, from 0 to 1. */
  readonly onProgress: (share: number, what: string) => void;
}

/** Values below which half, 95 and 99 of a hundred lie, in milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What was found. */
export interface BenchResult {
  readonly version: string;
  readonly roundTripMs: number;
  /** What a commit takes beside its round trip. */
  readonly commitMs: number;
  readonly enqueuePerSecond: number;
  readonly drainPerSecond: number;
  readonly drainMs: number;
  readonly load: DrainLoad;
  readonly samples: number;
  /** From the call of `enqueue` to the handler. */
  readonly fromCall: Percentiles;
  /** From the answer of `enqueue` to the handler; below zero where the handler was faster. */
  readonly fromCommit: Percentiles;
}

type DrainResult = Pick<BenchResult, "drainPerSecond" | "drainMs" | "load">;
type LatencyResult = Pick<BenchResult, "samples" | "fromCall" | "fromCommit">;

const ENTRYPOINT = "bench";
const PAYLOAD_BYTES = 100;
const BATCH = 1_000;
const PROBES = 100;
const LATENCY_JOBS = 200;
/** Not counted: code is compiled and statements are planned. */
const WARM_UP = 20;
const LATENCY_PAUSE_MS = 5;
const SAMPLE_MS = 20;
/** How soon to look again whether the last job is done. */
const POLL_MS = 2;

/**
 * Measures a queue on a server, in a schema that it makes and drops.
 *
 * @throws {unknown} The reason of `signal` if it aborts; what the database says if it refuses. Nothing stays behind.
 */
export async function runBench(options: BenchRunOptions): Promise<BenchResult> {
  const id = randomBytes(4).toString("hex");
  // The prefix makes the notification channel our own, too. The user's variables name another queue.
  const settings = resolveSettings({ schema: `pgqueuer_bench_${id}`, prefix: `bench_${id}_` }, {});
  const driver = await openWorkerDriver(options.dsn, {
    applicationName: "pgq bench",
    logger: options.logger,
  });
  try {
    return await new Measurement(options, settings, driver).run();
  } finally {
    await driver.close();
  }
}

class Measurement {
  readonly #options: BenchRunOptions;
  readonly #settings: Settings;
  readonly #queries: Queries;
  readonly #store: BenchStore;
  /** Handlers that have run, and when the first did. */
  #handled = 0;
  #firstAt = 0;
  /** Times at which handlers of the second part began, by the number in the payload. */
  readonly #starts: number[] = [];

  constructor(options: BenchRunOptions, settings: Settings, driver: WorkerDriver) {
    this.#options = options;
    this.#settings = settings;
    this.#queries = new Queries(driver, settings);
    this.#store = new BenchStore(driver, new Statements(settings));
  }

  async run(): Promise<BenchResult> {
    const version = await this.#store.version();
    let result: BenchResult;
    try {
      await this.#queries.install();
      const probes = await this.#probe();
      const enqueuePerSecond = await this.#fill();
      result = { version, ...probes, enqueuePerSecond, ...await this.#work() };
    } catch (error) {
      // Only one error can be thrown, and the first says more.
      await this.#drop().catch((second) =>
        this.#options.logger.error(`Cannot drop schema ${this.#settings.schema}: ${second}`)
      );
      throw error;
    }
    await this.#drop();
    return result;
  }

  async #drop(): Promise<void> {
    await this.#queries.uninstall();
    await this.#store.dropSchema();
  }

  async #probe(): Promise<{ roundTripMs: number; commitMs: number }> {
    const [trips, writes]: [number[], number[]] = [[], []];
    for (let index = 0; index < PROBES; index++) {
      this.#report(0, index / PROBES, "round trips and commits");
      trips.push(await timed(() => this.#store.ping()));
      writes.push(await timed(() => this.#store.write(`probe ${index}`)));
    }
    const [roundTripMs, writeMs] = [percentiles(trips).p50, percentiles(writes).p50];
    return { roundTripMs, commitMs: Math.max(0, writeMs - roundTripMs) };
  }

  async #fill(): Promise<number> {
    const { jobs } = this.#options;
    const begunAt = performance.now();
    for (let done = 0; done < jobs; done += BATCH) {
      this.#report(0.05, done / jobs, "enqueue");
      const size = Math.min(BATCH, jobs - done);
      const payloads = Array.from({ length: size }, () => new Uint8Array(PAYLOAD_BYTES));
      await this.#queries.enqueue(ENTRYPOINT, payloads);
    }
    return jobs * 1_000 / (performance.now() - begunAt);
  }

  async #work(): Promise<DrainResult & LatencyResult> {
    const { dsn, logger } = this.#options;
    const applicationName = this.#settings.schema!;
    const pgq = new PgQueuer(await openWorkerDriver(dsn, { applicationName, logger }), {
      ...this.#settings,
      logger,
    });
    pgq.entrypoint(ENTRYPOINT, (job) => {
      if (this.#handled++ === 0) this.#firstAt = performance.now();
      const number = new DataView(job.payload!.buffer, job.payload!.byteOffset).getUint32(0);
      if (number > 0) this.#starts[number] = performance.now();
    });
    // Handlers that do nothing need no thread that keeps their leases.
    const run = pgq.run({ blockTimeout: 0 });
    try {
      const ended = run.then(() => {
        throw new Error("The worker has stopped by itself");
      });
      // It does so at the end, when nobody waits for it any more.
      ended.catch(() => {});
      const drained = await Promise.race([this.#drain(applicationName), ended]);
      return { ...drained, ...await Promise.race([this.#latency(), ended]) };
    } finally {
      await pgq.stop({ timeout: 0 });
      await run.catch(() => {});
    }
  }

  async #drain(applicationName: string): Promise<DrainResult> {
    const { jobs } = this.#options;
    const sums = { computing: 0, committing: 0, locked: 0, reading: 0 };
    const cpu = process.cpuUsage();
    const begunAt = performance.now();
    let samples = 0;
    while (this.#handled < jobs) {
      this.#report(0.3, this.#handled / jobs, "drain");
      const now = await this.#store.sessions(applicationName);
      for (const what of Object.keys(sums) as (keyof typeof sums)[]) sums[what] += now[what];
      samples++;
      await delay(SAMPLE_MS);
    }
    while ((await this.#queries.queueSize()).length > 0) {
      this.#options.signal.throwIfAborted();
      await delay(POLL_MS);
    }
    const drainMs = performance.now() - this.#firstAt;
    const { user, system } = process.cpuUsage(cpu);
    const average = (sum: number): number => sum / Math.max(1, samples);
    return {
      drainPerSecond: jobs * 1_000 / drainMs,
      drainMs,
      load: {
        workerCpu: (user + system) / 1_000 / (performance.now() - begunAt),
        sessions: {
          computing: average(sums.computing),
          committing: average(sums.committing),
          locked: average(sums.locked),
          reading: average(sums.reading),
        },
      },
    };
  }

  async #latency(): Promise<LatencyResult> {
    const total = LATENCY_JOBS + WARM_UP;
    const calls: { calledAt: number; committedAt: number }[] = [];
    for (let number = 1; number <= total; number++) {
      this.#report(0.7, number / total, "latency");
      const payload = new Uint8Array(PAYLOAD_BYTES);
      new DataView(payload.buffer).setUint32(0, number);
      const calledAt = performance.now();
      await this.#queries.enqueue(ENTRYPOINT, payload);
      calls[number] = { calledAt, committedAt: performance.now() };
      while (this.#starts[number] === undefined) {
        this.#options.signal.throwIfAborted();
        await delay(1);
      }
      // Until the worker waits again.
      await delay(LATENCY_PAUSE_MS);
    }
    const counted = Object.entries(calls).slice(WARM_UP)
      .map(([number, call]) => ({ ...call, startedAt: this.#starts[Number(number)]! }));
    return {
      samples: counted.length,
      fromCall: percentiles(counted.map(({ calledAt, startedAt }) => startedAt - calledAt)),
      fromCommit: percentiles(
        counted.map(({ committedAt, startedAt }) => startedAt - committedAt),
      ),
    };
  }

  /** Each part begins at its own share of the whole. */
  #report(from: number, share: number, what: string): void {
    this.#options.signal.throwIfAborted();
    const width = { 0: 0.05, 0.05: 0.25, 0.3: 0.4, 0.7: 0.3 }[from]!;
    this.#options.onProgress(from + width * Math.min(1, share), what);
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begunAt = performance.now();
  await run();
  return performance.now() - begunAt;
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
