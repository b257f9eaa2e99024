import { reconnectDelayMs } from "../backoff.ts";
import { planFire } from "../cron.ts";
import { ShutdownError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { ScheduleOutlook, ScheduleRow, ScheduleStore } from "../queries/schedules.ts";
import type { Schedule } from "../schedule.ts";
import { FireLeases, type FireLeasesParts, PYTHON_TIMEOUT_MS } from "./fire_leases.ts";
import type { Pulse } from "./pulse.ts";
import { RunningFire } from "./running_fire.ts";
import type { ResolvedRunOptions } from "./run_options.ts";
import { ABORT_GRACE_MS, CLOSE_TIMEOUT_MS } from "./shutdown_times.ts";
import { Wake } from "./wake.ts";

/** What the loop needs of its surroundings. */
export interface ScheduleManagerParts {
  /** At least one. */
  readonly schedules: readonly Schedule[];
  readonly store: ScheduleStore;
  readonly keepLeases: FireLeasesParts["keepLeases"];
  readonly pulse: Pulse;
  readonly logger: Logger;
  /** For the handlers. */
  readonly resources: unknown;
  readonly options: ResolvedRunOptions;
}

/** How often a sleeping worker compares its clocks. Sends nothing. */
const CLOCK_CHECK_MS = 10_000;

/** A wall clock that has moved this much more than the timers have was set, or the machine slept. */
const CLOCK_STEP_MS = 1_000;

/**
 * Fires schedules: runs their handlers, or enqueues their jobs.
 *
 * A row of the table is either queued, and `next_run` is its next due time, or picked, while a worker runs a fire and
 * renews `heartbeat`; `next_run` is then the time after. The loop reads the rows, does what is due by the database's
 * clock, and sleeps until the next of these comes: a fire is due, a lease runs out, an own fire has ended.
 */
export class ScheduleManager {
  readonly #parts: ScheduleManagerParts;
  readonly #timeoutMs: number;
  readonly #running = new Set<RunningFire>();
  /** Ends the sleep of the loop: a fire has ended, or the worker stops. */
  readonly #wake: Wake;
  /** Ends the waits of a shutdown. */
  readonly #settled: Wake;
  readonly #leases: FireLeases;
  #prepared = false;
  #stopping = false;
  /** Whether a shutdown no longer waits for running handlers. */
  #hurried = false;
  /** Whether ends of fires that are not stored yet are given up. */
  #closed = false;

  constructor(parts: ScheduleManagerParts) {
    this.#parts = parts;
    this.#wake = new Wake(parts.pulse);
    this.#settled = new Wake(parts.pulse);
    this.#timeoutMs = parts.options.heartbeatTimeoutMs || PYTHON_TIMEOUT_MS;
    this.#leases = new FireLeases({ ...parts, timeoutMs: this.#timeoutMs, running: this.#running });
  }

  /** Fires schedules until `stop()`, or in drain mode until none is due. Every fire has then ended or is put back. */
  async run(): Promise<void> {
    try {
      await this.#loop();
    } finally {
      await this.#shutDown();
      this.#closed = true;
      await this.#leases.close();
    }
  }

  /** Starts no further fire. */
  stop(): void {
    this.#stopping = true;
    this.#wake.set();
    this.#settled.set();
  }

  /** Ends the wait for running handlers: their signals abort. */
  hurry(): void {
    this.#hurried = true;
    this.#settled.set();
  }

  async #loop(): Promise<void> {
    const { store, schedules, logger, options } = this.#parts;
    let failures = 0;
    while (!this.#stopping) {
      try {
        const outlook = await store.outlook(schedules);
        if (!this.#prepared) {
          await this.#prepare(outlook);
          continue;
        }
        const answeredAt = performance.now();
        let waitMs = Infinity;
        for (const row of outlook.rows) {
          if (this.#stopping) return;
          waitMs = Math.min(waitMs, await this.#advance(row, outlook.now));
        }
        failures = 0;
        this.#parts.pulse.looked();
        if (waitMs <= 0) continue;
        if (options.mode === "drain") {
          if (this.#running.size === 0) return;
          waitMs = Infinity;
        }
        await this.#sleep(waitMs - (performance.now() - answeredAt));
      } catch (error) {
        failures++;
        this.#parts.pulse.failed(error);
        logger.error(`Cannot read the schedules, trying again: ${error}`);
        await this.#wake.wait(reconnectDelayMs(failures));
      }
    }
  }

  /** Makes the table fit the registered schedules, once at the start. */
  async #prepare({ now, rows, missing }: ScheduleOutlook): Promise<void> {
    const { store, schedules, logger } = this.#parts;
    const cleaned = schedules.filter(({ cleanOld }) => cleanOld).map(({ entrypoint }) =>
      entrypoint
    );
    if (cleaned.length > 0) {
      for (const { entrypoint, expression } of await store.clean(schedules, cleaned)) {
        logger.info(`Deleted the old schedule ${entrypoint} "${expression}"`);
      }
    }
    if (missing.length > 0) {
      await store.add(missing, missing.map(({ cron }) => cron.after(now)));
    }
    for (const row of rows) {
      // The time zone was changed since the row was moved: a fire of ours may come before the one of the old zone.
      const { cron } = row.schedule;
      const foreign = Number.isFinite(row.next) && cron.atOrAfter(row.next) !== row.next;
      const next = cron.after(now);
      if (foreign && !row.picked && row.next > next) await store.move(row, next);
    }
    this.#prepared = true;
  }

  /** Does what is due for one row. Says in how many milliseconds to look at it again; 0 is at once. */
  async #advance(row: ScheduleRow, now: number): Promise<number> {
    const { store, logger } = this.#parts;
    if (row.picked) return await this.#watch(row, now);

    const { cron, missed, missedWindowMs, entrypoint, handler, overlap } = row.schedule;
    const plan = planFire(cron, row.next, now, missed, missedWindowMs);
    if (plan.kind === "wait") return plan.until - now;
    if (plan.kind === "skip") {
      if (await store.move(row, plan.next)) {
        logger.warn(
          `Dropped missed fires of schedule ${entrypoint} since ${
            new Date(row.next).toISOString()
          }`,
        );
      }
      return 0;
    }

    const claimedAt = performance.now();
    const claim = { id: row.id, due: plan.due, token: null as string | null, claimedAt };
    if (handler === null) {
      const due = new Date(plan.due).toISOString();
      const { expression } = cron;
      const key = `schedule ${entrypoint} ${expression} ${due}`;
      const payload = JSON.stringify({ due, expression });
      return await store.enqueue(row, plan.next, key, payload) ? plan.next - now : 0;
    }
    if (overlap) {
      if (!await store.pass(row, plan.next)) return 0;
      this.#start(row.schedule, claim);
      return plan.next - now;
    }
    claim.token = await store.claim(row, plan.next);
    if (claim.token === null) return 0;
    this.#start(row.schedule, claim);
    // Its end wakes the loop.
    return Infinity;
  }

  /** Looks after a fire that runs somewhere, and takes it over once its worker has gone silent. */
  async #watch(row: ScheduleRow, now: number): Promise<number> {
    const { store, logger, options } = this.#parts;
    for (const { id, token, lost } of this.#running) {
      if (id === row.id && token !== null && !lost) return Infinity;
    }

    const leftMs = row.heartbeat + this.#timeoutMs - now;
    if (leftMs > 0) return leftMs;
    const claimedAt = performance.now();
    const token = await store.takeOver(row, this.#timeoutMs);
    if (token === null) return 0;
    const { schedule, id } = row;
    const due = schedule.cron.before(row.next);
    const took = new RunningFire(schedule, { id, due, token, claimedAt }, this.#parts);
    // Without take-over the fire is given up and the schedule goes on.
    const again = options.heartbeatTimeoutMs > 0 && now - due <= schedule.missedWindowMs &&
      schedule.handler !== null;
    if (again) {
      logger.warn(`Took over ${took}: its worker went silent`);
      this.#start(schedule, { id, due, token, claimedAt });
      return Infinity;
    }
    logger.warn(`Gave up ${took}: its worker went silent`);
    await store.finish(id, token);
    return 0;
  }

  #start(
    schedule: Schedule,
    claim: { id: number; due: number; token: string | null; claimedAt: number },
  ): void {
    const running = new RunningFire(schedule, claim, this.#parts);
    this.#running.add(running);
    this.#leases.begin();
    void this.#run(running);
  }

  async #run(running: RunningFire): Promise<void> {
    const { fire, context, schedule } = running;
    try {
      await schedule.handler!(fire, context);
      running.done = true;
    } catch (error) {
      // An aborted handler has not come to its end. Any other error is one.
      running.done = !context.signal.aborted;
      if (running.done) context.log.error(`failed: ${describe(error)}`);
    }
    running.ended = true;
    await this.#store(running);
    this.#running.delete(running);
    this.#leases.end();
    this.#wake.set();
    this.#settled.set();
  }

  /** Stores the end of a fire, or puts it back. Tries until that succeeds or is given up. */
  async #store(running: RunningFire): Promise<void> {
    const { store, logger } = this.#parts;
    const { id, token, due } = running;
    for (let failures = 1; token !== null && !running.lost && !this.#closed; failures++) {
      try {
        if (running.done) await store.finish(id, token);
        else await store.release(id, token, due);
        return;
      } catch (error) {
        logger.warn(`Cannot store the end of ${running}, trying again: ${error}`);
        await new Promise((resolve) => setTimeout(resolve, reconnectDelayMs(failures)));
      }
    }
  }

  /** Sleeps until something wakes it, at most `ms`. Ends early if the clock was set or the machine slept. */
  async #sleep(ms: number): Promise<void> {
    const end = performance.now() + ms;
    const offset = Date.now() - performance.now();
    while (true) {
      const leftMs = end - performance.now();
      if (leftMs <= 0 || await this.#wake.wait(Math.min(leftMs, CLOCK_CHECK_MS))) return;
      if (Math.abs(Date.now() - performance.now() - offset) > CLOCK_STEP_MS) return;
    }
  }

  async #shutDown(): Promise<void> {
    const { logger, options } = this.#parts;
    this.#stopping = true;
    await this.#waitForHandlers(options.shutdownTimeoutMs, () => this.#hurried);
    if (this.#running.size === 0) return;
    logger.warn(`Shutting down with ${this.#running.size} running schedules: aborting them`);
    for (const running of this.#running) running.abort(new ShutdownError());
    await this.#waitForHandlers(ABORT_GRACE_MS, () => false);
    // Those that go on all the same are put back too, and what they come to is not stored.
    const timer = setTimeout(() => this.#closed = true, CLOSE_TIMEOUT_MS);
    await Promise.all(
      [...this.#running].map(async (running) => {
        await this.#store(running);
        running.lost = true;
      }),
    );
    clearTimeout(timer);
  }

  async #waitForHandlers(timeoutMs: number, enough: () => boolean): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#running.size > 0 && !enough()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return;
      await this.#settled.wait(leftMs);
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.stack ?? String(error) : String(error);
}
