import { LeaseLostError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { ScheduleStore } from "../queries/schedules.ts";
import type { RunningFire } from "./running_fire.ts";
import { Wake } from "./wake.ts";

/** Age at which the Python project takes a fire over, whatever its options say. */
export const PYTHON_TIMEOUT_MS = 30_000;

/** Three, so that a lease survives a heartbeat that is late or lost. */
const BEATS_PER_TIMEOUT = 3;

/** What the leases need of their surroundings. */
export interface FireLeasesParts {
  /** Age at which other workers of ours take a fire over. */
  readonly timeoutMs: number;
  /** What this process runs now. */
  readonly running: ReadonlySet<RunningFire>;
  readonly store: ScheduleStore;
  readonly logger: Logger;
}

/** Renews the leases of running fires and tells the handlers of those that are lost. Sends nothing while none runs. */
export class FireLeases {
  readonly #parts: FireLeasesParts;
  readonly #wake = new Wake();
  readonly #loop: Promise<void>;
  #closed = false;

  constructor(parts: FireLeasesParts) {
    this.#parts = parts;
    this.#loop = this.#beatUntilClosed();
  }

  /** Says that the first fire has started. */
  begin(): void {
    this.#wake.set();
  }

  /** Stops renewing, after the heartbeat under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.set();
    await this.#loop;
  }

  async #beatUntilClosed(): Promise<void> {
    const { running, timeoutMs } = this.#parts;
    const intervalMs = Math.min(timeoutMs, PYTHON_TIMEOUT_MS) / BEATS_PER_TIMEOUT;
    while (!this.#closed) {
      const woken = await this.#wake.wait(running.size === 0 ? Infinity : intervalMs);
      if (!woken && !this.#closed) await this.#renew();
    }
  }

  async #renew(): Promise<void> {
    const { running, store, timeoutMs, logger } = this.#parts;
    const leased = [...running].filter(({ token, lost }) => token !== null && !lost);
    if (leased.length === 0) return;
    const sentAt = performance.now();
    try {
      const ids = leased.map(({ id }) => id);
      const taken = new Set(await store.heartbeat(ids, leased.map(({ token }) => token!)));
      for (const fire of leased) {
        fire.renewedAt = sentAt;
        // One that has ended meanwhile is not lost.
        if (!taken.has(fire.id) || fire.ended) continue;
        fire.lost = true;
        fire.abort(new LeaseLostError(`${fire}`, "another worker has taken it over"));
      }
    } catch (error) {
      logger.warn(`Cannot renew the leases of ${leased.length} schedules, trying again: ${error}`);
      for (const fire of leased) {
        if (sentAt - fire.renewedAt < timeoutMs || fire.context.signal.aborted) continue;
        fire.abort(new LeaseLostError(`${fire}`, "it could not be renewed in time"));
      }
    }
  }
}
