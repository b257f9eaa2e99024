/** G13: bad input is refused before SQL with a clear error; a batch is inserted whole or not at all. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Driver, type NewJob, Queries } from "../../mod.ts";
import { bytes, openTestQueue, type TestQueue } from "../support/queue.ts";

let sent = 0;
const nobody: Pick<Driver, "query"> = {
  query() {
    sent++;
    return Promise.reject(new Error("reached the database"));
  },
};
const queries = new Queries(nobody);

const bad: [string, () => Promise<unknown>, typeof TypeError | typeof RangeError, RegExp][] = ([
  [
    "a payload that is a string",
    { payload: "text" },
    TypeError,
    /a string.*TextEncoder\(\)\.encode\(value\)/,
  ],
  ["a payload that is an object", { payload: { id: 1 } }, TypeError, /JSON\.stringify\(value\)/],
  ["a payload that is an ArrayBuffer", { payload: new ArrayBuffer(3) }, TypeError, /Uint8Array/],
  ["a payload that is a number", { payload: 7 }, TypeError, /Uint8Array/],
  ["an empty entrypoint", { entrypoint: "" }, RangeError, /must not be empty/],
  ["no entrypoint", { entrypoint: undefined }, TypeError, /must be a string/],
  ["an entrypoint with U+0000", { entrypoint: "a\u0000b" }, RangeError, /U\+0000/],
  ["an entrypoint with half of a pair", { entrypoint: "a\ud800" }, RangeError, /surrogate/],
  [
    "an entrypoint that no index holds",
    { entrypoint: "ø".repeat(1_001) },
    RangeError,
    /2000 bytes/,
  ],
  ["a priority above int4", { priority: 2 ** 31 }, RangeError, /2147483647/],
  ["a priority below int4", { priority: -(2 ** 31) - 1 }, RangeError, /-2147483648/],
  ["a priority with a fraction", { priority: 1.5 }, RangeError, /integer/],
  ["a priority that is text", { priority: "1" }, RangeError, /integer/],
  ["a priority that is NaN", { priority: NaN }, RangeError, /integer/],
  ["a negative delay", { executeAfter: -1 }, RangeError, /from 0 to 100 years/],
  ["an endless delay", { executeAfter: Infinity }, RangeError, /100 years/],
  ["an absurd delay", { executeAfter: { days: 40_000 } }, RangeError, /100 years/],
  ["a delay that is text", { executeAfter: "5s" }, TypeError, /\{ seconds: 30 \}/],
  ["a delay of months", { executeAfter: { months: 1 } }, RangeError, /"months"/],
  [
    "a delay of unknown units",
    { executeAfter: { second: 1 } },
    TypeError,
    /"second" is not a unit/,
  ],
  ["a delay without units", { executeAfter: {} }, TypeError, /no unit/],
  ["an invalid date", { executeAfter: new Date("no") }, RangeError, /an invalid date/],
  ["a date that PostgreSQL lacks", { executeAfter: new Date(8.64e15) }, RangeError, /9999/],
  ["an empty dedupe key", { dedupeKey: "" }, RangeError, /must not be empty/],
  ["a dedupe key that is a number", { dedupeKey: 5 }, TypeError, /must be a string/],
  ["a dedupe key with U+0000", { dedupeKey: "\u0000" }, RangeError, /U\+0000/],
  ["headers that are text", { headers: "{}" }, TypeError, /JSON object/],
  ["headers that are an array", { headers: [1] }, TypeError, /JSON object/],
  ["headers that are a Map", { headers: new Map() }, TypeError, /an instance of Map/],
  ["headers that refer to themselves", { headers: circular() }, TypeError, /JSON cannot hold it/],
  ["headers with a bigint", { headers: { a: 1n } }, TypeError, /JSON cannot hold it/],
  ["headers with U+0000", { headers: { a: ["\u0000"] } }, RangeError, /jsonb cannot hold/],
  ["headers with half of a pair", { headers: { "\udc00": 1 } }, RangeError, /jsonb cannot hold/],
  [
    "an unknown onConflict",
    { onConflict: "ignore" },
    RangeError,
    /"skip", "raise", "update_priority"/,
  ],
  ["an unknown option", { priorty: 1 }, TypeError, /"priorty" is not an option/],
  // deno-lint-ignore no-explicit-any -- what a caller without types may pass.
] as [string, any, typeof TypeError, RegExp][]).map(([name, given, kind, message]) => {
  const {
    entrypoint = "entrypoint" in given ? given.entrypoint : "work",
    payload = null,
    ...options
  } = given;
  return [name, () => queries.enqueue(entrypoint, payload, options), kind, message];
});

function circular(): object {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  return value;
}

test.each(bad)("%s is refused before SQL", async (_, enqueue, kind, message) => {
  sent = 0;

  const error = await enqueue().catch((error: unknown) => error);

  expect(error).toBeInstanceOf(kind);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).toMatch(/^Cannot /);
  expect(sent).toBe(0);
});

test("arrays of different lengths are refused, and the message counts them", async () => {
  sent = 0;

  await expect(queries.enqueue(["a", "b"], [null])).rejects.toThrow(
    '"payload" has 1, "entrypoint" has 2',
  );
  await expect(queries.enqueue("a", [null, null], { priority: [1, 2, 3] })).rejects.toThrow(
    RangeError,
  );
  await expect(queries.enqueue("a", [null, null], { dedupeKey: ["x"] })).rejects.toThrow(
    RangeError,
  );
  await expect(queries.enqueue(["a", "b"], null as never)).rejects.toThrow(TypeError);
  expect(sent).toBe(0);
});

test("one bad job of a batch is named by its place, and nothing of the batch is sent", async () => {
  sent = 0;
  const jobs: NewJob[] = [{ entrypoint: "a" }, { entrypoint: "a", priority: 0.5 }, {
    entrypoint: "a",
  }];

  await expect(queries.enqueueMany(jobs)).rejects.toThrow('"priority[1]"');
  await expect(queries.enqueueMany([{ entrypoint: "a", payload: "x" as never }])).rejects.toThrow(
    '"payload[0]"',
  );
  await expect(queries.enqueueMany([null as never])).rejects.toThrow('"job[0]" must be an object');
  await expect(queries.enqueueMany({} as never)).rejects.toThrow('"jobs" must be an array');
  await expect(
    queries.enqueue("a", [null, null], { dedupeKey: "same", onConflict: "update_priority" }),
  ).rejects.toThrow('"same" occurs again');
  expect(sent).toBe(0);
});

test("an empty batch sends nothing", async () => {
  sent = 0;

  expect(await queries.enqueueMany([])).toEqual([]);
  expect(await queries.enqueue("a", [])).toEqual([]);
  expect(sent).toBe(0);
});

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue.close());

test("a batch takes one round trip and keeps every byte, null, header and order", async () => {
  let trips = 0;
  const counting = new Queries({
    query: (text, parameters) => {
      trips++;
      return queue.sql.unsafe(text, [...parameters]).then((rows) => Array.from(rows) as never[]);
    },
  }, queue.names);
  const all = new Uint8Array(256).map((_, byte) => byte);
  const headers = { 'q"uo\\te': ["{,}", null, "ø 🎈", "NULL"], nested: { "\\u0000": "\\u0000" } };
  const jobs: NewJob[] = Array.from({ length: 10_000 }, (_, n) => ({
    entrypoint: ["plain", 'quo"te', "back\\slash", "{NULL}", "ø 🎈"][n % 5]!,
    payload: n % 7 === 0 ? null : n % 7 === 1 ? new Uint8Array() : all.subarray(n % 256),
    priority: n % 11 === 0 ? 2 ** 31 - 1 : n % 11 === 1 ? -(2 ** 31) : n,
    headers: n % 3 === 0 ? headers : null,
    dedupeKey: n % 2 === 0 ? `key, {${n}} "NULL"` : null,
  }));

  const ids = await counting.enqueueMany(jobs);

  expect(trips).toBe(1);
  expect(new Set(ids).size).toBe(jobs.length);
  const rows = await queue.sql`
    select id::int, entrypoint, payload, priority, headers, dedupe_key from ${
    queue.sql(queue.table)
  } order by id`;
  expect(rows.map((row) => row["id"])).toEqual(ids);
  for (const [n, row] of rows.entries()) {
    const job = jobs[n]!;
    const payload = row["payload"] === null ? null : Array.from(row["payload"] as Uint8Array);
    expect({ ...row, payload, id: 0 }).toEqual({
      id: 0,
      entrypoint: job.entrypoint,
      payload: job.payload ? Array.from(job.payload) : null,
      priority: job.priority,
      headers: job.headers,
      dedupe_key: job.dedupeKey,
    });
  }
});

test("what was enqueued reaches the handler as it was", async () => {
  await queue.clear();
  const payload = bytes("æøå");
  const id = await queue.queries.enqueue("work", payload, {
    priority: 7,
    dedupeKey: "one",
    headers: { a: { b: [1, null] } },
  });
  const seen: unknown[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("work", (job) => void seen.push(job));

  await pgq.run({ mode: "drain" });

  expect(seen).toMatchObject([{
    id,
    payload,
    priority: 7,
    dedupeKey: "one",
    headers: { a: { b: [1, null] } },
    status: "picked",
    entrypoint: "work",
    attempts: 0,
    slot: null,
  }]);
});
