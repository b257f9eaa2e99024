/** Places in the shared memory. */
const RENEWALS = 0;
const HELD = 1;
const KEPT_AT = 2;
const PLACES = 3;

/**
 * What the main thread and the keeper of its leases tell each other while neither waits for the other: memory that both
 * see, also while the main thread is blocked.
 */
export class LifeSigns {
  /** The memory, to be sent to the other thread. */
  readonly shared: SharedArrayBuffer;
  readonly #cells: BigInt64Array;

  /** @param shared What the other thread has sent; without it new memory is made. */
  constructor(
    shared: SharedArrayBuffer = new SharedArrayBuffer(PLACES * BigInt64Array.BYTES_PER_ELEMENT),
  ) {
    this.shared = shared;
    this.#cells = new BigInt64Array(shared);
  }

  /** Main thread: the leases are good at this moment. */
  renewed(): void {
    Atomics.add(this.#cells, RENEWALS, 1n);
  }

  /** Grows whenever the main thread has renewed its leases. A count, since threads do not share a monotonic clock. */
  get renewals(): bigint {
    return Atomics.load(this.#cells, RENEWALS);
  }

  /** Main thread: whether it holds leases. */
  set held(held: boolean) {
    Atomics.store(this.#cells, HELD, held ? 1n : 0n);
  }

  get held(): boolean {
    return Atomics.load(this.#cells, HELD) === 1n;
  }

  /** Keeper: when it last renewed the leases, in milliseconds of `Date.now()`; `0`: never. */
  set keptAt(wallMs: number) {
    Atomics.store(this.#cells, KEPT_AT, BigInt(wallMs));
  }

  get keptAt(): number {
    return Number(Atomics.load(this.#cells, KEPT_AT));
  }
}
