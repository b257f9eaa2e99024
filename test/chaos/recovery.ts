/** When each worker was disturbed, and how soon it worked again. */
import { HEARTBEAT_TIMEOUT_MS } from "./kinds.ts";
import type { Kind } from "./plan.ts";

/**
 * How long an undisturbed worker may leave a job alone that it could take: the lease of a worker that went silent in the
 * meantime, an answer that never comes, and a reconnect with its pauses.
 */
export const RECOVERY_MS: number = HEARTBEAT_TIMEOUT_MS + 6_000;

/** A time in which something was done to workers. Milliseconds since 1970. */
export interface Disturbance {
  readonly kind: Kind;
  readonly workers: readonly number[];
  readonly from: number;
  to: number;
}

/** A time in which the machine had no time for anybody. Milliseconds since 1970. */
export interface Standstill {
  readonly from: number;
  readonly to: number;
}

/** The disturbances of a run. */
export class Disturbances {
  readonly all: Disturbance[] = [];
  /** What nobody did on purpose. No worker is blamed for what it did not do meanwhile. */
  readonly standstills: Standstill[] = [];

  /** Notes that a disturbance begins. The caller sets its end. */
  begin(kind: Kind, workers: readonly number[]): Disturbance {
    const disturbance = { kind, workers, from: Date.now(), to: Infinity };
    this.all.push(disturbance);
    return disturbance;
  }

  /** The longest time between two instants in which a worker was left alone. */
  longestCalm(worker: number, from: number, to: number): number {
    let calmSince = from;
    let longest = 0;
    const own = this.#of(worker).sort((a, b) => a.from - b.from);
    for (const disturbance of own) {
      longest = Math.max(longest, Math.min(disturbance.from, to) - calmSince);
      calmSince = Math.max(calmSince, disturbance.to);
    }
    return Math.max(longest, to - calmSince, 0);
  }

  /** How long before an instant nothing was done to a worker; `0` if something is. */
  calmBefore(worker: number, instant: number): number {
    return Math.max(0, instant - this.lastEnd(worker, instant));
  }

  /** When the last disturbance of a worker ended that had begun by then. */
  lastEnd(worker: number, by: number): number {
    return Math.max(
      0,
      ...this.#of(worker).filter(({ from }) => from <= by).map(({ to }) => to),
    );
  }

  #of(worker: number): Standstill[] {
    return [...this.all.filter(({ workers }) => workers.includes(worker)), ...this.standstills];
  }
}

/** A job that only one worker could take, enqueued after something was done to it. */
export interface Ping {
  readonly worker: number;
  readonly jobId: number;
  /** What it is to recover from; `null` where nothing was done. */
  readonly after: Kind | null;
  readonly sentAt: number;
}
