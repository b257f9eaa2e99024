import type { ClaimedJob } from "../queries/job_row.ts";
import type { QueueStore } from "../queries/queue.ts";
import type { Claim } from "./heartbeat.ts";
import { momentNow } from "./moment.ts";

/** Where the jobs of claims go that nobody waits for. */
export interface BesideParts {
  readonly deliver: (claim: Claim) => Promise<void>;
  /** Once the worker has closed they are put back. */
  readonly queue: Pick<QueueStore, "release">;
  readonly queueManagerId: string;
}

/** Claims that nobody waits for, beside those of the loop. */
export class Beside {
  readonly #parts: BesideParts;
  readonly #underWay = new Set<Promise<unknown>>();
  /** Why one has failed. */
  #failure: unknown;
  #closed = false;

  constructor(parts: BesideParts) {
    this.#parts = parts;
  }

  /** Whether none may begin any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether one has failed that nobody has heard of yet. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Throws, once, what one has failed with: as if it had been the loop's own. */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** Makes a claim and deals with its jobs. Gives how many there were; none, if it failed. */
  make(claim: () => Promise<readonly ClaimedJob[]>): Promise<number> {
    const made = this.#make(claim).finally(() => this.#underWay.delete(made));
    this.#underWay.add(made);
    return made;
  }

  /** Waits for those under way, so that their jobs are known. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** The same, and puts their jobs back. Waits for `timeoutMs` at most. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    await Promise.race([this.settled(), late]);
    clearTimeout(timer);
  }

  async #make(claim: () => Promise<readonly ClaimedJob[]>): Promise<number> {
    const claimedAt = momentNow();
    try {
      const jobs = await claim();
      const { deliver, queue, queueManagerId } = this.#parts;
      if (this.#closed) await queue.release(jobs, queueManagerId);
      else if (jobs.length > 0) await deliver({ jobs, claimedAt });
      return jobs.length;
    } catch (error) {
      this.#failure = error;
      return 0;
    }
  }
}
