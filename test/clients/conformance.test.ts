/** What every client must do alike: a producer cannot tell them apart. Each is the real library on a real PostgreSQL. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  DuplicateJobError,
  fromClient,
  getQueue,
  type NewJob,
  Queries,
  type TransactionHandle,
} from "../../mod.ts";
import { bytes, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import type { Observer, OpenClient, OpenTransaction } from "./open_client.ts";
import { CLIENTS_HERE } from "./clients.ts";

/** A job as it lies in the table. */
interface Row {
  readonly id: number;
  readonly entrypoint: string;
  readonly priority: number;
  readonly payload: string | null;
  readonly headers: unknown;
  readonly dedupe_key: string | null;
  readonly delay: number;
}

let queue: TestQueue;
let observer: Observer;
let article: string;
beforeAll(async () => {
  queue = await openTestQueue();
  article = `${queue.names.schema}.article`;
  await queue.sql`create table ${queue.sql(article)} (id int primary key, status text)`;
});
afterAll(() => queue.close());

/** Looks by a client of its own. */
const outside: Observer = {
  query: async <Found>(text: string, parameters: readonly unknown[] = []) =>
    Array.from(await queue.sql.unsafe(text, [...parameters] as never[])) as Found[],
  async listen(channel, onPayload) {
    const { unlisten } = await queue.sql.listen(channel, onPayload);
    return unlisten;
  },
  concurrent: true,
};

const rows = (): Promise<Row[]> =>
  observer.query<Row>(
    `select id::int as id, entrypoint, priority, encode(payload, 'hex') as payload, headers, dedupe_key,
       extract(epoch from execute_after - created)::float8 as delay
     from ${queue.table} order by id`,
  );
const entrypoints = async (): Promise<string[]> => (await rows()).map((row) => row.entrypoint);
const logged = async (): Promise<string[]> =>
  (await observer.query<{ status: string }>(
    `select status::text as status from ${queue.logTable} order by id`,
  )).map((row) => row.status);
const articles = async (): Promise<number[]> =>
  (await observer.query<{ id: number }>(`select id from ${article} order by id`))
    .map((row) => row.id);

/** What a call throws, at once or later. */
async function refusal(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

const queueOf = (tx: OpenTransaction): Queries => getQueue(tx.handle, queue.names);

/** Enough for what differs between jobs, where the statement is sent as by another client of the list. */
const FEW = 50;

const entries = CLIENTS_HERE.map(({ name, variantOf, load }) =>
  [name, variantOf ? FEW : 10_000, load] as const
);

describe.each(entries)("%s", (_, jobsInBatch, load) => {
  let client: OpenClient;
  beforeAll(async () => {
    const open = await load();
    client = await open({ dsn: queue.dsn, names: queue.names, article });
  });
  beforeEach(async () => {
    observer = client.observer ?? outside;
    for (const table of [queue.table, queue.logTable, article]) {
      await observer.query(`delete from ${table}`);
    }
  });
  afterAll(() => client.close());

  test("a commit brings the row and the jobs", async () => {
    const ids = await client.transaction(async (tx) => {
      await tx.insert(1);
      const one = await queueOf(tx).enqueue("one", bytes("ø"));
      return [one, ...await queueOf(tx).enqueue(["two", "three"], [null, new Uint8Array()])];
    });

    expect(await articles()).toEqual([1]);
    expect(await rows()).toMatchObject([
      { id: ids[0], entrypoint: "one", payload: "c3b8" },
      { id: ids[1], entrypoint: "two", payload: null },
      { id: ids[2], entrypoint: "three", payload: "" },
    ]);
    expect(await logged()).toEqual(["queued", "queued", "queued"]);
  });

  test("a rollback takes the row, the jobs and their log with it", async () => {
    const failed = client.transaction(async (tx) => {
      await tx.insert(1);
      await queueOf(tx).enqueue("one", [bytes("1"), bytes("2")]);
      throw new RangeError("changed my mind");
    });

    await expect(failed).rejects.toThrow("changed my mind");
    expect([await articles(), await rows(), await logged()]).toEqual([[], [], []]);
  });

  test("a savepoint that rolls back takes its jobs with it and leaves the others", async () => {
    await client.transaction(async (tx) => {
      await queueOf(tx).enqueue("before", null);
      await tx.savepoint(async (inner) => {
        await inner.insert(1);
        await queueOf(inner).enqueue("dropped", null);
        throw new RangeError("only this part");
      }).catch((error) => expect(String(error)).toContain("only this part"));
      await tx.savepoint(async (inner) => {
        await inner.insert(2);
        await queueOf(inner).enqueue("kept", null);
      });
      await queueOf(tx).enqueue("after", null);
    });

    expect(await entrypoints()).toEqual(["before", "kept", "after"]);
    expect(await articles()).toEqual([2]);
    expect(await logged()).toHaveLength(3);
  });

  test(`${jobsInBatch} jobs in one call keep every byte, null, header, edge and order`, async () => {
    const all = new Uint8Array(256).map((_, byte) => byte);
    const jobs: NewJob[] = Array.from({ length: jobsInBatch }, (_, n) => ({
      entrypoint: ["plain", 'quo"te', "back\\slash", "{NULL}", "ø 🎈 ? ?? $1 :name '"][n % 5]!,
      payload: n % 7 === 0 ? null : n % 7 === 1 ? new Uint8Array() : all.subarray(n % 256),
      priority: n % 11 === 0 ? 2 ** 31 - 1 : n % 11 === 1 ? -(2 ** 31) : n,
      headers: n % 3 === 0
        ? { n: n / 8, 'q"uo\\te?': ["{,}", null, "ø 🎈 $1 :a ?", "NULL"] }
        : null,
      dedupeKey: n % 2 === 0 ? `key, {${n}} "NULL" ?` : null,
    }));

    const ids = await client.transaction((tx) => queueOf(tx).enqueueMany(jobs));

    expect(new Set(ids).size).toBe(jobs.length);
    const found = await rows();
    expect(found.map((row) => row.id)).toEqual(ids);
    const hex = (payload: Uint8Array): string =>
      Array.from(payload, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const stored = found.map(({ entrypoint, payload, priority, headers, dedupe_key }) =>
      JSON.stringify([entrypoint, payload, priority, headers, dedupe_key])
    );
    const wanted = jobs.map(({ entrypoint, payload, priority, headers, dedupeKey }) =>
      JSON.stringify([entrypoint, payload ? hex(payload) : null, priority, headers, dedupeKey])
    );
    // The first that differs says more than ten thousand.
    const differs = wanted.findIndex((job, n) => job !== stored[n]);
    expect(stored[differs]).toBe(wanted[differs]);
    expect(differs).toBe(-1);
  });

  test("delays and instants arrive exactly", async () => {
    const at = new Date(Date.now() + 3_600_123);
    await client.transaction(async (tx) => {
      await queueOf(tx).enqueue("delay", null, { executeAfter: { minutes: 5, milliseconds: 0.5 } });
      await queueOf(tx).enqueue("instant", null, { executeAfter: at });
    });

    const [delay] = await rows();
    expect(delay!.delay).toBeCloseTo(300.0005, 5);
    const [instant] = await observer.query<{ ms: number }>(
      `select round(extract(epoch from execute_after) * 1000)::float8 as ms from ${queue.table}
       where entrypoint = 'instant'`,
    );
    expect(instant!.ms).toBe(at.getTime());
  });

  test("a duplicate is dropped, or raises the priority", async () => {
    const ids = await client.transaction(async (tx) => {
      const inside = queueOf(tx);
      const first = await inside.enqueue("one", null, { dedupeKey: "k" });
      const dropped = await inside.enqueue("two", [null, null], { dedupeKey: ["k", "free"] });
      const raised = await inside.enqueue("one", null, {
        dedupeKey: "k",
        priority: 7,
        onConflict: "update_priority",
      });
      return { first, dropped, raised };
    });

    expect(ids.raised).toBe(ids.first);
    expect(ids.dropped[0]).toBe(null);
    expect(await rows()).toMatchObject([
      { id: ids.first, priority: 7 },
      { id: ids.dropped[1], dedupe_key: "free" },
    ]);
  });

  test("a duplicate that raises fails the transaction as any error of the server does", async () => {
    let error: unknown;
    let next: unknown;
    const failed = client.transaction(async (tx) => {
      await queueOf(tx).enqueue("one", null, { dedupeKey: "k" });
      error = await refusal(() =>
        queueOf(tx).enqueue("two", [null, null], { dedupeKey: ["k", "l"], onConflict: "raise" })
      );
      next = await refusal(() => tx.insert(1));
      throw error;
    });

    await expect(failed).rejects.toThrow();
    expect(error).toBeInstanceOf(DuplicateJobError);
    expect((error as DuplicateJobError).dedupeKeys).toEqual(["k", "l"]);
    expect((error as DuplicateJobError).cause).toBeInstanceOf(Error);
    expect(String((error as DuplicateJobError).cause)).not.toContain("DuplicateJobError");
    expect(next).toBeInstanceOf(Error);
    expect([await rows(), await articles()]).toEqual([[], []]);
  });

  test("in a savepoint of its own it costs no more than the savepoint", async () => {
    await client.transaction(async (tx) => {
      await queueOf(tx).enqueue("one", null, { dedupeKey: "k" });
      const error = await refusal(() =>
        tx.savepoint((inner) =>
          queueOf(inner).enqueue("two", null, { dedupeKey: "k", onConflict: "raise" })
        )
      );
      expect(error).toBeInstanceOf(DuplicateJobError);
      await tx.insert(1);
      await queueOf(tx).enqueue("three", null);
    });

    expect(await entrypoints()).toEqual(["one", "three"]);
    expect(await articles()).toEqual([1]);
  });

  test("bad input is refused before SQL, and the transaction goes on", async () => {
    await client.transaction(async (tx) => {
      const error = await refusal(() => queueOf(tx).enqueue("one", "text" as never));
      expect(error).toBeInstanceOf(TypeError);
      await queueOf(tx).enqueue("one", null);
    });

    expect(await entrypoints()).toEqual(["one"]);
  });

  test("workers are notified by the commit, not before and not by a rollback", async () => {
    const channel = new Queries(fromNothing, queue.names).settings.channel;
    const heard: string[] = [];
    const unlisten = await observer.listen(channel, (payload) => {
      const event = JSON.parse(payload);
      if (event.table === `${queue.names.prefix}pgqueuer`) heard.push(event.operation);
      if (event.marker) heard.push(event.marker);
    });
    const mark = async (marker: string): Promise<void> => {
      await observer.query(
        `select pg_notify('${channel}', '{"marker":"${marker}"}')::text as sent`,
      );
      await until("the mark is heard", () => heard.includes(marker));
    };

    await client.transaction(async (tx) => {
      await queueOf(tx).enqueue("one", null);
      throw new RangeError("no");
    }).catch(() => {});
    await mark("rolled back");
    await client.transaction(async (tx) => {
      await queueOf(tx).enqueue("one", null);
      if (observer.concurrent) await mark("before");
    });

    await until("the commit is heard", () => heard.includes("insert"));
    await mark("end");
    expect(heard.filter((mark) => mark !== "before")).toEqual(["rolled back", "insert", "end"]);
    if (observer.concurrent) expect(heard[1]).toBe("before");
    await unlisten();
  });

  test("every other call works in the transaction too", async () => {
    const ids = await client.transaction(async (tx) => {
      const inside = queueOf(tx);
      const [queued, held] = await inside.enqueue("one", [bytes("1"), bytes("2")], {
        headers: { a: [1] },
      }) as [number, number];
      expect(await inside.queueSize()).toEqual([
        { entrypoint: "one", priority: 0, status: "queued", count: 2 },
      ]);
      return { queued, held };
    });
    await observer.query(`update ${queue.table} set status = 'failed' where id = ${ids.held}`);
    await observer.query(
      `insert into ${queue.logTable} (job_id, status, entrypoint, priority, traceback)
       values (${ids.held}, 'failed', 'one', 0, '{"exception_message":"ø"}')`,
    );

    await client.transaction(async (tx) => {
      const inside = queueOf(tx);
      expect(await inside.jobStatus([ids.queued, ids.held, 999_999_999])).toEqual(
        new Map([[ids.queued, "queued"], [ids.held, "failed"]]),
      );
      const [failed, ...others] = await inside.listFailed();
      expect(others).toEqual([]);
      expect(failed).toMatchObject({
        id: ids.held,
        payload: bytes("2"),
        headers: { a: [1] },
        status: "failed",
        traceback: { exception_message: "ø" },
      });
      expect(failed!.payload!.constructor).toBe(Uint8Array);
      expect(Math.abs(Date.now() - failed!.created.getTime())).toBeLessThan(600_000);
      const statistics = await inside.logStatistics({ last: { hours: 1 } });
      expect(statistics.map(({ status, count }) => [status, count])).toContainEqual(["queued", 2]);
      expect(Math.abs(Date.now() - statistics[0]!.created.getTime())).toBeLessThan(600_000);
      expect(await inside.requeue([ids.held, ids.queued])).toEqual({
        requeued: [ids.held],
        duplicates: [],
        notHeld: [ids.queued],
      });
      expect((await inside.cancel([ids.queued, ids.held])).sort()).toEqual([ids.queued, ids.held]);
      await expect(inside.install()).rejects.toThrow(/Cannot install inside a transaction/);
    });

    expect(await rows()).toEqual([]);
  });

  test("a handle that is in no transaction is refused, and nothing is enqueued", async () => {
    for (const { what, handle, says } of client.wrong) {
      const error = await refusal(() =>
        getQueue(handle as TransactionHandle, queue.names).enqueue("one", null)
      );

      expect([what, error instanceof TypeError]).toEqual([what, true]);
      expect((error as Error).message).toMatch(says);
      expect((error as Error).message).toMatch(/^Cannot /);
      // What to write, but where the handle was right and its answer was not.
      expect((error as Error).message).toMatch(/getQueue\(|^Cannot read the answer/);
    }
    expect(await rows()).toEqual([]);
  });

  test("a transaction that has ended is refused, whether it was used before or not", async () => {
    const ended: TransactionHandle[] = [];
    for (const enqueues of [true, false]) {
      await client.transaction(async (tx) => {
        ended.push(tx.handle);
        if (enqueues) await queueOf(tx).enqueue("one", null);
      });
      await client.transaction(async (tx) => {
        ended.push(tx.handle);
        await tx.insert(1);
        throw new RangeError("rolled back");
      }).catch(() => {});
    }

    for (const handle of ended) {
      const error = await refusal(() => getQueue(handle, queue.names).enqueue("late", null));
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toMatch(
        /must be an open transaction: current value is .+ that (has ended|is in no transaction), so .+Write .*getQueue\(.*, or new Queries\(/,
      );
    }
    expect(await entrypoints()).toEqual(["one"]);
  });

  test("Queries work outside transactions on the same client", async () => {
    if (client.root === undefined) return;
    const queries = new Queries(fromClient(client.root), queue.names);

    const id = await queries.enqueue("one", bytes("1"), { dedupeKey: "k", headers: { a: 1 } });
    const error = await refusal(() =>
      queries.enqueue("two", null, { dedupeKey: "k", onConflict: "raise" })
    );

    expect(error).toBeInstanceOf(DuplicateJobError);
    expect(await rows()).toMatchObject([{ id, payload: "31", headers: { a: 1 } }]);
    expect(await queries.jobStatus([id!])).toEqual(new Map([[id, "queued"]]));
    expect(await queries.cancel([id!])).toEqual([id]);
    await client.transaction(async (tx) => {
      const refused = await refusal(() => Promise.resolve(fromClient(tx.handle)));
      // A connection may be in none; nothing but a transaction is refused.
      if (refused !== undefined) {
        expect(String(refused)).toMatch(
          /^TypeError: Cannot use the client as it must not be a tra/,
        );
      }
    });
  });
});

const fromNothing = { query: () => Promise.reject(new Error("sent something")) };

describe("getQueue()", () => {
  test.each([
    ["undefined", undefined],
    ["a string", "postgresql://localhost"],
    ["a function", () => {}],
    ["an object", {}],
    ["an array", []],
  ])("refuses %s", (_, handle) => {
    expect(() => getQueue(handle as never)).toThrow(
      /^Cannot get a queue as the handle must be the open transaction of a known client: current/,
    );
    expect(() => fromClient(handle as never)).toThrow(TypeError);
  });
});
