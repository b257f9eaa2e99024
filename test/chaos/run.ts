/** A chaos run, from the start of its server to the table of findings. */
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../support/queue.ts";
import { attemptsCharged, type Check, ended, endsOnce, logAgrees, outbox } from "./check_jobs.ts";
import { fenced, leasesKept, outcomesAreOwn, pinged, recovered } from "./check_leases.ts";
import {
  concurrency,
  deduplicated,
  handlersWithinLimits,
  neverEarly,
  rates,
  serialized,
} from "./check_limits.ts";
import { disturb } from "./disturb.ts";
import { type Evidence, readEvidence } from "./evidence.ts";
import { DEQUEUE_TIMEOUT_MS, examine } from "./exams.ts";
import { Fleet, type Runtime } from "./fleet.ts";
import { HEARTBEAT_TIMEOUT_MS } from "./kinds.ts";
import { Pinger } from "./pinger.ts";
import { describe, type Kind, makePlan, type Step } from "./plan.ts";
import { Producer } from "./producer.ts";
import { Disturbances } from "./recovery.ts";
import { Stage } from "./stage.ts";

/** What a run is told. */
export interface ChaosOptions {
  readonly seed: number;
  /** `0`: each kind of disturbance once. */
  readonly minutes: number;
  readonly workers: number;
  /** What runs the workers, if not what runs this. */
  readonly runtime?: Runtime | undefined;
  /** Gets each line of the time line. */
  readonly onLine: (line: string) => void;
  /** Gets each line that a worker writes. */
  readonly onLog?: (line: string) => void;
  /** Ends the run at once. */
  readonly signal?: AbortSignal;
}

/** What one check found. */
export interface Finding {
  readonly check: string;
  readonly breaches: readonly string[];
}

/** What came of a run. */
export interface ChaosResult {
  readonly findings: readonly Finding[];
  readonly evidence: Evidence;
  /** How long after each ping it was taken, or after what was still done to its worker then. */
  readonly recoveries: readonly { readonly after: Kind; readonly ms: number }[];
  /** How long after the last disturbance all jobs had ended. */
  readonly drainMs: number;
}

/** Two, so that there is load while one waits for an answer. */
const PRODUCERS = 2;
/** Calls of each in a second, most of them with two jobs or so. */
const CALLS_PER_SECOND = 8;
/** How long a worker that was killed may take to start before the next is disturbed: it needs slots, and a server. */
const START_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 2_000;
/** How often the machine is asked whether it has time. */
const PROBE_MS = 100;
/** A timer and a statement that does nothing take no longer, together, where there is time for workers. */
const STANDSTILL_MS = 1_000;
/** Longest that what is left may take when nothing is disturbed any more. */
const DRAIN_MS = 90_000;

const CHECKS: readonly (readonly [string, Check])[] = [
  ["G1 a job is there if and only if its transaction committed", outbox],
  ["G2 every job has run, and ended as it had to", ended],
  ["every job ended once", endsOnce],
  ["the log has each change of each job", logAgrees],
  ["attempts are charged for failures only", attemptsCharged],
  ["G3 only the holder of a lease writes", fenced],
  ["G3 an outcome is that of the attempt with the lease", outcomesAreOwn],
  ["G4 concurrency limits and seats", concurrency],
  ["G4 handlers with a lease are within the limits", handlersWithinLimits],
  ["G5 rates", rates],
  ["jobs of a serialized entrypoint run one after another", serialized],
  ["G7 one live job for each dedupe key", deduplicated],
  ["G8 no job starts early", neverEarly],
  ["G9 jobs of silent workers are taken over in time", recovered],
  ["leases of workers that are left alone do not run out", leasesKept],
  ["G12 each worker recovers in time", pinged],
];

/** Runs it. Rejects only if the run itself cannot go on; what is wrong with the library is in the findings. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const stage = await Stage.open(options.workers);
  const fleet = new Fleet(stage, {
    ...options,
    runtime: options.runtime,
    dequeueTimeoutMs: DEQUEUE_TIMEOUT_MS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    onLog: options.onLog ?? (() => {}),
  });
  const producers = Array.from(
    { length: PRODUCERS },
    (_, index) => new Producer(stage, options.seed + index, CALLS_PER_SECOND),
  );
  try {
    const run = new ChaosRun(stage, fleet, producers, options).play();
    const interrupted = new Promise<never>((_, reject) =>
      options.signal?.addEventListener("abort", () => reject(options.signal!.reason))
    );
    run.catch(() => {});
    return await Promise.race([run, interrupted]);
  } finally {
    await fleet.close();
    await Promise.all(producers.map((producer) => producer.close()));
    await stage.close();
  }
}

class ChaosRun {
  readonly #stage: Stage;
  readonly #fleet: Fleet;
  readonly #producers: readonly Producer[];
  readonly #options: ChaosOptions;
  readonly #disturbances = new Disturbances();
  readonly #pinger: Pinger;
  readonly #begun = performance.now();

  constructor(stage: Stage, fleet: Fleet, producers: readonly Producer[], options: ChaosOptions) {
    this.#stage = stage;
    this.#fleet = fleet;
    this.#producers = producers;
    this.#options = options;
    this.#pinger = new Pinger(stage);
  }

  async play(): Promise<ChaosResult> {
    const { workers, signal } = this.#options;
    const everyone = Array.from({ length: workers }, (_, worker) => worker);
    await Promise.all(everyone.map((worker) => this.#fleet.start(worker)));
    for (const producer of this.#producers) producer.start();
    const probing = new AbortController();
    const probe = this.#probe(probing.signal);
    this.#say(`${workers} workers run, jobs are enqueued`);

    const lanes = [
      ...makePlan({ ...this.#options, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS }).values(),
    ];
    await Promise.all(lanes.map((steps) => this.#playLane(steps)));
    this.#say("Nothing is disturbed any more");
    const calmAt = performance.now();
    await Promise.all(this.#producers.map((producer) => producer.stop()));

    const stuck = await this.#drain();
    const drainMs = performance.now() - calmAt;
    this.#say(stuck.length === 0 ? "All jobs have ended" : `${stuck.length} jobs are stuck`);
    // Where jobs are stuck there is a finding, and each exam would wait for the same.
    const examined = stuck.length > 0
      ? []
      : await examine(this.#stage, this.#pinger, everyone, signal);
    await Promise.all(everyone.map((worker) => this.#fleet.end(worker)));
    signal?.throwIfAborted();
    probing.abort();
    await probe;

    const evidence = await readEvidence(this.#stage, {
      ledger: this.#producers.flatMap(({ ledger }) => ledger),
      disturbances: this.#disturbances,
      pings: this.#pinger.pings,
      workers,
      endedAt: this.#fleet.endedAt,
    });
    return {
      evidence,
      drainMs,
      recoveries: this.#recoveries(evidence),
      findings: [
        { check: "no process exits", breaches: this.#fleet.exits },
        {
          check: "callers see no error but outages",
          breaches: this.#producers.flatMap(({ errors }) => errors),
        },
        { check: "nothing is stuck", breaches: stuck },
        ...examined,
        ...CHECKS.map(([check, look]) => ({ check, breaches: look(evidence) })),
      ],
    };
  }

  /** Notes when the machine, or the server as such, has no time: on a busy one a worker is late through no fault of its own. */
  async #probe(over: AbortSignal): Promise<void> {
    while (!over.aborted && !this.#options.signal?.aborted) {
      const from = Date.now();
      await delay(PROBE_MS);
      try {
        await this.#stage.control.run((sql) => sql`select 1`);
      } catch {
        // The run was broken off.
        return;
      }
      const to = Date.now();
      if (to - from > STANDSTILL_MS) this.#disturbances.standstills.push({ from, to });
    }
  }

  /** Does the steps of a lane one after another, for as long as the run lasts; the first round is always done. */
  async #playLane(steps: readonly Step[]): Promise<void> {
    const { minutes, workers, signal } = this.#options;
    const begun = new Set<Kind>();
    const kinds = new Set(steps.map(({ kind }) => kind));
    const playing: Promise<void>[] = [];
    for (const step of steps) {
      const isOver = performance.now() - this.#begun > minutes * 60_000;
      if (signal?.aborted || (isOver && begun.size === kinds.size)) break;
      begun.add(step.kind);
      await delay(step.afterMs);
      this.#say(describe(step, workers));
      const done = this.#playStep(step);
      playing.push(done);
      // One that cannot start does not keep others from being killed.
      await (step.lane === "process" ? Promise.race([done, delay(step.forMs + START_MS)]) : done);
    }
    await Promise.all(playing);
  }

  async #playStep(step: Step): Promise<void> {
    const disturbance = this.#disturbances.begin(step.kind, step.workers);
    const told = await disturb(step, this.#stage, this.#fleet);
    disturbance.to = Date.now();
    if (told) this.#say(`  ${step.kind}: ${told}`);
    await Promise.all(step.workers.map((worker) => this.#pinger.send(worker, step.kind)));
  }

  /** Waits until no job is queued or picked. Gives those that still are after a long time. */
  async #drain(): Promise<string[]> {
    const left = (): Promise<string[]> =>
      this.#stage.control.run(async (sql) => {
        const rows = await sql`
          select id, entrypoint, status::text, execute_after, heartbeat, queue_manager_id
          from ${
          sql(`${this.#stage.schema}.pgqueuer`)
        } where status in ('queued', 'picked') order by id`;
        return rows.map((row) => `Job ${row["id"]} is left: ${JSON.stringify(row)}`);
      });
    let rows: string[] = [];
    const empty = async (): Promise<boolean> => {
      this.#options.signal?.throwIfAborted();
      rows = await left();
      return rows.length === 0;
    };
    await until("every job has ended", empty, DRAIN_MS).catch((error) => {
      if (this.#options.signal?.aborted) throw error;
    });
    return rows;
  }

  #recoveries({ stories }: Evidence): ChaosResult["recoveries"] {
    const begun = new Map(stories.map(({ id, effects }) => [id, effects[0]?.at]));
    return this.#pinger.pings.flatMap(({ worker, jobId, after, sentAt }) => {
      const at = begun.get(jobId);
      if (after === null || at === undefined) return [];
      const from = Math.max(sentAt, this.#disturbances.lastEnd(worker, at));
      return [{ after, ms: Math.max(0, at - from) }];
    });
  }

  #say(line: string): void {
    const seconds = ((performance.now() - this.#begun) / 1_000).toFixed(1);
    this.#options.onLine(`${`+${seconds}`.padStart(7)} s  ${line}`);
  }
}
