import type { Gate } from "../queries/gate.ts";
import { ANY_AGE_MS, type Outlook } from "../queries/queue.ts";
import { Ration } from "./ration.ts";

/** Leases last for seconds, so there is time. */
const PARTS = 100;

/** A claim takes no longer than this, most often: its heartbeat is that much older than its commit. */
const LATE_MS = 250;

/** Likewise for the count of seats, where a miss costs more than time: as long as a statement takes on a server in distress. */
const LATE_SEAT_MS = 5_000;

/** How to look at all leases while the others are dealt with. */
export interface Beside {
  look(): Promise<Outlook>;
  /** Called when one has run out. */
  found(): void;
}

/**
 * Remembers how old the oldest heartbeat can be, so that a look for leases that run out begins to read there.
 *
 * Heartbeats only ever become newer. The entries of jobs that have ended stand before those of jobs that run, and while a
 * session holds an old snapshot open, each look would walk over all of them again. The cursor is a hint, as that of claims
 * is: now and then a look reads from the oldest. Where
 * that takes long nobody waits for it.
 */
export class LeaseCursor {
  readonly #longestMs: number;
  /** Whether every job that counts has a lease, so that the oldest heartbeats are those of leases. */
  readonly #allLeased: boolean;
  readonly #thorough: boolean;
  readonly #beside: Beside;
  readonly #looks = new Ration(PARTS);
  readonly #takeOvers = new Ration(PARTS);
  /** Instants on the monotonic clock. No heartbeat was older than this one, but for a claim that was committed late. */
  #oldestAt = -Infinity;
  /** Of those that were older than this one, all have been dealt with. */
  #dealtAt = -Infinity;

  constructor(gates: readonly Gate[], thorough: boolean, beside: Beside) {
    this.#longestMs = Math.max(0, ...gates.map((gate) => gate.leaseMs));
    this.#allLeased = gates.every((gate) => gate.leaseMs > 0 || gate.concurrencyLimit === 0);
    this.#thorough = thorough;
    this.#beside = beside;
  }

  /** Looks for the next lease that runs out, among heartbeats of at most an age in milliseconds. */
  async lookAhead(look: (ageMs: number) => Promise<Outlook>): Promise<Outlook> {
    const [sentAt, all] = [performance.now(), this.#mayWaitFor(this.#looks)];
    const from = this.#oldestAt;
    const outlook = await (all ? this.#looks.spend(() => look(ANY_AGE_MS)) : look(ageMs(from)));
    // Unless an older one has been found meanwhile.
    if (this.#oldestAt === from) this.#oldestAt = this.#oldestOf(outlook, sentAt);
    return outlook;
  }

  /** Takes over leases that have run out, among heartbeats of at most an age in milliseconds. */
  async takeOver<Taken extends { readonly all: boolean }>(
    take: (ageMs: number) => Promise<Taken>,
  ): Promise<Taken> {
    const [sentAt, all] = [performance.now(), this.#mayWaitFor(this.#takeOvers)];
    const from = this.#dealtAt;
    const taken = await (all ? this.#takeOvers.spend(() => take(ANY_AGE_MS)) : take(ageMs(from)));
    // Those that had run out have new heartbeats now, or none. The others are younger than the longest lease.
    if (taken.all && this.#dealtAt === from) this.#dealtAt = sentAt - this.#longestMs;
    return taken;
  }

  /**
   * Age in milliseconds up to which to look for picked jobs that have a seat. Whoever overlooks one all the same, as it was
   * committed very late, is refused its seat: see {@linkcode LeaseCursor.forget}.
   */
  get countedMs(): number {
    if (this.#thorough || !this.#allLeased) return ANY_AGE_MS;
    return ageMs(Math.max(this.#oldestAt, this.#dealtAt), LATE_SEAT_MS);
  }

  /** Has the next look and the next take-over read from the oldest: there may be an older one than is known. */
  forget(): void {
    this.#oldestAt = -Infinity;
    this.#dealtAt = -Infinity;
  }

  /** Whether to read from the oldest now. */
  #mayWaitFor(ration: Ration): boolean {
    if (this.#thorough) return true;
    if (!this.#looks.slow && !this.#takeOvers.slow) return ration.dueMs === 0;
    if (this.#looks.dueMs === 0) void this.#lookBeside();
    return false;
  }

  /** Finds out where to read from. */
  async #lookBeside(): Promise<void> {
    const sentAt = performance.now();
    try {
      const outlook = await this.#looks.spend(() => this.#beside.look());
      const oldestAt = this.#oldestOf(outlook, sentAt);
      this.#oldestAt = Math.min(this.#oldestAt, oldestAt);
      if (!this.#looks.slow) this.#takeOvers.forget();
      if (outlook.staleMs > 0) return;
      this.#dealtAt = Math.min(this.#dealtAt, oldestAt);
      this.#beside.found();
    } catch {
      // The next one will tell. Whether the server answers, the statements that are waited for say.
    }
  }

  /** The one that runs out next is the oldest, or of a shorter lease and younger than that would be. */
  #oldestOf({ staleMs }: Outlook, sentAt: number): number {
    return sentAt - (staleMs === Infinity ? 0 : this.#longestMs - staleMs);
  }
}

function ageMs(at: number, lateMs: number = LATE_MS): number {
  return Math.min(ANY_AGE_MS, performance.now() - at + lateMs);
}
