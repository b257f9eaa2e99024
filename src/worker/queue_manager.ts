import { lockedPollMs, reconnectDelayMs } from "../backoff.ts";
import { JobCanceledError, LeaseLostError, ShutdownError } from "../errors.ts";
import type { Job, JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import { sqlState } from "../queries/database_error.ts";
import { type Gate, isLimited, type QueueStore } from "../queries/queue.ts";
import type { Acknowledger } from "./acknowledger.ts";
import { Attempt } from "./attempt.ts";
import { stackOf } from "../traceback.ts";
import { type Entrypoint, gatesOf } from "./entrypoint.ts";
import { type Claim, Heartbeat } from "./heartbeat.ts";
import type { Listener } from "./listener.ts";
import { momentNow } from "./moment.ts";
import type { ResolvedRunOptions } from "./run_options.ts";
import { Wake } from "./wake.ts";

/** What the loop needs of its surroundings. */
export interface QueueManagerParts {
  readonly queueManagerId: string;
  readonly entrypoints: ReadonlyMap<string, Entrypoint>;
  readonly queue: QueueStore;
  readonly listener: Listener;
  readonly acknowledger: Acknowledger;
  readonly logger: Logger;
  readonly options: ResolvedRunOptions;
}

/** While a backlog keeps a worker busy it looks for leases that have run out this often. Bounds G9's second. */
const TAKE_OVER_INTERVAL_MS = 500;

/** Outcomes that may wait to be stored, for each handler that may run. More and the database cannot keep up: claim less. */
const UNSTORED_PER_TASK = 10;

/** What a handler gets to end after its signal aborted, before its job is put back. */
const ABORT_GRACE_MS = 1_000;

/** How long a stopping worker tries to store outcomes in a database that does not answer. */
const CLOSE_TIMEOUT_MS = 5_000;

/**
 * Claims jobs and runs their handlers.
 *
 * The loop claims as long as it gets as many jobs as it asked for. A short claim means that nothing more is ready: it
 * then asks what comes next (`lookAhead`) and waits for that, for a notification or for `dequeueTimeout`.
 */
export class QueueManager {
  readonly #parts: QueueManagerParts;
  readonly #names: readonly string[];
  readonly #gates: readonly Gate[];
  readonly #limited: boolean;
  /** Whether any lease can run out. */
  readonly #leased: boolean;
  readonly #heartbeat: Heartbeat;
  /** Jobs of this process, from the claim until the outcome is stored. At most one attempt for each job. */
  readonly #attempts = new Map<JobId, Attempt>();
  /** Handlers that run, those of older attempts included. */
  #running = 0;
  /** Set when an attempt has come to its end. */
  readonly #settled = new Wake();
  #stopping = false;
  /** Whether a shutdown no longer waits for running handlers. */
  #hurried = false;
  /** When to look for leases that have run out, on the monotonic clock. */
  #takeOverAt = 0;
  /** Failed claims in a row. */
  #failures = 0;
  /** Looks in a row that found a job ready right after a claim that did not get it. */
  #locked = 0;

  constructor(parts: QueueManagerParts) {
    this.#parts = parts;
    this.#names = [...parts.entrypoints.keys()];
    this.#gates = gatesOf(parts.entrypoints, parts.options.heartbeatTimeoutMs);
    this.#limited = this.#gates.some(isLimited);
    const leases = this.#gates.map((gate) => gate.leaseMs).filter((ms) => ms > 0);
    this.#leased = leases.length > 0;
    this.#heartbeat = new Heartbeat({
      timeoutMs: this.#leased ? Math.min(...leases) : 0,
      attempts: () => this.#attempts.values(),
      renew: (ids) => parts.queue.heartbeat(ids, parts.queueManagerId),
      logger: parts.logger,
    });
  }

  /** Runs jobs until `stop()`, or in drain mode until none is ready. Every claimed job has then ended or is put back. */
  async run(): Promise<void> {
    this.#heartbeat.start();
    try {
      await this.#loop();
    } finally {
      await this.#shutDown();
    }
  }

  /** Claims no further job. */
  stop(): void {
    this.#stopping = true;
    this.#parts.listener.wake();
    this.#settled.set();
  }

  /** Tells the handlers of jobs that somebody has canceled. */
  cancel(jobIds: readonly JobId[]): void {
    for (const jobId of jobIds) this.#attempts.get(jobId)?.abort(new JobCanceledError(jobId));
  }

  /** Ends the wait for running handlers: their signals abort. */
  hurry(): void {
    this.#hurried = true;
    this.#settled.set();
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const limit = this.#capacity();
      if (limit === 0) {
        await this.#settled.wait(Infinity);
        continue;
      }
      try {
        const count = await this.#claim(limit);
        if (count === limit) continue;
        if (count > 0) this.#locked = 0;
        if (await this.#idle() === "drained") return;
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  /** How many jobs can start at once. */
  #capacity(): number {
    const { maxConcurrentTasks, batchSize } = this.#parts.options;
    const unstored = this.#attempts.size - this.#running;
    if (unstored > maxConcurrentTasks * UNSTORED_PER_TASK) return 0;
    return Math.min(batchSize, Math.max(0, maxConcurrentTasks - this.#running));
  }

  /** Claims up to `limit` jobs and starts them. Gives their number. */
  async #claim(limit: number): Promise<number> {
    let count = 0;
    await this.#heartbeat.catchUp();
    if (this.#leased && performance.now() >= this.#takeOverAt) count = await this.#takeOver(limit);
    if (count < limit) {
      const claimedAt = momentNow();
      const jobs = await this.#dequeue(limit - count);
      await this.#start({ jobs, claimedAt });
      count += jobs.length;
    }
    if (this.#failures > 0) await this.#releaseUnknown();
    this.#failures = 0;
    return count;
  }

  async #dequeue(limit: number): Promise<Job[]> {
    const { queue, queueManagerId } = this.#parts;
    if (!this.#limited) return await queue.dequeue(limit, this.#names, queueManagerId);
    try {
      return await queue.claimLimited(limit, this.#gates, queueManagerId);
    } catch (error) {
      // A client that takes no lock, such as a Python worker, got a seat first. The look ahead says what now.
      if (["23505", "40P01"].includes(sqlState(error) ?? "")) return [];
      throw error;
    }
  }

  async #takeOver(limit: number): Promise<number> {
    const { queue, queueManagerId, acknowledger, entrypoints, logger } = this.#parts;
    const claimedAt = momentNow();
    this.#takeOverAt = claimedAt.monotonic + TAKE_OVER_INTERVAL_MS;
    const held = this.#held();
    const { claimed, canceled } = await queue.takeOver(limit, this.#gates, queueManagerId, held);
    for (const job of claimed) {
      logger.warn(`Took over job ${job.id} of ${job.entrypoint}: its worker went silent`);
    }
    await this.#start({ jobs: claimed, claimedAt });
    // Their workers died before they could be stopped.
    for (const job of canceled) {
      void acknowledger.store(job, { status: "canceled" }, entrypoints.get(job.entrypoint)!);
    }
    return claimed.length;
  }

  /** Waits until there may be work. Says whether a drain is done instead. */
  async #idle(): Promise<"look" | "drained"> {
    const { queue, listener, options } = this.#parts;
    const drain = options.mode === "drain";
    let healthCheck: string | null = null;
    while (!this.#stopping) {
      // Already now: a seat that frees between the look and its answer would not be heard of.
      listener.heedEnds(this.#limited);
      const { ready, blocked, dueMs, tokenMs, staleMs } = await queue.lookAhead(
        this.#gates,
        healthCheck,
      );
      this.#takeOverAt = Math.min(this.#takeOverAt, performance.now() + staleMs);
      const nextMs = ready ? 0 : Math.min(dueMs, tokenMs, staleMs);

      if (nextMs <= 0) {
        // Come since the claim: claim again at once. Still there after that: somebody has locked it, so do not spin.
        if (this.#locked++ > 0) await listener.waitForWork(lockedPollMs(this.#locked - 1));
        return "look";
      }
      this.#locked = 0;
      // The end of a job is news only to who waits for its seat.
      listener.heedEnds(blocked);
      const waitMs = Math.min(options.dequeueTimeoutMs, nextMs);
      if (drain && !blocked) {
        if (this.#attempts.size === 0 && tokenMs === Infinity) return "drained";
        // A running handler may enqueue more, so look again when one has ended.
        await this.#settled.wait(waitMs);
        return "look";
      }
      const woken = await listener.waitForWork(waitMs);
      if (woken || nextMs <= options.dequeueTimeoutMs) return "look";
      healthCheck = listener.healthCheck();
    }
    return "look";
  }

  /** Waits after a failure. Whatever it was, the next claim tries again: the process does not exit (G12). */
  async #recover(error: unknown): Promise<void> {
    this.#failures++;
    this.#parts.logger.error(`Cannot claim jobs, trying again: ${error}`);
    await this.#parts.listener.waitForWork(reconnectDelayMs(this.#failures));
  }

  /** After a failure: the answer to a claim may have been lost, and its jobs would wait for their leases to run out. */
  async #releaseUnknown(): Promise<void> {
    const { queue, queueManagerId, logger, listener } = this.#parts;
    const lost = await queue.releaseUnknown(this.#held(), queueManagerId);
    if (lost.length > 0) logger.warn(`Put back jobs whose claim was lost: ${lost.join(", ")}`);
    const healthCheck = listener.healthCheck();
    if (healthCheck !== null) await queue.notify(healthCheck);
  }

  /** Jobs of this process that are not known to be lost. */
  #held(): JobId[] {
    return [...this.#attempts.values()].filter(({ lost }) => !lost).map(({ job }) => job.id);
  }

  async #start(claim: Claim): Promise<void> {
    const { jobs, claimedAt } = await this.#heartbeat.confirm(claim);
    for (const job of jobs) {
      // The lease was lost, the job queued again, and this process has claimed it: the older attempt must not go on.
      this.#attempts.get(job.id)?.lose(new LeaseLostError(job.id, "we have claimed it again"));
      const attempt = new Attempt(job, claimedAt, this.#parts.logger);
      this.#attempts.set(job.id, attempt);
      this.#running++;
      void this.#attempt(attempt);
    }
  }

  async #attempt(attempt: Attempt): Promise<void> {
    const { job, context } = attempt;
    // Claims ask only for entrypoints that have a handler.
    const entrypoint = this.#parts.entrypoints.get(job.entrypoint)!;
    const outcome = await attempt.run(entrypoint.handler, entrypoint.timeoutMs);
    this.#running--;
    this.#settled.set();
    if (outcome.status === "exception") context.log.error(`failed: ${stackOf(outcome.error)}`);
    if (attempt.lost) context.log.warn("dropped the outcome, as the lease was lost");
    else await this.#parts.acknowledger.store(job, outcome, entrypoint);
    if (this.#attempts.get(job.id) === attempt) this.#attempts.delete(job.id);
    this.#settled.set();
  }

  async #shutDown(): Promise<void> {
    const { acknowledger, queue, queueManagerId, options, logger } = this.#parts;
    this.#stopping = true;
    await this.#waitForHandlers(options.shutdownTimeoutMs, () => this.#hurried);
    if (this.#running > 0) {
      logger.warn(`Shutting down with ${this.#running} running jobs: aborting them`);
      for (const attempt of this.#attempts.values()) attempt.abort(new ShutdownError());
      await this.#waitForHandlers(ABORT_GRACE_MS, () => false);
    }
    // The outcome of a handler that goes on all the same finds no lease any more.
    for (const attempt of this.#attempts.values()) if (!attempt.ended) attempt.lost = true;
    await acknowledger.close(CLOSE_TIMEOUT_MS);
    await this.#heartbeat.close();
    try {
      const ids = await queue.releaseUnknown([], queueManagerId);
      if (ids.length > 0) logger.warn(`Put back unfinished jobs: ${ids.join(", ")}`);
    } catch (error) {
      logger.error(`Cannot put jobs back, so they wait for their leases to run out: ${error}`);
    }
  }

  async #waitForHandlers(timeoutMs: number, enough: () => boolean): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#running > 0 && !enough()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return;
      await this.#settled.wait(leftMs);
    }
  }
}
