import { LeaseLostError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { fireLeaseParameters, type ScheduleStore } from "../queries/schedules.ts";
import type { KeptLeases } from "./lease_keeper.ts";
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
  /** Gives leases that last so long into the care of a thread, for when this one is blocked. */
  readonly keepLeases: (leaseMs: number) => KeptLeases;
  readonly logger: Logger;
}

/** Renews the leases of running fires and tells the handlers of those that are lost. Sends nothing while none runs. */
export class FireLeases {
  readonly #parts: FireLeasesParts;
  readonly #leaseMs: number;
  readonly #kept: KeptLeases;
  readonly #wake = new Wake();
  readonly #loop: Promise<void>;
  #closed = false;

  constructor(parts: FireLeasesParts) {
    this.#parts = parts;
    this.#leaseMs = Math.min(parts.timeoutMs, PYTHON_TIMEOUT_MS);
    this.#kept = parts.keepLeases(this.#leaseMs);
    this.#loop = this.#beatUntilClosed();
  }

  /** Says that a fire is about to start. */
  begin(): void {
    this.#keep();
    if (this.#parts.running.size === 1) this.#wake.set();
  }

  /** Says that a fire has ended. */
  end(): void {
    this.#keep();
  }

  /** Stops renewing, after the heartbeat under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.set();
    await this.#loop;
    this.#kept.rest();
  }

  async #beatUntilClosed(): Promise<void> {
    const { running } = this.#parts;
    const intervalMs = this.#leaseMs / BEATS_PER_TIMEOUT;
    while (!this.#closed) {
      const woken = await this.#wake.wait(running.size === 0 ? Infinity : intervalMs);
      if (!woken && !this.#closed) await this.#renew();
    }
  }

  /** Fires that hold a lease. */
  #leased(): RunningFire[] {
    return [...this.#parts.running].filter(({ token, lost }) => token !== null && !lost);
  }

  #keep(): void {
    const leased = this.#leased();
    if (leased.length === 0) this.#kept.rest();
    else this.#kept.hold(fireLeaseParameters(idsOf(leased), tokensOf(leased)));
  }

  async #renew(): Promise<void> {
    const { store, timeoutMs, logger } = this.#parts;
    const leased = this.#leased();
    if (leased.length === 0) return;
    const sentAt = performance.now();
    try {
      const taken = new Set(await store.heartbeat(idsOf(leased), tokensOf(leased)));
      this.#kept.renewed();
      for (const fire of leased) {
        fire.renewedAt = sentAt;
        // One that has ended meanwhile is not lost.
        if (!taken.has(fire.id) || fire.ended) continue;
        fire.lost = true;
        fire.abort(new LeaseLostError(`${fire}`, "another worker has taken it over"));
      }
    } catch (error) {
      logger.warn(`Cannot renew the leases of ${leased.length} schedules, trying again: ${error}`);
      if (Date.now() - this.#kept.keptAt < timeoutMs) return;
      for (const fire of leased) {
        if (sentAt - fire.renewedAt < timeoutMs || fire.context.signal.aborted) continue;
        fire.abort(new LeaseLostError(`${fire}`, "it could not be renewed in time"));
      }
    }
  }
}

function idsOf(fires: readonly RunningFire[]): number[] {
  return fires.map(({ id }) => id);
}

function tokensOf(fires: readonly RunningFire[]): string[] {
  return fires.map(({ token }) => token!);
}
