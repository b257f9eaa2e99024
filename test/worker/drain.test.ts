/** When a drain may end. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Driver, openWorkerDriver, PgQueuer } from "../../mod.ts";
import { deferred, openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue.close());

test("a drain does not end on a look that was taken before a job was put back", async () => {
  const [fail, stored] = [deferred(), deferred()];
  let looked = false;
  const driver = await openWorkerDriver(queue.dsn);
  const held: Driver = {
    listen: (channel, listener) => driver.listen(channel, listener),
    script: (text) => driver.script(text),
    close: () => driver.close(),
    async query<Row>(text: string, parameters: readonly (string | number | null)[]) {
      const rows = await driver.query<Row>(text, parameters);
      // After the worker has got the answer.
      if (text.includes("fn_pgqueuer_retry")) setTimeout(() => stored.resolve());
      if (rows.length === 1 && "blocked" in (rows[0] as object) && !looked) {
        looked = true;
        // Its answer is under way while the handler fails and its job is put back.
        fail.resolve();
        await stored.promise;
      }
      return rows;
    },
  };
  const pgq = new PgQueuer(held, queue.names);
  const attempts: number[] = [];
  pgq.entrypoint("work", { retry: { maxAttempts: 2, initialDelay: 0 } }, async (job) => {
    attempts.push(job.attempts);
    if (job.attempts > 0) return;
    await fail.promise;
    throw new Error("again");
  });
  await queue.queries.enqueue("work", null);

  await pgq.run({ mode: "drain" });

  expect(attempts).toEqual([0, 1]);
});
