/** Which rows a job leaves in the log under log: "terminal". */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { fromPostgresJs, Queries, resolveSettings, RetryRequested } from "../../mod.ts";
import { deferred, openTestQueue, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
let queries: Queries;
beforeAll(async () => {
  queue = await openTestQueue();
  queries = new Queries(fromPostgresJs(queue.sql), { ...queue.names, log: "terminal" });
});
afterEach(() => queue.clear());
afterAll(() => queue?.close());

async function drain(register: (pgq: Awaited<ReturnType<TestQueue["worker"]>>) => void) {
  const pgq = await queue.worker({ log: "terminal" });
  register(pgq);
  await pgq.run({ mode: "drain" });
}

test("a job leaves one row, whatever its limits, and its status is known throughout", async () => {
  const ids = await queries.enqueue(["plain", "limited"], [null, null]) as number[];
  const key = await queries.enqueue("plain", null, {
    dedupeKey: "a",
    onConflict: "update_priority",
  });
  expect(await queue.log()).toEqual([]);
  expect(await queries.jobStatus(ids)).toEqual(new Map(ids.map((id) => [id, "queued"])));

  await drain((pgq) => {
    pgq.entrypoint("plain", () => {});
    pgq.entrypoint("limited", { concurrencyLimit: 1 }, () => {});
  });

  const log = await queue.log();
  expect(log.map(({ status }) => status)).toEqual(["successful", "successful", "successful"]);
  expect(await queries.jobStatus([...ids, key!])).toEqual(
    new Map([...ids, key!].map((id) => [id, "successful"])),
  );
});

test("why a job was tried again, held or canceled is told all the same", async () => {
  const [retried, held, canceled] = await queries.enqueue(
    ["retried", "held", "canceled"],
    [null, null, null],
  ) as number[];
  await queries.cancel([canceled!]);
  let attempts = 0;
  await drain((pgq) => {
    pgq.entrypoint("retried", () => {
      if (attempts++ === 0) throw new RetryRequested({ reason: "not yet" });
    });
    pgq.entrypoint("held", { onFailure: "hold" }, () => {
      throw new Error("on purpose");
    });
  });

  expect(await queue.history(retried!)).toEqual(["queued", "successful"]);
  expect(await queue.history(held!)).toEqual(["failed"]);
  expect(await queue.history(canceled!)).toEqual(["canceled"]);
  expect((await queries.listFailed())[0]?.traceback?.exception_message).toContain("on purpose");

  await queries.requeue([held!]);
  expect(await queue.history(held!)).toEqual(["failed"]);
});

test("a job that is put back or taken over leaves no row", async () => {
  await queries.enqueue("work", null);
  const pgq = await queue.worker({ log: "terminal" });
  const started = deferred();
  pgq.entrypoint("work", (_, { signal }) => {
    started.resolve();
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  });
  const run = pgq.run();
  await started.promise;
  await pgq.stop({ timeout: 0 });
  await run;
  expect((await queue.rows())[0]?.status).toBe("queued");

  await queue.sql`
    update ${
    queue.sql(queue.table)
  } set status = 'picked', queue_manager_id = '00000000-0000-4000-8000-000000000000',
    heartbeat = now() - interval '1 hour'`;
  await drain((pgq) => pgq.entrypoint("work", () => {}));

  expect((await queue.log()).map(({ status }) => status)).toEqual(["successful"]);
});

test("the level is checked, and may come from the environment", () => {
  expect(() => resolveSettings({ log: "some" as never })).toThrow('Cannot use "log"');
  expect(resolveSettings({}, { PGQUEUER_LOG: "terminal" }).log).toBe("terminal");
  expect(resolveSettings({}, {}).log).toBe("full");
});
