import { ANY_AGE_MS, type Gate, type Outlook } from "../queries/queue.ts";
import { Ration } from "./ration.ts";

/** Leases last for seconds, so there is time. */
const PARTS = 100;

/** A claim takes no longer than this, most often: its heartbeat is that much older than its commit. */
const LATE_MS = 250;

/**
 * Remembers how old the oldest heartbeat can be, so that a look for leases that run out begins to read there.
 *
 * Heartbeats only ever become newer. The entries of jobs that have ended stand before those of jobs that run, and while a
 * session holds an old snapshot open, each look would walk over all of them again. The cursor is a hint, as that of claims
 * is: now and then a look reads from the oldest.
 */
export class LeaseCursor {
  readonly #longestMs: number;
  readonly #thorough: boolean;
  readonly #looks = new Ration(PARTS);
  readonly #takeOvers = new Ration(PARTS);
  /** Instants on the monotonic clock. No heartbeat was older than this one, but for a claim that was committed late. */
  #oldestAt = -Infinity;
  /** Of those that were older than this one, all have been dealt with. */
  #dealtAt = -Infinity;

  constructor(gates: readonly Gate[], thorough: boolean) {
    this.#longestMs = Math.max(0, ...gates.map((gate) => gate.leaseMs));
    this.#thorough = thorough;
  }

  /** Looks for the next lease that runs out, among heartbeats of at most an age in milliseconds. */
  async lookAhead(look: (ageMs: number) => Promise<Outlook>): Promise<Outlook> {
    const [sentAt, all] = [performance.now(), this.#thorough || this.#looks.dueMs === 0];
    const outlook =
      await (all ? this.#looks.spend(() => look(ANY_AGE_MS)) : look(ageMs(this.#oldestAt)));
    // The one that runs out next is the oldest, or of a shorter lease and younger than that would be.
    const oldestMs = outlook.staleMs === Infinity ? 0 : this.#longestMs - outlook.staleMs;
    this.#oldestAt = sentAt - oldestMs;
    return outlook;
  }

  /** Takes over leases that have run out, among heartbeats of at most an age in milliseconds. */
  async takeOver<Taken extends { readonly all: boolean }>(
    take: (ageMs: number) => Promise<Taken>,
  ): Promise<Taken> {
    const [sentAt, all] = [performance.now(), this.#thorough || this.#takeOvers.dueMs === 0];
    const taken =
      await (all ? this.#takeOvers.spend(() => take(ANY_AGE_MS)) : take(ageMs(this.#dealtAt)));
    // Those that had run out have new heartbeats now, or none. The others are younger than the longest lease.
    if (taken.all) this.#dealtAt = sentAt - this.#longestMs;
    return taken;
  }
}

function ageMs(at: number): number {
  return Math.min(ANY_AGE_MS, performance.now() - at + LATE_MS);
}
