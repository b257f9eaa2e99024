import type { FleetMark } from "../event.ts";
import type { Gate } from "../queries/gate.ts";

/** The longest spread of a wake-up: of more workers, or slower ones, several look at once. */
const MAX_SPREAD_MS = 500;

/** How long a worker is thought to take from a wake-up until the others hear that it took the job, before one has said. */
const FIRST_GUESS_MS = 2;

/** What a fleet needs to know of its worker. */
export interface FleetParts {
  readonly queueManagerId: string;
  readonly gates: readonly Gate[];
  /** How long a worker that is not heard of counts. */
  readonly ttlMs: number;
}

/**
 * The other workers that claim the same jobs, as far as they are heard of, and whose turn it is to look.
 *
 * A notification wakes all of them. So that not all claim at once, each waits a little, the idle ones first and in random
 * order: as long for each worker there is as one lately took to claim and say so. Who got the last job says what comes next, and the others need not look.
 */
export class Fleet {
  readonly mark: FleetMark;
  readonly #ttlMs: number;
  /** When each was last heard of, on the monotonic clock. */
  readonly #heardAt = new Map<string, number>();
  #tookMs = FIRST_GUESS_MS;
  /** When this worker sent the claim of which it has told and not yet heard, on the monotonic clock. */
  #claimedAt: number | undefined;

  private constructor(mark: FleetMark, ttlMs: number) {
    this.mark = mark;
    this.#ttlMs = ttlMs;
  }

  /** Makes a fleet of one. */
  static async of({ queueManagerId, gates, ttlMs }: FleetParts): Promise<Fleet> {
    // Only workers that look for the same jobs can spare each other a look.
    const text = JSON.stringify(
      [...gates].sort((one, other) => one.entrypoint < other.entrypoint ? -1 : 1),
    );
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const group = Array.from(
      new Uint8Array(digest).slice(0, 8),
      (byte) => byte.toString(16).padStart(2, "0"),
    ).join("");
    return new Fleet({ worker: queueManagerId, group }, ttlMs);
  }

  /** Takes note of a worker. Says whether it is another one that looks for the same jobs. */
  hear(mark: FleetMark): boolean {
    if (mark.group !== this.mark.group) return false;
    if (mark.worker === this.mark.worker) {
      if (this.#claimedAt !== undefined) this.took(performance.now() - this.#claimedAt);
      this.#claimedAt = undefined;
      return false;
    }
    this.#heardAt.set(mark.worker, performance.now());
    return true;
  }

  /** How long a worker takes, from its claim until the others have heard what it says. */
  get tookMs(): number {
    return this.#tookMs;
  }

  /** Takes note of how long one took. */
  took(ms: number): void {
    this.#tookMs = (this.#tookMs + ms) / 2;
  }

  /** This worker says what comes next, after a claim at `claimedAt`. It hears that itself as the others do. */
  tell(claimedAt: number): void {
    this.#claimedAt = claimedAt;
  }

  /** How many workers there are, this one included. */
  size(): number {
    const before = performance.now() - this.#ttlMs;
    for (const [worker, heardAt] of this.#heardAt) {
      if (heardAt < before) this.#heardAt.delete(worker);
    }
    return this.#heardAt.size + 1;
  }

  /**
   * How long to wait for others after a wake-up.
   *
   * @param load How busy this worker is, from 0 to 1: idle ones come first.
   */
  turnMs(load: number, random: number = Math.random()): number {
    const size = this.size();
    if (size === 1) return 0;
    const spreadMs = Math.min(size * this.#tookMs, MAX_SPREAD_MS);
    return load === 0 ? random * spreadMs : spreadMs * (1 + load * random);
  }
}
