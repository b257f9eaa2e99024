/** G7: at most one live (queued or picked) job has a given key. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import postgres from "postgres";
import { DuplicateJobError, fromPostgresJs, getQueue, Queries } from "../../mod.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

test("of twenty producers at once one gets the key", async () => {
  const clients = Array.from(
    { length: 20 },
    () => postgres(queue.dsn, { max: 1, onnotice: () => {} }),
  );
  const producers = clients.map((client) => new Queries(fromPostgresJs(client), queue.names));
  // Connected before the race begins.
  await Promise.all(clients.map((client) => client`select 1`));

  const ids = await Promise.all(
    producers.map((producer) => producer.enqueue("work", null, { dedupeKey: "one" })),
  );

  expect(ids.filter((id) => id !== null)).toHaveLength(1);
  expect(await queue.rows()).toHaveLength(1);
  expect(await queue.log()).toHaveLength(1);
  await Promise.all(clients.map((client) => client.end()));
});

test("a key in an open rival transaction makes the others wait, and a rollback frees it", async () => {
  const holding = deferred();
  const finish = deferred();
  const rival = queue.sql.begin(async (tx) => {
    await getQueue(tx, queue.names).enqueue("rival", null, { dedupeKey: "one" });
    holding.resolve();
    await finish.promise;
    throw new Error("rolled back");
  }).catch(() => {});
  await holding.promise;

  const second = queue.queries.enqueue("work", null, { dedupeKey: "one" });
  await until(
    "the second waits for the first",
    async () =>
      (await queue.sql`
        select 1 from pg_stat_activity
        where wait_event = 'transactionid' and query like ${`%${queue.table}%`}`).length > 0,
  );
  finish.resolve();
  await rival;

  expect(await second).not.toBeNull();
  expect(await queue.rows()).toHaveLength(1);
});

test("batches that share keys in opposite orders do not deadlock", async () => {
  const keys = Array.from({ length: 200 }, (_, n) => `key ${n}`);
  const nothing = keys.map(() => null);

  const rounds = await Promise.all(
    Array.from(
      { length: 8 },
      (_, n) =>
        queue.queries.enqueue("work", nothing, { dedupeKey: n % 2 ? keys : keys.toReversed() }),
    ),
  );

  expect(rounds.flat().filter((id) => id !== null)).toHaveLength(200);
});

test("a key stays in use while its job runs and is free when it has ended", async () => {
  const pgq = await queue.worker();
  const started = deferred();
  const finish = deferred();
  pgq.entrypoint("work", async () => {
    started.resolve();
    await finish.promise;
  });
  const run = pgq.run();
  const first = await queue.queries.enqueue("work", null, { dedupeKey: "one" });
  await started.promise;

  expect(await queue.queries.enqueue("work", null, { dedupeKey: "one" })).toBeNull();
  finish.resolve();
  await until("the job is gone", async () => (await queue.rows()).length === 0);
  const next = await queue.queries.enqueue("later", null, { dedupeKey: "one" });

  expect(next).toBeGreaterThan(first!);
  await pgq.stop();
  await run;
});

test("a held job does not keep its key", async () => {
  const pgq = await queue.worker();
  pgq.entrypoint("work", { onFailure: "hold" }, () => {
    throw new Error("no");
  });
  await queue.queries.enqueue("work", null, { dedupeKey: "one" });
  await pgq.run({ mode: "drain" });

  const next = await queue.queries.enqueue("work", null, { dedupeKey: "one" });

  expect((await queue.rows()).map(({ status }) => status)).toEqual(["failed", "queued"]);
  expect(next).not.toBeNull();
});

test('"raise" inserts nothing of the batch and names the keys', async () => {
  await queue.queries.enqueue("work", null, { dedupeKey: "taken" });
  const before = await queue.log();

  const failed = queue.queries.enqueue("work", [null, null, null], {
    dedupeKey: ["free", "taken", null],
    onConflict: "raise",
  });

  const error = await failed.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(DuplicateJobError);
  expect((error as DuplicateJobError).dedupeKeys).toEqual(["free", "taken"]);
  expect(await queue.rows()).toHaveLength(1);
  expect(await queue.log()).toEqual(before);
});

test('"skip" keeps the first of a key within a batch and gives null for the others', async () => {
  const ids = await queue.queries.enqueue("work", [null, null, null, null], {
    dedupeKey: ["b", "a", "b", "a"],
    priority: [1, 2, 3, 4],
  });

  expect(ids.map((id) => id !== null)).toEqual([true, true, false, false]);
  expect((await queue.rows()).map(({ priority }) => priority)).toEqual([1, 2]);
});

test('"update_priority" raises the priority of the job that has the key and never lowers it', async () => {
  const id = await queue.queries.enqueue("work", null, { dedupeKey: "one", priority: 5 });

  const raised = await queue.queries.enqueue("work", [null, null], {
    dedupeKey: ["two", "one"],
    priority: [1, 9],
    onConflict: "update_priority",
  });
  const kept = await queue.queries.enqueue("work", null, {
    dedupeKey: "one",
    priority: 2,
    onConflict: "update_priority",
  });

  expect(raised[1]).toBe(id);
  expect(kept).toBe(id);
  expect((await queue.rows()).find((row) => row.id === id)!.priority).toBe(9);
  expect(await queue.history(id!)).toEqual(["queued"]);
  expect(await queue.history(raised[0]!)).toEqual(["queued"]);
});
