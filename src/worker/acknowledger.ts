import type { Job, JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { Ending, Holding, QueueStore } from "../queries/queue.ts";
import { tracebackOf } from "../traceback.ts";
import { FlushBuffer } from "./flush_buffer.ts";
import type { Outcome } from "./run_job.ts";

/** What becomes of a job whose attempt threw. */
export type OnFailure = "delete" | "hold";

/** Stores outcomes: the one place where an outcome becomes SQL. Every statement is fenced by the queue manager's id. */
export class Acknowledger {
  readonly #queueManagerId: string;
  readonly #logger: Logger;
  readonly #endings: FlushBuffer<Ending>;
  readonly #holdings: FlushBuffer<Holding>;
  readonly #releases: FlushBuffer<JobId>;

  constructor(queue: QueueStore, queueManagerId: string, logger: Logger) {
    this.#queueManagerId = queueManagerId;
    this.#logger = logger;
    const buffer = <Item>(
      store: (items: readonly Item[], queueManagerId: string) => Promise<JobId[]>,
      idOf: (item: Item) => JobId,
    ): FlushBuffer<Item> =>
      new FlushBuffer(async (items: readonly Item[]) => {
        this.#report(items.map(idOf), await store(items, this.#queueManagerId));
      }, logger);
    this.#endings = buffer((items, id) => queue.acknowledge(items, id), (ending) => ending.jobId);
    this.#holdings = buffer((items, id) => queue.hold(items, id), (holding) => holding.jobId);
    this.#releases = buffer((items, id) => queue.release(items, id), (jobId) => jobId);
  }

  /** Stores how an attempt ended. Resolves when it is stored. */
  store(job: Job, outcome: Outcome, onFailure: OnFailure): Promise<void> {
    switch (outcome.status) {
      case "successful":
        return this.#endings.add({ jobId: job.id, status: "successful", traceback: null });
      case "released":
        return this.#releases.add(job.id);
      case "exception": {
        const traceback = tracebackOf(outcome.error, job);
        return onFailure === "hold"
          ? this.#holdings.add({ jobId: job.id, traceback })
          : this.#endings.add({ jobId: job.id, status: "exception", traceback });
      }
    }
  }

  /** Waits until everything is stored, at most `timeoutMs`; then gives the rest up. Its leases run out by themselves. */
  async close(timeoutMs: number): Promise<void> {
    const buffers = [this.#endings, this.#holdings, this.#releases];
    const timer = setTimeout(() => {
      for (const buffer of buffers) buffer.abandon();
    }, timeoutMs);
    await Promise.all(buffers.map((buffer) => buffer.flushed()));
    clearTimeout(timer);
  }

  /** A row that the statement passed over belongs to another worker, or is gone: its outcome is that worker's to store. */
  #report(sent: readonly JobId[], stored: readonly JobId[]): void {
    if (stored.length === sent.length) return;
    const kept = new Set(stored);
    const lost = sent.filter((id) => !kept.has(id));
    this.#logger.warn(`Dropped the outcome of jobs whose lease was lost: ${lost.join(", ")}`);
  }
}
