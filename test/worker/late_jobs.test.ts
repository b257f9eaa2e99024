/** How soon a worker finds jobs with low ids that come late, and what it costs while nothing dead can be removed. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import type { QueueStore } from "../../src/queries/queue.ts";
import { Claimer } from "../../src/worker/claimer.ts";

/** Jobs enqueued in a millisecond, and what a claim takes for each entry that it walks over. */
const JOBS_PER_MS = 0.5;
const ENTRY_MS = 0.006;
/** What every statement takes. */
const STATEMENT_MS = 1;
const MINUTES = 8;

let now = 0;
beforeEach(() => {
  now = 1_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

/** A queue in which an old snapshot keeps the entry of each job that has ever been, as the two statements see it. */
class AgingQueue {
  /** Jobs with an id of long before, by when they are committed. */
  readonly late: { readonly id: number; readonly at: number }[] = [];
  readonly foundAt = new Map<number, number>();
  /** Time that went into dead entries. */
  walkedMs = 0;
  #claimed = 0;

  get newest(): number {
    return Math.floor(now * JOBS_PER_MS);
  }

  dequeue(
    limit: number,
    _names: unknown,
    _manager: unknown,
    ranges: readonly { after: number; lowest: number; highest: number }[],
  ): Promise<ClaimedJob[]> {
    const { after } = ranges.find(({ lowest, highest }) => lowest <= 0 && highest >= 0)!;
    const walkMs = Math.max(0, this.#claimed - after) * ENTRY_MS;
    this.walkedMs += walkMs;
    now += STATEMENT_MS + walkMs;
    const jobs: ClaimedJob[] = [];
    for (const { id, at } of this.late) {
      if (at > now || id <= after || this.foundAt.has(id) || jobs.length === limit) continue;
      this.foundAt.set(id, now);
      jobs.push(job(id));
    }
    const begin = Math.max(after, this.#claimed);
    const count = Math.min(limit - jobs.length, this.newest - begin);
    for (let n = 1; n <= count; n++) jobs.push(job(begin + n));
    this.#claimed = begin + Math.max(0, count);
    return Promise.resolve(jobs);
  }

  lookAhead(): ReturnType<QueueStore["lookAhead"]> {
    now += STATEMENT_MS;
    const none = { dueMs: Infinity, firstDueMs: Infinity, tokenMs: Infinity, staleMs: Infinity };
    return Promise.resolve({ ready: this.newest > this.#claimed, blocked: false, ...none });
  }
}

function job(id: number): ClaimedJob {
  const created = new Date(0);
  return { id, entrypoint: "work", priority: 0, created, executeAfter: created } as ClaimedJob;
}

test(
  "a job is found in half the time that it was late, and the looks for it take a quarter of the worker's time at most",
  async () => {
    const queue = new AgingQueue();
    const worker = new Claimer({
      queueManagerId: randomUUID(),
      queue: queue as unknown as QueueStore,
      logger: silentLogger,
      deliver: () => Promise.resolve(),
      listener: { wake: () => {} },
      attempts: { roomBeside: () => 0, wake: () => {} },
      gates: [{
        entrypoint: "work",
        concurrencyLimit: 0,
        requestsPerSecond: Infinity,
        serializedDispatch: false,
        leaseMs: 0,
        maxTakeOvers: 5,
      }],
    });
    const lateMs = [0.2, 0.9, 3, 15, 60, 250].map((seconds) => seconds * 1_000);
    const end = now + MINUTES * 60_000;
    let nextAt = now + 5 * 60_000;
    while (now < end) {
      // Each half a minute one of each that has been late for so long.
      if (now >= nextAt) {
        nextAt += 30_000;
        for (const ms of lateMs) {
          queue.late.push({ id: Math.floor((now - ms) * JOBS_PER_MS) + 0.5, at: now });
        }
      }
      const { jobs } = await worker.claim({ limit: 500, startable: 100 });
      await worker.settled();
      if (jobs.length === 500) continue;
      const { ready } = await worker.lookAhead(null);
      if (ready) continue;
      // A notification comes with the next jobs.
      now += Math.min(10, worker.sparedMs);
    }

    expect(queue.walkedMs).toBeLessThan(MINUTES * 60_000 / 4);
    const past = queue.late.filter(({ at }) => at < end - 60_000);
    expect(past.length).toBeGreaterThan(lateMs.length * 3);
    past.forEach(({ id, at }, index) => {
      const ms = lateMs[index % lateMs.length]!;
      const foundMs = (queue.foundAt.get(id) ?? Infinity) - at;
      expect(foundMs, `late by ${ms} ms`).toBeLessThan(1_000 + ms / 2);
    });
  },
  60_000,
);
