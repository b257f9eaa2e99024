/** Claims and acknowledgements of many jobs count their log rows in the statistics themselves, if nobody is in the way. */
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import { wholeRange } from "../../src/queries/claim_range.ts";
import type { Gate } from "../../src/queries/gate.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import { LogStore } from "../../src/queries/log.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import {
  besideRival,
  differences,
  flags,
  insertCounts,
  lockCounts,
  type Rival,
} from "../support/counted.ts";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

const MANAGER = randomUUID();

let queue: TestQueue;
let statistics: string;
beforeAll(async () => {
  queue = await openTestQueue();
  statistics = `${queue.table}_statistics`;
});
beforeEach(async () => {
  await queue.clear();
  await queue.sql`truncate ${queue.sql(statistics)}, ${queue.sql(queue.logTable)}`;
});
afterAll(() => queue?.close());

const texts = (): Statements => new Statements(resolveSettings(queue.names));
const storeOf = (client: Sql): QueueStore => new QueueStore(fromPostgresJs(client), texts());
const within = (tx: postgres.TransactionSql): QueueStore =>
  new QueueStore(
    { query: async (text, parameters) => [...await tx.unsafe(text, [...parameters])] as never },
    texts(),
  );
const logOf = (client: Sql): LogStore => new LogStore(fromPostgresJs(client), texts());

async function connected<Result>(use: (client: Sql) => Promise<Result>): Promise<Result> {
  const client = postgres(queue.dsn, { max: 1, onnotice: () => {} });
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

const gate: Omit<Gate, "entrypoint"> = {
  concurrencyLimit: 1_000,
  requestsPerSecond: Infinity,
  serializedDispatch: false,
  leaseMs: 30_000,
  maxTakeOvers: 5,
};

async function enqueue(entrypoint: string, number: number): Promise<void> {
  await queue.queries.enqueue(entrypoint, Array(number).fill(null));
}

/** Claims jobs while another session does something in a transaction that goes on. */
function claimBeside(rival: Rival): Promise<ClaimedJob[]> {
  return besideRival(
    queue,
    rival,
    () => connected((client) => storeOf(client).dequeue(20, ["work"], MANAGER)),
  );
}

test("ten jobs or more are counted as they are claimed and ended, fewer later", async () => {
  await enqueue("work", 20);
  await queue.queries.enqueue("work", Array(10).fill(null), { priority: 1 });
  await enqueue("other", 9);
  const store = storeOf(queue.sql);

  const jobs = await store.dequeue(100, ["work", "other"], MANAGER);
  expect(await flags(queue)).toEqual({ queued: [30, 9], picked: [39, 0] });
  await store.acknowledge(jobs.slice(0, 25), "successful", MANAGER);
  await store.acknowledge(jobs.slice(25, 30), "successful", MANAGER);
  await store.acknowledge(jobs.slice(30), "canceled", MANAGER);

  expect(await flags(queue)).toEqual({
    queued: [30, 9],
    picked: [39, 0],
    successful: [25, 5],
    canceled: [0, 9],
  });
  expect(await differences(queue)).toEqual([]);
});

test("so are those that are claimed within limits", async () => {
  await enqueue("work", 30);
  const gates = [{ entrypoint: "work", ...gate }];

  await storeOf(queue.sql).claimLimited(20, 20, gates, MANAGER, [wholeRange("work")]);

  expect(await flags(queue)).toEqual({ queued: [30, 0], picked: [20, 0] });
  expect(await differences(queue)).toEqual([]);
});

test("what is counted adds to what was counted before in that second", async () => {
  await enqueue("work", 300);

  await connected(async (client) => {
    for (let n = 0; n < 15; n++) await storeOf(client).dequeue(20, ["work"], MANAGER);
  });

  expect(await flags(queue)).toEqual({ queued: [300, 0], picked: [300, 0] });
  expect(await differences(queue)).toEqual([]);
});

test("each is counted once while workers and aggregations are at it", async () => {
  await enqueue("work", 3_000);
  const work = (): Promise<void> =>
    connected(async (client) => {
      const store = storeOf(client);
      while (true) {
        const jobs = await store.dequeue(30, ["work"], MANAGER);
        if (jobs.length === 0) return;
        await store.acknowledge(jobs, "successful", MANAGER);
      }
    });
  let ended = false;
  const aggregate = (): Promise<void> =>
    connected(async (client) => {
      while (!ended) await logOf(client).aggregate();
    });
  const aggregations = [aggregate(), aggregate()];

  await Promise.all(Array.from({ length: 6 }, work));
  ended = true;
  await Promise.all(aggregations);
  await logOf(queue.sql).aggregate();

  expect(await flags(queue)).toEqual({
    queued: [3_000, 0],
    picked: [3_000, 0],
    successful: [3_000, 0],
  });
  expect(await differences(queue)).toEqual([]);
});

test.each<[string, () => Rival]>([
  ["an aggregation has the table", () => lockCounts(queue, "share row exclusive")],
  ["an operator has it alone", () => lockCounts(queue, "access exclusive")],
  ["another has just inserted the count", () => insertCounts(queue, "picked")],
])("nobody's claim waits while %s", async (_, rival) => {
  await enqueue("work", 20);

  expect(await claimBeside(rival())).toHaveLength(20);

  expect(await flags(queue)).toEqual({ queued: [20, 0], picked: [0, 20] });
});

test("nor while another has locked the count", async () => {
  await enqueue("work", 20);
  await queue.sql.begin(insertCounts(queue, "picked"));

  const jobs = await claimBeside((tx) => tx`update ${tx(statistics)} set count = count`);

  expect(jobs).toHaveLength(20);
  expect(await flags(queue)).toEqual({ queued: [20, 0], picked: [0, 20] });
});

test("a claim does not fail where its transaction cannot see the newest count", async () => {
  await queue.sql.begin(insertCounts(queue, "picked"));
  await enqueue("work", 20);

  const jobs = await queue.sql.begin("isolation level repeatable read", async (tx) => {
    await tx`select from ${tx(queue.table)}`;
    await connected((rival) => rival`update ${rival(statistics)} set count = count`);
    return await within(tx).dequeue(20, ["work"], MANAGER);
  });

  expect(jobs).toHaveLength(20);
  expect(await flags(queue)).toEqual({ queued: [20, 0], picked: [0, 20] });
});

test("nor where a role may not count", async () => {
  const role = `${queue.names.schema}_uncounted`;
  const { sql } = queue;
  await enqueue("work", 20);

  const jobs = await sql.begin(async (tx) => {
    await tx`create role ${tx(role)}`;
    await tx`grant usage on schema ${tx(queue.names.schema)} to ${tx(role)}`;
    await tx`grant all on ${tx(queue.table)}, ${tx(queue.logTable)} to ${tx(role)}`;
    await tx`set local role ${tx(role)}`;
    const claimed = await within(tx).dequeue(20, ["work"], MANAGER);
    await tx`reset role`;
    await tx`drop owned by ${tx(role)}`;
    await tx`drop role ${tx(role)}`;
    return claimed;
  });

  expect(jobs).toHaveLength(20);
  expect(await flags(queue)).toEqual({ queued: [20, 0], picked: [0, 20] });
});
