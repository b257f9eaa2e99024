/** Enqueues of many jobs count their log rows in the statistics themselves, if they may and nobody is in the way. */
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Executor, fromPostgresJs, getQueue, type NewJob, Queries } from "../../mod.ts";
import { LogStore } from "../../src/queries/log.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { printedSql } from "../../src/sql/printed.ts";
import { Statements } from "../../src/sql/render.ts";
import { inRolledBackTransaction } from "../../src/testing/mod.ts";
import {
  besideRival,
  differences,
  flags,
  insertCounts,
  lockCounts,
  type Rival,
} from "../support/counted.ts";
import { openTestQueue, testDsn, type TestQueue } from "../support/queue.ts";

let queue: TestQueue;
let statistics: string;
const opened: Sql[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  statistics = `${queue.table}_statistics`;
});
beforeEach(async () => {
  await queue.clear();
  await queue.sql`truncate ${queue.sql(statistics)}`;
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.end()));
});
afterAll(() => queue?.close());

/** A producer on one connection of its own, with these settings of the session, which no pooler takes. */
function producer(connection?: Record<string, string>): { queries: Queries; sent: string[] } {
  const dsn = connection === undefined ? queue.dsn : testDsn();
  const client = postgres(dsn, { max: 1, onnotice: () => {}, connection: connection ?? {} });
  opened.push(client);
  const driver = fromPostgresJs(client);
  const sent: string[] = [];
  const queries = new Queries({
    ...driver,
    query: (text, parameters) => {
      sent.push(text);
      return driver.query(text, parameters);
    },
  }, queue.names);
  return { queries, sent };
}

const jobs = (count: number, more: Partial<NewJob> = {}): NewJob[] =>
  Array.from({ length: count }, () => ({ entrypoint: "work", ...more }));
const keyed = (keys: readonly string[]): NewJob[] =>
  keys.map((dedupeKey) => ({ entrypoint: "work", dedupeKey }));
const letters = [..."abcdefghijklmnopqrst"];

test("ten jobs or more are counted as they are enqueued, fewer later", async () => {
  await queue.queries.enqueueMany(jobs(9));
  expect(await flags(queue)).toEqual({ queued: [0, 9] });

  await queue.queries.enqueueMany(jobs(10));
  await queue.queries.enqueueMany([...jobs(20, { priority: 3 }), ...jobs(5), {
    entrypoint: "other",
  }]);

  expect(await flags(queue)).toEqual({ queued: [36, 9] });
  expect(await differences(queue)).toEqual([]);
});

test("so are single jobs that go together", async () => {
  await Promise.all(jobs(200).map(({ entrypoint }) => queue.queries.enqueue(entrypoint)));

  expect(await flags(queue)).toEqual({ queued: [200, 0] });
  expect(await differences(queue)).toEqual([]);
});

test.each(["skip", "update_priority"] as const)(
  'of those with keys only what was inserted: onConflict "%s"',
  async (onConflict) => {
    await queue.queries.enqueueMany(keyed(letters.slice(0, 12)));

    const ids = await queue.queries.enqueueMany(keyed(letters), { onConflict });
    const none = await queue.queries.enqueueMany(keyed(letters), { onConflict });

    expect(ids).toHaveLength(20);
    expect(none.filter((id) => id !== null)).toHaveLength(onConflict === "skip" ? 0 : 20);
    expect(await flags(queue)).toEqual({ queued: [20, 0] });
    expect(await differences(queue)).toEqual([]);
  },
);

test("what a duplicate refuses counts nothing", async () => {
  await queue.queries.enqueue("work", null, { dedupeKey: "t" });

  await expect(queue.queries.enqueueMany(keyed(letters), { onConflict: "raise" }))
    .rejects.toThrow("dedupe key");

  expect(await queue.sql`select from ${queue.sql(statistics)}`).toHaveLength(0);
});

test("not in a transaction of the caller, which would keep the counts locked", async () => {
  await queue.sql.begin(async (tx) => {
    await getQueue(tx, queue.names).enqueueMany(jobs(20));
  });

  expect(await flags(queue)).toEqual({ queued: [0, 20] });
});

test("nor in the transaction of a test, though that has a driver", async () => {
  await inRolledBackTransaction(queue.sql, async ({ tx, driver }) => {
    await new Queries(driver, queue.names).enqueueMany(jobs(20));

    const locks = await tx`
      select from pg_locks where pid = pg_backend_pid() and relation = ${statistics}::regclass`;
    expect(locks).toHaveLength(0);
  }, queue.names);
});

test("nor where several statements make one transaction", async () => {
  await queue.queries.enqueueMany(jobs(10_001));

  expect(await flags(queue)).toEqual({ queued: [0, 10_001] });
});

test("nor by a client that is no driver, whose transactions nobody knows", async () => {
  const { query } = fromPostgresJs(queue.sql);

  await new Queries({ query } satisfies Executor, queue.names).enqueueMany(jobs(20));

  expect(await flags(queue)).toEqual({ queued: [0, 20] });
});

test("each is counted once while producers, workers and aggregations are at it", async () => {
  const settings = queue.queries.settings;
  const storeOf = (client: Sql): QueueStore =>
    new QueueStore(fromPostgresJs(client), new Statements(settings));
  const log = new LogStore(fromPostgresJs(queue.sql), new Statements(settings));
  const manager = randomUUID();
  let producing = true;
  const produce = async (): Promise<void> => {
    const { queries } = producer();
    for (let n = 0; n < 50; n++) await queries.enqueueMany(jobs(20));
  };
  const work = async (client: Sql): Promise<void> => {
    const store = storeOf(client);
    while (true) {
      const over = !producing;
      const claimed = await store.dequeue(30, ["work"], manager);
      if (claimed.length > 0) await store.acknowledge(claimed, "successful", manager);
      else if (over) return;
    }
  };
  const aggregate = async (): Promise<void> => {
    while (producing) await log.aggregate();
  };
  const others = [work(queue.sql), work(queue.sql), aggregate()];

  await Promise.all(Array.from({ length: 4 }, produce));
  producing = false;
  await Promise.all(others);
  await log.aggregate();

  expect(await flags(queue)).toEqual({
    queued: [4_000, 0],
    picked: [4_000, 0],
    successful: [4_000, 0],
  });
  expect(await differences(queue)).toEqual([]);
});

test.each<[string, () => Rival]>([
  ["an aggregation has the table", () => lockCounts(queue, "share row exclusive")],
  ["an operator has it alone", () => lockCounts(queue, "access exclusive")],
  ["another has just inserted the count", () => insertCounts(queue, "queued")],
  ["another has locked the count", () => async (tx) => {
    await queue.sql.begin(insertCounts(queue, "queued"));
    await tx`update ${tx(statistics)} set count = count`;
  }],
])("nobody waits while %s", async (_, rival) => {
  // Ends before the rival does, or never.
  const ids = await besideRival(queue, rival(), () => producer().queries.enqueueMany(jobs(20)));

  expect(ids).toHaveLength(20);
  expect(await flags(queue)).toEqual({ queued: [0, 20] });
});

test.each(["repeatable read", "serializable"])(
  "where transactions are %s none fails because of a count",
  async (isolation) => {
    const producers = Array.from(
      { length: 4 },
      () => producer({ default_transaction_isolation: isolation }).queries,
    );

    await Promise.all(producers.map(async (queries) => {
      for (let n = 0; n < 25; n++) await queries.enqueueMany(jobs(20));
    }));

    expect(await flags(queue)).toEqual({ queued: [0, 2_000] });
  },
);

/** Runs with a role that may enqueue and nothing else, as `pgq grants produce` prints it. */
async function asProducer(use: (role: string) => Promise<void>): Promise<void> {
  const { sql, names } = queue;
  const role = `${names.schema}_producer`;
  const values = { role, schema: names.schema };
  await sql`create role ${sql(role)}`;
  try {
    await sql.unsafe(printedSql("grant_produce", queue.queries.settings, values));
    await use(role);
  } finally {
    await Promise.all(opened.splice(0).map((client) => client.end()));
    await sql`drop owned by ${sql(role)}`;
    await sql`drop role ${sql(role)}`;
  }
}

test("a role that may only enqueue asks once, and sends nothing that is refused", async () => {
  await asProducer(async (role) => {
    const { queries, sent } = producer({ role });

    await queries.enqueueMany(jobs(20));
    await queries.enqueueMany(jobs(20));

    expect(sent).toHaveLength(3);
    expect(sent.filter((text) => text.includes("has_function_privilege"))).toHaveLength(1);
    expect(await flags(queue)).toEqual({ queued: [0, 40] });
  });
});

test("a role that may count no longer enqueues as before", async () => {
  await asProducer(async (role) => {
    const { sql, names } = queue;
    const values = { role, schema: names.schema };
    await sql.unsafe(printedSql("grant_work", queue.queries.settings, values));
    const { queries } = producer({ role });
    await queries.enqueueMany(jobs(20));
    expect(await flags(queue)).toEqual({ queued: [20, 0] });

    await sql`drop owned by ${sql(role)}`;
    await sql.unsafe(printedSql("grant_produce", queue.queries.settings, values));
    await queries.enqueueMany(jobs(20));

    expect(await flags(queue)).toEqual({ queued: [20, 20] });
  });
});

test("a database without the function for it, as of Python, takes jobs all the same", async () => {
  const bare = await openTestQueue();
  try {
    const { sql, names } = bare;
    const [own] = await sql<{ signature: string }[]>`
      select oid::regprocedure::text as signature from pg_proc
      where proname = ${`${names.prefix}fn_pgqueuer_count_1`}`;
    const before = new Queries(fromPostgresJs(sql), names);
    await before.enqueueMany(jobs(10));

    await sql.unsafe(`drop function ${own!.signature}`);
    await before.enqueueMany(jobs(10));
    await new Queries(fromPostgresJs(sql), names).enqueueMany(jobs(10));

    expect(await flags(bare)).toEqual({ queued: [10, 20] });
  } finally {
    await bare.close();
  }
});

test('where the log says only how jobs ended there is nothing to count: log "terminal"', async () => {
  const { queries, sent } = producer();
  const terse = new Queries(queries.executor, { ...queue.names, log: "terminal" });

  await terse.enqueueMany(jobs(20));

  expect(sent).toHaveLength(1);
  expect(await flags(queue)).toEqual({});
});
