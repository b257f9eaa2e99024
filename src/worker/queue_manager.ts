import { lockedPollMs, reconnectDelayMs } from "../backoff.ts";
import type { Transactions } from "../driver.ts";
import { ShutdownError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { QueueStore } from "../queries/queue.ts";
import type { Acknowledger } from "./acknowledger.ts";
import { Attempts, type Room } from "./attempts.ts";
import { Claimer } from "./claimer.ts";
import { type Entrypoint, gatesOf } from "./entrypoint.ts";
import type { Fleet } from "./fleet.ts";
import { type Claim, Heartbeat, type HeartbeatParts } from "./heartbeat.ts";
import type { Listener } from "./listener.ts";
import type { Pulse } from "./pulse.ts";
import type { ResolvedRunOptions } from "./run_options.ts";
import { ABORT_GRACE_MS, CLOSE_TIMEOUT_MS } from "./shutdown_times.ts";

/** What the loop needs of its surroundings. */
export interface QueueManagerParts {
  readonly queueManagerId: string;
  readonly entrypoints: ReadonlyMap<string, Entrypoint>;
  readonly queue: QueueStore;
  readonly listener: Listener;
  readonly fleet: Fleet;
  readonly acknowledger: Acknowledger;
  readonly transactions: Transactions | undefined;
  readonly keepLeases: HeartbeatParts["keepLeases"];
  readonly pulse: Pulse;
  readonly logger: Logger;
  /** For the handlers. */
  readonly resources: unknown;
  readonly options: ResolvedRunOptions;
}

/**
 * Claims jobs and runs their handlers.
 *
 * The loop claims as long as it gets as many jobs as it asked for. A short claim means that nothing more is ready: it
 * then asks what comes next (`lookAhead`) and waits for that, for a notification or for `dequeueTimeout`.
 */
export class QueueManager {
  readonly #parts: QueueManagerParts;
  readonly #claimer: Claimer;
  readonly #attempts: Attempts;
  readonly #heartbeat: Heartbeat;
  readonly #longestLeaseMs: number;
  #stopping = false;
  /** Whether a shutdown no longer waits for running handlers. */
  #hurried = false;
  /** When the last claim was sent, or the last look at a lease for all workers, on the monotonic clock. */
  #lookedAt = performance.now();
  /** Whether the other workers have heard of this one. */
  #seen = false;
  /** Failed claims in a row. */
  #failures = 0;
  /** Looks in a row that found a job ready right after a claim that did not get it. */
  #locked = 0;

  constructor(parts: QueueManagerParts) {
    const { options, queue, queueManagerId, logger } = parts;
    this.#parts = parts;
    const gates = gatesOf(parts.entrypoints, options.heartbeatTimeoutMs);
    const thorough = options.mode === "drain";
    const deliver = (claim: Claim) => this.#start(claim);
    const attempts = this.#attempts = new Attempts({ ...options, ...parts });
    this.#claimer = new Claimer({ ...parts, gates, deliver, attempts, thorough });
    const leases = gates.map((gate) => gate.leaseMs).filter((ms) => ms > 0);
    this.#longestLeaseMs = Math.max(0, ...leases);
    this.#heartbeat = new Heartbeat({
      timeoutMs: leases.length > 0 ? Math.min(...leases) : 0,
      keepLeases: parts.keepLeases,
      attempts: () => this.#attempts.all(),
      renew: (ids) => queue.heartbeat(ids, queueManagerId),
      logger,
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
    this.#attempts.wake();
  }

  /** Tells the handlers of jobs that somebody has canceled. */
  cancel(jobIds: readonly JobId[]): void {
    this.#attempts.cancel(jobIds);
  }

  /** Ends the wait for running handlers: their signals abort. */
  hurry(): void {
    this.#hurried = true;
    this.#attempts.wake();
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const room = this.#attempts.room(this.#claimer.paired.onItsWay);
      if (room.limit === 0) {
        await this.#attempts.wait(Infinity);
        continue;
      }
      try {
        const count = await this.#claim(room);
        this.#parts.pulse.looked();
        if (count > 0) this.#locked = 0;
        if (count >= room.limit) continue;
        if (this.#attempts.free() === 0) {
          // It was a look ahead: there is time until the next.
          await this.#attempts.wait(Infinity);
        } else if (await this.#idle(count > 0) === "drained") {
          return;
        }
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  /** Claims up to `limit` jobs and starts them. Gives their number. */
  async #claim({ limit, startable }: Room): Promise<number> {
    const { acknowledger, entrypoints } = this.#parts;
    await this.#heartbeat.catchUp();
    this.#lookedAt = performance.now();
    const stale = await this.#claimer.takeOver(limit, () => this.#attempts.held());
    await this.#start(stale);
    // Their workers died before they could be stopped.
    for (const job of stale.canceled) {
      void acknowledger.store(job, { status: "canceled" }, entrypoints.get(job.entrypoint)!);
    }
    let count = stale.jobs.length;
    if (count < limit) {
      const claim = await this.#claimer.claim({
        limit: limit - count,
        startable: Math.max(0, startable - count),
      });
      await this.#start(claim);
      count += claim.jobs.length;
    }
    if (this.#failures > 0) await this.#releaseUnknown();
    this.#failures = 0;
    return count;
  }

  async #start(claim: Claim): Promise<void> {
    this.#attempts.take(await this.#heartbeat.confirm(claim));
  }

  /** Waits until there may be work. Says whether a drain is done instead. */
  async #idle(claimed: boolean): Promise<"look" | "drained"> {
    const { listener, options } = this.#parts;
    const drain = options.mode === "drain";
    // The first also tells the others that this worker is there.
    let healthCheck = this.#seen ? null : listener.healthCheck();
    this.#seen = true;
    await this.#claimer.paired.settled();
    let tell = claimed;
    while (!this.#stopping) {
      // Already now: a seat that frees between the look and its answer would not be heard of.
      listener.heedEnds(this.#claimer.limited);
      // Likewise: what is put back between the look and its answer is not in it.
      const settled = this.#attempts.size === 0;
      const outlook = await this.#claimer.lookAhead(healthCheck);
      const { ready, blocked, dueMs, tokenMs, staleMs } = outlook;
      const startMs = ready ? 0 : Math.min(dueMs, tokenMs, this.#claimer.sparedMs);
      const nextMs = Math.min(startMs, staleMs);

      if (nextMs <= 0) {
        // Come since the claim: claim again at once. Still there after that: somebody has locked it, so do not spin.
        if (this.#locked++ > 0) await listener.waitForWork(lockedPollMs(this.#locked - 1));
        return "look";
      }
      this.#locked = 0;
      // The end of a job is news only to who waits for its seat.
      listener.heedEnds(blocked);
      if (drain && !blocked) {
        if (settled && tokenMs === Infinity) return "drained";
        // A running handler may enqueue more, so look again when one has ended.
        await this.#attempts.wait(Math.min(options.dequeueTimeoutMs, nextMs));
        return "look";
      }
      if (tell) this.#tellQuiet(nextMs, blocked);
      const turn = await this.#waitForTurn(startMs, staleMs, blocked);
      if (turn === "claim") return "look";
      // Where a lease should have run out, it has most often been renewed: look before anything is claimed, for all.
      tell = turn === "lease";
      if (tell) this.#lookedAt = performance.now();
      healthCheck = listener.healthCheck();
    }
    return "look";
  }

  /**
   * Waits for work and for this worker's turn. Gives `"claim"` where a job may be ready, `"lease"` where a lease should have
   * run out, and `"poll"` after `dequeueTimeout`.
   */
  async #waitForTurn(
    startMs: number,
    staleMs: number,
    blocked: boolean,
  ): Promise<"claim" | "lease" | "poll"> {
    const { fleet, listener, options } = this.#parts;
    const now = performance.now();
    let [startAt, leaseAt] = [now + startMs, now + staleMs];
    // The holder of a seat tells when it frees, or its lease runs out: who can hear that need not poll for so long.
    let patient = blocked && staleMs < Infinity;
    const patientUntil = now + this.#longestLeaseMs;
    let pollAt = now + options.dequeueTimeoutMs;
    while (!this.#stopping) {
      const nextAt = Math.min(startAt, leaseAt);
      const woken = await listener.waitForWork(Math.min(nextAt, pollAt) - performance.now());
      if (!woken && nextAt > pollAt) {
        if (!patient || !listener.hears || pollAt > patientUntil) return "poll";
        pollAt += options.dequeueTimeoutMs;
        continue;
      }
      const turnMs = fleet.turnMs(this.#attempts.running / options.maxConcurrentTasks);
      const quiet = turnMs === 0 ? null : await listener.waitForQuiet(turnMs);
      if (quiet === null) return woken || startAt <= leaseAt ? "claim" : "lease";
      // Another worker has taken what was ready, and says what comes next.
      listener.heedEnds(quiet.blocked);
      const nextMs = quiet.nextMs ?? Infinity;
      [startAt, leaseAt] = [performance.now() + nextMs, Infinity];
      patient = quiet.blocked && nextMs <= this.#longestLeaseMs;
    }
    return "claim";
  }

  /** Spares other workers a look. If it is lost they look. */
  #tellQuiet(nextMs: number, blocked: boolean): void {
    const { listener, queue, logger } = this.#parts;
    const quiet = { nextMs: Number.isFinite(nextMs) ? nextMs : null, blocked };
    const event = listener.quietEvent(quiet, this.#lookedAt);
    if (event === null) return;
    queue.notify(event).catch((error) => logger.debug(`Cannot tell what comes next: ${error}`));
  }

  /** Waits after a failure. Whatever it was, the next claim tries again: the process does not exit (G12). */
  async #recover(error: unknown): Promise<void> {
    this.#failures++;
    this.#parts.pulse.failed(error);
    this.#parts.logger.error(`Cannot claim jobs, trying again: ${error}`);
    await this.#parts.listener.waitForWork(reconnectDelayMs(this.#failures));
  }

  /** After a failure: the answer to a claim may have been lost, and its jobs would wait for their leases to run out. */
  async #releaseUnknown(): Promise<void> {
    const { queue, queueManagerId, logger, listener } = this.#parts;
    // Its jobs are not known yet.
    await this.#claimer.settled();
    const lost = await queue.releaseUnknown(this.#attempts.held(), queueManagerId);
    if (lost.length > 0) logger.warn(`Put back jobs whose claim was lost: ${lost.join(", ")}`);
    const healthCheck = listener.healthCheck();
    if (healthCheck !== null) await queue.notify(healthCheck);
  }

  async #shutDown(): Promise<void> {
    const { acknowledger, queue, queueManagerId, options, logger } = this.#parts;
    this.#stopping = true;
    const claimerClosed = this.#claimer.close(CLOSE_TIMEOUT_MS);
    this.#attempts.releaseReady();
    await this.#waitForHandlers(options.shutdownTimeoutMs, () => this.#hurried);
    if (this.#attempts.running > 0) {
      logger.warn(`Shutting down with ${this.#attempts.running} running jobs: aborting them`);
      this.#attempts.abort(new ShutdownError());
      await this.#waitForHandlers(ABORT_GRACE_MS, () => false);
    }
    // The outcome of a handler that goes on all the same finds no lease any more.
    this.#attempts.loseRunning();
    await acknowledger.close(CLOSE_TIMEOUT_MS);
    await this.#heartbeat.close();
    await claimerClosed;
    try {
      const ids = await queue.releaseUnknown([], queueManagerId);
      if (ids.length > 0) logger.warn(`Put back unfinished jobs: ${ids.join(", ")}`);
    } catch (error) {
      logger.error(`Cannot put jobs back, so they wait for their leases to run out: ${error}`);
    }
  }

  async #waitForHandlers(timeoutMs: number, enough: () => boolean): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#attempts.running > 0 && !enough()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return;
      await this.#attempts.wait(leftMs);
    }
  }
}
