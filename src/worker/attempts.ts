import { JobCanceledError, LeaseLostError, ShutdownError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import { payloadSize } from "../payload_text.ts";
import { stackOf } from "../traceback.ts";
import { Attempt } from "./attempt.ts";
import type { Entrypoint } from "./entrypoint.ts";
import type { Claim } from "./heartbeat.ts";
import { momentNow, msSince } from "./moment.ts";
import { Pace } from "./pace.ts";
import type { Pulse } from "./pulse.ts";
import type { Outcome } from "./run_job.ts";
import { runInTransaction, type TransactionalParts } from "./transactional_attempt.ts";
import { Turn } from "./turn.ts";
import { Wake } from "./wake.ts";

/** Outcomes that may wait to be stored, for each handler that may run. More and the database cannot keep up: claim less. */
const UNSTORED_PER_TASK = 20;

/** Most jobs of one claim. More in one statement is no faster and keeps them from other workers for longer. */
const MAX_CLAIM = 1_000;

/** A claimed job that could not start for this long goes back: another worker may be idle. */
const MAX_HELD_MS = 250;

/** What the attempts need of their surroundings. */
export interface AttemptsParts extends TransactionalParts {
  readonly entrypoints: ReadonlyMap<string, Entrypoint>;
  readonly maxConcurrentTasks: number;
  /** `"auto"`: what can start now, and ahead of that what will have started by the time of the next claim. */
  readonly batchSize: number | "auto";
  /** Of the loop that waits for attempts. */
  readonly pulse: Pulse;
  readonly logger: Logger;
  /** For the handlers. */
  readonly resources: unknown;
}

/** How many jobs to claim. */
export interface Room {
  readonly limit: number;
  /** How many of them can start at once: a seat of a limited entrypoint is not taken to wait on it. */
  readonly startable: number;
}

/**
 * The jobs of this process, from the claim until the outcome is stored. At most `maxConcurrentTasks` handlers run; where
 * they are quick, some jobs more are held ready, so that no handler waits for the next claim.
 */
export class Attempts {
  readonly #parts: AttemptsParts;
  /** At most one attempt for each job. */
  readonly #byId = new Map<JobId, Attempt>();
  /** Claimed and not started, in the order of the queue. */
  #ready: Attempt[] = [];
  /** Handlers that run, those of older attempts included. */
  #running = 0;
  readonly #pace: Pace;
  readonly #turn = new Turn();
  readonly #resume = (): void => this.#startReady();
  /** Set when an attempt has come to its end. One loop waits on it. */
  readonly #settled: Wake;
  #readyTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: AttemptsParts) {
    this.#parts = parts;
    this.#pace = new Pace(parts.maxConcurrentTasks);
    this.#settled = new Wake(parts.pulse);
  }

  /** Jobs whose outcome is not stored yet. */
  get size(): number {
    return this.#byId.size;
  }

  /** Handlers that run. */
  get running(): number {
    return this.#running;
  }

  /** Ids of the jobs that are not known to be lost. */
  held(): JobId[] {
    return [...this.#byId.values()].filter(({ lost }) => !lost).map(({ job }) => job.id);
  }

  all(): Iterable<Attempt> {
    return this.#byId.values();
  }

  /** How many handlers can start now. */
  free(): number {
    return Math.max(0, this.#parts.maxConcurrentTasks - this.#running);
  }

  /** How many jobs to claim now, besides those on their way. */
  room(onItsWay: number): Room {
    return this.#room(onItsWay, () => this.#pace.ahead());
  }

  /** How many a second claim is to bring, while those on their way do not. */
  roomBeside(onItsWay: number): number {
    return this.#room(onItsWay, () => this.#pace.aheadOfTwo()).limit;
  }

  #room(onItsWay: number, aheadOf: () => number): Room {
    const { maxConcurrentTasks, batchSize } = this.#parts;
    const free = this.free();
    // Those that are held may only wait for the next turn of the event loop.
    const held = this.#ready.length + onItsWay;
    const startable = Math.max(0, free - held);
    const unstored = this.#byId.size - this.#running - this.#ready.length;
    if (unstored > maxConcurrentTasks * UNSTORED_PER_TASK) return { limit: 0, startable: 0 };
    if (batchSize !== "auto") {
      const limit = Math.min(batchSize, startable);
      return { limit, startable: limit };
    }
    const ahead = aheadOf();
    // Half of them are still there: a claim now would be a small one.
    if (held * 2 > ahead) return { limit: 0, startable: 0 };
    const soon = this.#pace.soon(free);
    const limit = Math.min(MAX_CLAIM, soon + ahead - held);
    return { limit, startable: Math.min(limit, Math.max(0, soon - held)) };
  }

  /** Starts claimed jobs, as far as they can, and holds the others ready. */
  take({ jobs, claimedAt }: Claim): void {
    const last = this.#ready.at(-1);
    const takenAt = momentNow();
    if (jobs.length > 0) this.#pace.brought(takenAt.monotonic - claimedAt.monotonic);
    for (const job of jobs) {
      // The lease was lost, the job queued again, and this process has claimed it: the older attempt must not go on.
      this.#byId.get(job.id)?.lose(new LeaseLostError(job.id, "we have claimed it again"));
      const attempt = new Attempt(job, claimedAt, takenAt, this.#parts);
      this.#byId.set(job.id, attempt);
      this.#ready.push(attempt);
      this.#pace.claimed(payloadSize(job));
    }
    // Of a priority that came only now: before those of a lower one that are held already.
    if (last !== undefined && jobs.some((job) => job.priority > last.job.priority)) {
      this.#ready.sort((one, other) => other.job.priority - one.job.priority);
    }
    this.#startReady();
  }

  /** Tells the handlers of jobs that somebody has canceled. */
  cancel(jobIds: readonly JobId[]): void {
    for (const jobId of jobIds) this.#byId.get(jobId)?.abort(new JobCanceledError(jobId));
  }

  /** Tells every handler to stop. */
  abort(reason: Error): void {
    for (const attempt of this.#byId.values()) attempt.abort(reason);
  }

  /** Gives up the outcomes of handlers that still run. */
  loseRunning(): void {
    for (const attempt of this.#byId.values()) {
      if (!attempt.ended) attempt.lose(new ShutdownError());
    }
  }

  /** Puts back what is held ready. */
  releaseReady(): void {
    clearTimeout(this.#readyTimer);
    this.#readyTimer = undefined;
    const ready = this.#ready;
    this.#ready = [];
    for (const attempt of ready) void this.#giveBack(attempt);
  }

  /** Waits until an attempt has come to its end or {@linkcode Attempts.wake} is called, at most `timeoutMs`. */
  wait(timeoutMs: number): Promise<boolean> {
    return this.#settled.wait(timeoutMs);
  }

  /** Ends the wait of {@linkcode Attempts.wait}. */
  wake(): void {
    this.#settled.set();
  }

  #startReady(): void {
    while (this.#ready.length > 0 && this.#running < this.#parts.maxConcurrentTasks) {
      if (this.#turn.isOver(this.#resume)) break;
      const attempt = this.#ready.shift()!;
      // The process was asleep or busy, and the lease may be lost.
      if (isLate(attempt)) {
        void this.#giveBack(attempt);
        continue;
      }
      const begunAt = performance.now();
      void this.#run(attempt);
      this.#pace.begun(performance.now() - begunAt);
    }
    if (this.#ready.length > 0) this.#readyTimer ??= this.#watchReady();
  }

  /** Looks after a while whether jobs have been held too long: their handlers have become slow. */
  #watchReady(): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.#readyTimer = undefined;
      const late = this.#ready.filter(isLate);
      if (late.length > 0) {
        this.#ready = this.#ready.filter((attempt) => !isLate(attempt));
        this.#pace.reset();
        for (const attempt of late) void this.#giveBack(attempt);
      }
      if (this.#ready.length > 0) this.#readyTimer = this.#watchReady();
    }, MAX_HELD_MS);
  }

  async #run(attempt: Attempt): Promise<void> {
    if (attempt.lost) return this.#end(attempt);
    // Canceled while it was held: nobody is to see it start.
    if (attempt.reason instanceof JobCanceledError) {
      return await this.#store(attempt, { status: "canceled" });
    }
    // Claims ask only for entrypoints that have a handler.
    const entrypoint = this.#parts.entrypoints.get(attempt.job.entrypoint)!;
    this.#running++;
    const startedAt = this.#pace.start();
    const outcome = entrypoint.transactional
      ? await runInTransaction(attempt, entrypoint, this.#parts)
      : await attempt.run(entrypoint.handler, entrypoint.timeoutMs);
    this.#running--;
    this.#pace.end(startedAt);
    this.#startReady();
    if (this.#running + this.#ready.length === 0) this.#pace.pause();
    this.#settled.set();
    if (outcome.status === "exception") {
      attempt.context.log.error(`failed: ${stackOf(outcome.error)}`);
    }
    if (attempt.lost && outcome.status !== "committed") {
      attempt.context.log.warn("dropped the outcome, as the lease was lost");
      this.#end(attempt);
    } else {
      await this.#store(attempt, outcome);
    }
  }

  /** Puts back a job whose handler has not been called. */
  async #giveBack(attempt: Attempt): Promise<void> {
    if (attempt.lost) return this.#end(attempt);
    const canceled = attempt.reason instanceof JobCanceledError;
    await this.#store(attempt, { status: canceled ? "canceled" : "released" });
  }

  async #store(attempt: Attempt, outcome: Outcome): Promise<void> {
    const { acknowledger, entrypoints } = this.#parts;
    attempt.ended = true;
    await acknowledger.store(attempt.job, outcome, entrypoints.get(attempt.job.entrypoint)!);
    this.#end(attempt);
  }

  #end(attempt: Attempt): void {
    if (this.#byId.get(attempt.job.id) === attempt) this.#byId.delete(attempt.job.id);
    this.#settled.set();
  }
}

function isLate(attempt: Attempt): boolean {
  return msSince(attempt.takenAt) >= MAX_HELD_MS;
}
