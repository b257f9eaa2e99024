/** G5: in any window of W seconds at most `requestsPerSecond × W + burst` jobs start, fleet-wide. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

let queue: TestQueue;
const workers: WorkerProcess[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.sql`create table ${queue.sql(queue.names.schema)}.runs (job_id bigint, pid int)`;
});
beforeEach(() => queue.clear());
afterAll(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await queue.close();
});

/** The most that any window of starts holds beyond what the rate allows for its length. */
function worstExcess(startsMs: readonly number[], perSecond: number): number {
  // jobs(i..j) - rate × (t_j - t_i): the highest over all pairs is found with the lowest value so far.
  let worst = -Infinity;
  let lowest = Infinity;
  startsMs.forEach((at, index) => {
    lowest = Math.min(lowest, index - perSecond * at / 1_000);
    worst = Math.max(worst, index + 1 - perSecond * at / 1_000 - lowest);
  });
  return worst;
}

test(
  "four worker processes never start more than the rate and its burst, in any window",
  async () => {
    const perSecond = 1_000;
    const jobs = 10_000;
    for (let batch = 0; batch < jobs / 1_000; batch++) {
      await queue.queries.enqueue("rated", Array(1_000).fill(null));
    }
    for (let n = 0; n < 4; n++) {
      workers.push(
        await startWorkerProcess(queue, { requestsPerSecond: perSecond }),
      );
    }

    await until("all are done", async () => (await queue.rows()).length === 0, 120_000);
    for (const worker of workers) worker.kill("SIGKILL");

    const rows = await queue.sql`
    select extract(epoch from created) * 1000 as at from ${queue.sql(queue.logTable)}
    where status = 'picked' order by created`;
    const starts = rows.map((row) => Number(row["at"]));
    // What a slow machine cannot start goes back, and is claimed, and counts, again.
    const queued = (await queue.log()).filter((row) => row.status === "queued");
    expect(new Set(queued.map((row) => row.job_id)).size).toBe(jobs);
    expect(starts).toHaveLength(queued.length);
    // A hundredth of a job for the rounding of the arithmetic.
    expect(worstExcess(starts, perSecond)).toBeLessThanOrEqual(perSecond + 0.01);
    // And the rate is used: no more than twice the time that it asks for.
    expect(starts.at(-1)! - starts[0]!).toBeLessThan(2 * (jobs - perSecond) / perSecond * 1_000);
  },
  150_000,
);

test("a rate below one a second starts one job each so many seconds", async () => {
  const pgq = await queue.worker();
  pgq.entrypoint("slow", { requestsPerSecond: 2 / 3 }, () => {});
  await queue.queries.enqueue("slow", [null, null, null]);

  await pgq.run({ mode: "drain", dequeueTimeout: { minutes: 10 } });

  const starts = (await queue.log()).filter((row) => row.status === "picked").map((row) =>
    +row.created
  );
  expect(starts).toHaveLength(3);
  expect(starts[1]! - starts[0]!).toBeGreaterThanOrEqual(1_499);
  expect(starts[2]! - starts[1]!).toBeGreaterThanOrEqual(1_499);
});

test("an entrypoint without tokens does not slow another", async () => {
  const pgq = await queue.worker();
  let free = 0;
  pgq.entrypoint("slower", { requestsPerSecond: 0.01 }, () => {});
  pgq.entrypoint("free", () => void free++);
  await queue.queries.enqueue("slower", Array(5).fill(null), { priority: 9 });
  await queue.queries.enqueue("free", Array(500).fill(null));

  const run = pgq.run();
  await until("the free ones have run", () => free === 500);
  await pgq.stop();
  await run;

  expect((await queue.rows()).length).toBe(4);
});
