import { type Ages, ANY_AGE_MS, ANY_AGES } from "../queries/ages.ts";
import type { Gate } from "../queries/gate.ts";
import type { Outlook } from "../queries/queue.ts";
import { Plain, Ration } from "./ration.ts";

/** Leases last for seconds, so there is time. */
const PARTS = 100;

/** A claim takes no longer than this, most often: its heartbeat is that much older than its commit. */
const LATE_MS = 250;

/** Likewise for what a claim must not miss: as long as transactions take on a server in distress. */
const VERY_LATE_MS = 5_000;

/** A worker that never waits for work looks at everything this often, if claims do not: jobs are put back that were due long ago. */
const BUSY_LOOK_MS = 10_000;

/** How to look at everything while the others are dealt with. */
export interface Beside {
  look(): Promise<Outlook>;
  /** Called when a lease has run out, or a job is due. */
  found(): void;
}

/**
 * Remembers how old the oldest heartbeat and the oldest due job can be, so that statements begin to read there.
 *
 * Heartbeats only ever become newer, and new jobs become due in the future. The entries of jobs that have ended stand before
 * those that live, and while a session holds an old snapshot open, each look would walk over all of them again. The cursor is
 * a hint, as that of claims is: now and then a look reads from the oldest. Where that takes long nobody waits for it.
 */
export class AgeCursor {
  readonly #longestMs: number;
  /** Whether every job that has a seat has a lease, so that the oldest heartbeats are those of leases. */
  readonly #allLeased: boolean;
  readonly #thorough: boolean;
  readonly #beside: Beside;
  /** Looks that read from a known age on. */
  readonly #plainLooks = new Plain();
  readonly #looks = new Ration(PARTS, this.#plainLooks);
  readonly #plainTakeOvers = new Plain();
  readonly #takeOvers = new Ration(PARTS, this.#plainTakeOvers);
  /** Instants on the monotonic clock. No heartbeat was older than this one, but for a claim that was committed late. */
  #beatAt = -Infinity;
  /** Of those that were older than this one, all have been dealt with. */
  #dealtAt = -Infinity;
  /** No deferred job was due before this one, but for one that was committed late or put back. */
  #dueAt = -Infinity;
  /** Looks beside that have told. */
  #told = 0;
  /** When everything was looked at, on the monotonic clock. */
  #lookedAt = -Infinity;

  constructor(gates: readonly Gate[], thorough: boolean, beside: Beside) {
    this.#longestMs = Math.max(0, ...gates.map((gate) => gate.leaseMs));
    this.#allLeased = gates.every((gate) => gate.leaseMs > 0 || gate.concurrencyLimit === 0);
    this.#thorough = thorough;
    this.#beside = beside;
  }

  /** Says what a worker without work waits for, of what is not older than can be. */
  async lookAhead(look: (ages: Ages) => Promise<Outlook>): Promise<Outlook> {
    const [sentAt, all] = [performance.now(), this.#mayWaitFor(this.#looks)];
    const told = this.#told;
    const outlook =
      await (all
        ? this.#lookAtAll(() => look(ANY_AGES))
        : this.#plainLooks.time(() => look(this.#ages)));
    // Unless older ones have been found meanwhile.
    if (this.#told === told) this.#note(outlook, sentAt);
    return outlook;
  }

  /** Takes over leases that have run out, among heartbeats of at most an age in milliseconds. */
  async takeOver<Taken extends { readonly all: boolean }>(
    take: (ageMs: number) => Promise<Taken>,
  ): Promise<Taken> {
    const [sentAt, all] = [performance.now(), this.#mayWaitFor(this.#takeOvers)];
    if (!this.#seesAll && sentAt - this.#lookedAt > BUSY_LOOK_MS) this.#lookBeside();
    const from = this.#dealtAt;
    const taken =
      await (all
        ? this.#takeOvers.spend(() => take(ANY_AGE_MS))
        : this.#plainTakeOvers.time(() => take(ageMs(from))));
    // Those that had run out have new heartbeats now, or none. The others are younger than the longest lease.
    if (taken.all && this.#dealtAt === from) this.#dealtAt = sentAt - this.#longestMs;
    return taken;
  }

  /**
   * How far back claims have to look. Whoever overlooks a seat all the same, as its job was committed very late, is refused it:
   * see {@linkcode AgeCursor.forget}.
   */
  get claimAges(): Ages {
    return this.#seesAll ? ANY_AGES : this.#ages;
  }

  /** Has the next look and the next take-over read from the oldest: there may be an older one than is known. */
  forget(): void {
    this.#beatAt = -Infinity;
    this.#dealtAt = -Infinity;
  }

  get #seesAll(): boolean {
    return this.#thorough || this.#looks.cheap && this.#takeOvers.cheap;
  }

  get #ages(): Ages {
    const seatsAt = Math.max(this.#beatAt, this.#dealtAt);
    return {
      leaseMs: ageMs(this.#beatAt),
      seatMs: this.#allLeased ? ageMs(seatsAt, VERY_LATE_MS) : ANY_AGE_MS,
      dueMs: ageMs(this.#dueAt, VERY_LATE_MS),
    };
  }

  /** Whether to read from the oldest now. */
  #mayWaitFor(ration: Ration): boolean {
    if (this.#thorough) return true;
    if (!this.#looks.slow && !this.#takeOvers.slow) return ration.dueMs === 0;
    this.#lookBeside();
    return false;
  }

  async #lookAtAll(look: () => Promise<Outlook>): Promise<Outlook> {
    this.#lookedAt = performance.now();
    return await this.#looks.spend(look);
  }

  /** Begins a look at everything, if one may be made. */
  #lookBeside(): void {
    if (this.#looks.dueMs === 0) void this.#lookAndTell();
  }

  async #lookAndTell(): Promise<void> {
    const sentAt = performance.now();
    try {
      const outlook = await this.#lookAtAll(() => this.#beside.look());
      this.#told++;
      this.#note(outlook, sentAt);
      if (!this.#looks.slow) this.#takeOvers.forget();
      if (outlook.staleMs <= 0) this.#dealtAt = Math.min(this.#dealtAt, this.#beatAt);
      if (outlook.staleMs <= 0 || outlook.firstDueMs <= 0) this.#beside.found();
    } catch {
      // The next one will tell. Whether the server answers, the statements that are waited for say.
    }
  }

  #note({ staleMs, firstDueMs }: Outlook, sentAt: number): void {
    // The one that runs out next is the oldest, or of a shorter lease and younger than that would be.
    this.#beatAt = sentAt - (staleMs === Infinity ? 0 : this.#longestMs - staleMs);
    this.#dueAt = sentAt + Math.min(0, firstDueMs);
  }
}

function ageMs(at: number, lateMs: number = LATE_MS): number {
  return Math.min(ANY_AGE_MS, performance.now() - at + lateMs);
}
