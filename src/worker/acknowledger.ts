import type { Executor } from "../driver.ts";
import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { ClaimedJob } from "../queries/job_row.ts";
import type { Claimed, Failure, Retry } from "../queries/outcomes.ts";
import type { QueueStore } from "../queries/queue.ts";
import { afterFailure, type FailurePolicy } from "../retry.ts";
import { retryTracebackOf, tracebackOf } from "../traceback.ts";
import { FlushBuffer } from "./flush_buffer.ts";
import type { Outcome } from "./run_job.ts";

/** Stores outcomes: the one place where an outcome becomes SQL. Every statement is fenced by the queue manager's id and the lease. */
export class Acknowledger {
  readonly #queue: QueueStore;
  readonly #queueManagerId: string;
  readonly #logger: Logger;
  readonly #successes: FlushBuffer<Claimed>;
  readonly #cancels: FlushBuffer<Claimed>;
  readonly #failures: FlushBuffer<Failure>;
  readonly #holdings: FlushBuffer<Failure>;
  readonly #retries: FlushBuffer<Retry>;
  readonly #releases: FlushBuffer<Claimed>;

  constructor(queue: QueueStore, queueManagerId: string, logger: Logger) {
    this.#queue = queue;
    this.#queueManagerId = queueManagerId;
    this.#logger = logger;
    const buffer = <Item>(
      store: (items: readonly Item[], queueManagerId: string) => Promise<JobId[]>,
      idOf: (item: Item) => JobId,
    ): FlushBuffer<Item> =>
      new FlushBuffer(async (items: readonly Item[]) => {
        this.#report(items.map(idOf), await store(items, this.#queueManagerId));
      }, logger);
    const itself = (job: Claimed): JobId => job.id;
    const idOf = (item: { readonly job: Claimed }): JobId => item.job.id;
    this.#successes = buffer((jobs, id) => queue.acknowledge(jobs, "successful", id), itself);
    this.#cancels = buffer((jobs, id) => queue.acknowledge(jobs, "canceled", id), itself);
    this.#failures = buffer<Failure>((items, id) => queue.acknowledgeFailure(items, id), idOf);
    this.#holdings = buffer<Failure>((items, id) => queue.hold(items, id), idOf);
    this.#retries = buffer<Retry>((items, id) => queue.retry(items, id), idOf);
    this.#releases = buffer((jobs, id) => queue.release(jobs, id), itself);
  }

  /** Stores how an attempt ended. Resolves when it is stored. */
  store(job: ClaimedJob, outcome: Outcome, policy: FailurePolicy): Promise<void> {
    switch (outcome.status) {
      case "successful":
        return this.#successes.add(job);
      case "committed":
        return Promise.resolve();
      case "canceled":
        return this.#cancels.add(job);
      case "released":
        return this.#releases.add(job);
      case "exception":
        return this.#storeFailure(job, outcome.error, policy);
    }
  }

  /** Ends a job in the transaction of its handler. Says whether its lease was still held: if not, that must not commit. */
  async storeIn(transaction: Executor, job: Claimed): Promise<boolean> {
    const queue = this.#queue.within(transaction);
    const ended = await queue.acknowledge([job], "successful", this.#queueManagerId);
    return ended.length === 1;
  }

  #storeFailure(job: ClaimedJob, error: unknown, policy: FailurePolicy): Promise<void> {
    const { delayMs, reason, thrown, held } = afterFailure(error, job.attempts, policy);
    if (delayMs !== null) {
      const traceback = retryTracebackOf(error, job, delayMs, reason);
      return this.#retries.add({ job, delayMs, traceback });
    }
    const buffer = held ? this.#holdings : this.#failures;
    return buffer.add({ job, traceback: tracebackOf(thrown, job) });
  }

  /** Waits until everything is stored, at most `timeoutMs`; then gives the rest up. Its leases run out by themselves. */
  async close(timeoutMs: number): Promise<void> {
    const buffers = [
      this.#successes,
      this.#cancels,
      this.#failures,
      this.#holdings,
      this.#retries,
      this.#releases,
    ];
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
