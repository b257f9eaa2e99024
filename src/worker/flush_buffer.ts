import { reconnectDelayMs } from "../backoff.ts";
import type { Logger } from "../logger.ts";

/** More in one statement brings nothing and makes a retry costly. */
const MAX_BATCH = 1_000;

/** So many that wait for a batch on its way are sent beside it: the server works on two at a time, or is far away. */
const SECOND_BATCH = 500;

/**
 * Gathers items and stores them in batches, one batch at a time: what comes while a batch is on its way goes with the
 * next. So a single item is stored at once, and many are stored together without a delay to choose. Where very many come, two
 * batches are on their way at a time.
 *
 * A batch that fails is sent again until it succeeds or the buffer is abandoned. `store` must therefore be safe to
 * repeat: the first answer may have been lost after the first success.
 */
export class FlushBuffer<Item> {
  readonly #store: (items: readonly Item[]) => Promise<void>;
  readonly #logger: Logger;
  #waiting: { readonly item: Item; readonly done: () => void }[] = [];
  /** The loops that store, while there is anything to store. The second is for what is too much for the first. */
  readonly #flushing = new Set<Promise<void>>();
  #abandoned = false;

  constructor(store: (items: readonly Item[]) => Promise<void>, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Adds an item. Resolves when it is stored, or when the buffer is abandoned. */
  add(item: Item): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ item, done });
      const loops = this.#flushing.size;
      if (loops === 0 || loops === 1 && this.#waiting.length >= SECOND_BATCH) this.#begin();
    });
  }

  /** Resolves when all that was added is stored, or when the buffer is abandoned. */
  async flushed(): Promise<void> {
    while (this.#flushing.size > 0) await Promise.all(this.#flushing);
  }

  /** Gives up what is not stored yet: no further attempt is made. */
  abandon(): void {
    this.#abandoned = true;
  }

  #begin(): void {
    // At once when nothing waits any more: what is added in that moment needs a loop of its own.
    const loop = this.#flush(() => this.#flushing.delete(loop));
    this.#flushing.add(loop);
  }

  async #flush(end: () => void): Promise<void> {
    // Let the other attempts of this turn end first: they go into the same batch.
    await new Promise((resolve) => setTimeout(resolve, 0));
    let failures = 0;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      try {
        if (!this.#abandoned) await this.#store(batch.map(({ item }) => item));
        failures = 0;
        for (const { done } of batch) done();
      } catch (error) {
        this.#waiting.unshift(...batch);
        failures++;
        this.#logger.warn(`Cannot store ${batch.length} outcomes, trying again: ${error}`);
        await new Promise((resolve) => setTimeout(resolve, reconnectDelayMs(failures)));
      }
    }
    end();
  }
}
