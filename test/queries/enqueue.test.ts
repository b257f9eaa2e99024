/** How many statements an enqueue is, and who hears of what goes wrong in one. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { DuplicateJobError, type Executor, fromPostgresJs, getQueue, Queries } from "../../mod.ts";
import { bytes, openTestQueue, type TestQueue, text } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterEach(() => queue.clear());
afterAll(() => queue?.close());

/** Transactions that the jobs of the queue came by. */
async function transactions(): Promise<number> {
  const [row] = await queue.sql`
    select count(distinct xmin::text)::int as count from ${queue.sql(queue.table)}`;
  return row!["count"];
}

/** Refuses jobs of one priority for the length of a call, as a constraint of the user's own may. */
async function refusing<T>(priority: number, work: () => Promise<T>): Promise<T> {
  const table = queue.sql(queue.table);
  await queue.sql.unsafe(
    `alter table ${queue.table} add constraint refuses check (priority <> ${priority})`,
  );
  try {
    return await work();
  } finally {
    await queue.sql`alter table ${table} drop constraint refuses`;
  }
}

test("callers at the same time share a statement, and each gets its own id", async () => {
  const ids = await Promise.all(
    Array.from({ length: 500 }, (_, n) => queue.queries.enqueue(`work_${n}`, bytes(`${n}`))),
  );

  const rows = await queue.sql<{ id: string; entrypoint: string; payload: Uint8Array }[]>`
    select id, entrypoint, payload from ${queue.sql(queue.table)}`;
  expect(rows.length).toBe(500);
  for (const row of rows) {
    const n = ids.indexOf(Number(row.id));
    expect([row.entrypoint, text(row.payload)]).toEqual([`work_${n}`, `${n}`]);
  }
  expect(await transactions()).toBe(1);
});

test("callers that enqueue one job after another share statements too", async () => {
  const callers = Array.from({ length: 10 }, async () => {
    for (let n = 0; n < 20; n++) await queue.queries.enqueue("work", null);
  });
  await Promise.all(callers);

  expect((await queue.rows()).length).toBe(200);
  expect(await transactions()).toBe(20);
});

test("coalesce: false sends each job by itself", async () => {
  const queries = new Queries(fromPostgresJs(queue.sql), { ...queue.names, coalesce: false });

  await Promise.all(Array.from({ length: 20 }, () => queries.enqueue("work", null)));

  expect(await transactions()).toBe(20);
  expect(() => new Queries(fromPostgresJs(queue.sql), { coalesce: "no" as never })).toThrow(
    'Cannot use "coalesce" as it must be true or false: current value is "no"',
  );
});

test("a bad input fails alone, whoever refuses it", async () => {
  const results = await refusing(
    666,
    () =>
      Promise.allSettled([
        queue.queries.enqueue("work", bytes("good")),
        queue.queries.enqueue("work", "a text" as never),
        queue.queries.enqueue("work", null, { priority: 666 }),
        queue.queries.enqueue("work", bytes("good too")),
      ]),
  );

  expect(results.map(({ status }) => status)).toEqual([
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
  ]);
  const reasons = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
  expect(reasons[0]).toBeInstanceOf(TypeError);
  expect(reasons[1]).toMatchObject({ code: "23514" });
  expect((await queue.rows()).length).toBe(2);
});

test("a duplicate is told to its own caller, in the way that caller asked for", async () => {
  const results = await Promise.allSettled([
    queue.queries.enqueue("work", null, { dedupeKey: "same" }),
    queue.queries.enqueue("work", null, { dedupeKey: "same" }),
    queue.queries.enqueue("work", null, { dedupeKey: "same", onConflict: "raise" }),
    queue.queries.enqueue("work", null, { dedupeKey: "same", onConflict: "update_priority" }),
    queue.queries.enqueue("work", null, { dedupeKey: "other", onConflict: "raise" }),
  ]);

  const rows = await queue.rows();
  expect(rows.length).toBe(2);
  const [first, second, third, fourth, fifth] = results.map((result) =>
    result.status === "fulfilled" ? result.value : result.reason
  );
  expect([first, second]).toContain(null);
  // The fourth is a statement of its own, on another connection: it may come first.
  const winner = first ?? second ?? fourth;
  expect(third).toBeInstanceOf(DuplicateJobError);
  expect((third as DuplicateJobError).dedupeKeys).toEqual(["same"]);
  expect(fourth).toBe(winner);
  expect(rows.map(({ id }) => id).sort()).toEqual([winner, fifth].sort());
});

test("when the tables are missing every caller hears of it", async () => {
  const queries = new Queries(fromPostgresJs(queue.sql), { prefix: "missing_" });

  const results = await Promise.allSettled([
    queries.enqueue("work", null),
    queries.enqueue("work", null),
  ]);

  for (const result of results) {
    expect(result.status).toBe("rejected");
    expect(String((result as PromiseRejectedResult).reason)).toContain('run "pgq install"');
  }
});

test("a batch of 25,000 jobs is several statements in one transaction, ids in the order of the input", async () => {
  const ids = await queue.queries.enqueue(
    "work",
    Array.from({ length: 25_000 }, (_, n) => bytes(`${n}`)),
  );

  expect(await transactions()).toBe(1);
  const rows = await queue.sql<{ id: string; payload: Uint8Array }[]>`
    select id, payload from ${queue.sql(queue.table)}`;
  const byId = new Map(rows.map((row) => [Number(row.id), text(row.payload)]));
  expect(ids.map((id) => byId.get(id!))).toEqual(Array.from({ length: 25_000 }, (_, n) => `${n}`));
});

test("a few large payloads are several statements too, and nothing of a batch is left when its end is refused", async () => {
  const large = new Uint8Array(3_000_000).fill(7);

  await refusing(666, async () => {
    await expect(
      queue.queries.enqueue("work", [large, large, large, null], { priority: [0, 0, 0, 666] }),
    ).rejects.toMatchObject({ code: "23514" });
  });
  expect(await queue.rows()).toEqual([]);

  const keys = Array.from({ length: 12_000 }, (_, n) => `${n}`);
  await queue.queries.enqueue("work", null, { dedupeKey: "11999" });
  await expect(
    queue.queries.enqueue("work", keys.map(() => null), { dedupeKey: keys, onConflict: "raise" }),
  ).rejects.toBeInstanceOf(DuplicateJobError);
  expect((await queue.rows()).length).toBe(1);
});

test.each(["skip", "update_priority"] as const)(
  'only jobs with keys take what a conflict needs of the server: onConflict "%s"',
  async (onConflict) => {
    const sent: string[] = [];
    const { query } = fromPostgresJs(queue.sql);
    const recorded: Executor["query"] = (text, parameters) => {
      sent.push(text);
      return query(text, parameters);
    };
    const queries = new Queries({ query: recorded }, queue.names);

    const [first, second] = await queries.enqueue("work", [null, null], { onConflict });
    const keys = { onConflict, dedupeKey: [null, "one"] };
    const [plain, keyed] = await queries.enqueue("work", [null, null], keys);
    const [another, again] = await queries.enqueue("work", [null, null], keys);

    expect(sent.map((text) => text.includes("ON CONFLICT"))).toEqual([false, true, true]);
    expect(again).toBe(onConflict === "skip" ? null : keyed);
    const ids = (await queue.rows()).map(({ id }) => id);
    expect([first, second, plain, keyed, another]).toEqual(ids);
  },
);

test.each(["skip", "update_priority"] as const)(
  'a batch of several statements, of which some have keys, keeps each in its place: onConflict "%s"',
  async (onConflict) => {
    // Three megabytes each: two of them in a statement.
    const payloads = Array.from({ length: 6 }, (_, n) => new Uint8Array(3_000_000).fill(n));
    const taken = await queue.queries.enqueue("work", null, { dedupeKey: "taken" });
    const dedupeKey = [null, null, "taken", "free", null, null];

    const ids = await queue.queries.enqueue("work", payloads, { dedupeKey, onConflict });

    // The row that was there counts, unless its priority was written anew.
    expect(await transactions()).toBe(onConflict === "skip" ? 2 : 1);
    const rows = await queue.sql<{ id: string; first: number; key: string | null }[]>`
      select id, get_byte(payload, 0) as first, dedupe_key as key from ${queue.sql(queue.table)}`;
    const found = ids.map((id) => {
      const row = rows.find((row) => Number(row.id) === id);
      return row && [row.first, row.key];
    });
    expect(found).toEqual([
      [0, null],
      [1, null],
      onConflict === "skip" ? undefined : [null, "taken"],
      [3, "free"],
      [4, null],
      [5, null],
    ]);
    expect(ids[2]).toBe(onConflict === "skip" ? null : taken);
    expect(rows).toHaveLength(6);
  },
);

test("inside a transaction jobs keep their order with its statements, and a large batch is part of it", async () => {
  const end = queue.sql.begin(async (transaction) => {
    const mine = getQueue(transaction, queue.names);
    await mine.enqueue("work", null);
    const [row] = await transaction`select count(*)::int as count from ${transaction(queue.table)}`;
    expect(row!["count"]).toBe(1);
    expect((await mine.enqueue("work", Array(12_000).fill(null))).length).toBe(12_000);
    throw new Error("as the caller rolls back");
  });

  await expect(end).rejects.toThrow("as the caller rolls back");
  expect(await queue.rows()).toEqual([]);
});
