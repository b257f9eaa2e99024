/** Tasks: a payload that has a type on both ends, and what becomes of one that does not fit. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { getQueue, type StandardSchema, task } from "../mod.ts";
import { bytes, openTestQueue, type TestQueue, text } from "./support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterEach(() => queue.clear());
afterAll(() => queue?.close());

const welcome = task({
  name: "welcome",
  input: z.object({
    user: z.object({ id: z.number().int() }),
    at: z.string().transform((value) => new Date(value)),
    tags: z.array(z.string()).default([]),
  }),
});

async function payloadOf(id: number | null): Promise<string> {
  const [row] = await queue.sql<{ payload: Uint8Array }[]>`
    select payload from ${queue.sql(queue.table)} where id = ${id}`;
  return text(row!.payload);
}

async function drain(register: (pgq: Awaited<ReturnType<TestQueue["worker"]>>) => void) {
  const pgq = await queue.worker();
  register(pgq);
  await pgq.run({ mode: "drain" });
}

test("the input is enqueued as JSON, and the handler gets the output of the schema", async () => {
  const input = { user: { id: 7 }, at: "2026-11-23T00:00:00.000Z" };
  const id = await queue.queries.enqueueTask(welcome, input, { priority: 3 });
  expect(JSON.parse(await payloadOf(id))).toEqual(input);

  const seen: unknown[] = [];
  await drain((pgq) =>
    pgq.register(welcome, (value, job, context) => {
      seen.push(value, job.priority, context.signal.aborted);
    })
  );

  expect(seen).toEqual([{ user: { id: 7 }, at: new Date(input.at), tags: [] }, 3, false]);
});

test("a value that does not fit is refused before it is sent, with the path of what does not", async () => {
  const wrong = { user: { id: "7" }, at: "2026-11-23" } as never;
  const enqueue = queue.queries.enqueueTask(welcome, wrong);

  await expect(enqueue).rejects.toBeInstanceOf(TypeError);
  await expect(enqueue).rejects.toThrow(
    /^Cannot enqueue task "welcome" as its input must fit the schema: user\.id: /,
  );
  expect(await queue.rows()).toEqual([]);
});

test.each([
  ["that is no JSON", bytes("{"), /SyntaxError/],
  ["that is no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), /TypeError/],
  ["that does not fit", bytes('{"user":{}}'), /user\.id: .*; at: /],
  ["that is null", null, /it is null/],
])("a payload %s is held with the reason, and not tried again", async (_, payload, why) => {
  const id = await queue.queries.enqueue("welcome", payload);
  const retried = { ...welcome, options: { retry: { maxAttempts: 5 } } };
  let calls = 0;

  await drain((pgq) => pgq.register(retried, () => void calls++));

  expect(calls).toBe(0);
  expect(await queue.history(id!)).toEqual(["queued", "picked", "failed"]);
  const [held] = await queue.queries.listFailed();
  expect(held?.traceback?.exception_type).toBe("InvalidPayloadError");
  expect(held?.traceback?.exception_message).toMatch(/^Cannot run task "welcome" as its payload/);
  expect(held?.traceback?.exception_message).toMatch(why);
});

test("a plain type needs no schema, a codec writes what JSON cannot, and a transaction takes tasks too", async () => {
  const plain = task<{ n: number }>({ name: "plain" });
  const raw = task<Uint8Array>({
    name: "raw",
    codec: { encode: (value) => value as Uint8Array, decode: (payload) => payload },
  });
  await queue.sql.begin(async (transaction) => {
    const mine = getQueue(transaction, queue.names);
    await mine.enqueueTask(plain, { n: 1 });
    await mine.enqueueTask(raw, new Uint8Array([0, 255]));
  });

  const seen: unknown[] = [];
  await drain((pgq) => {
    pgq.register(plain, ({ n }) => void seen.push(n));
    pgq.register(raw, (value) => void seen.push([...value]));
  });

  expect(seen.length).toBe(2);
  expect(seen).toEqual(expect.arrayContaining([1, [0, 255]]));
  await expect(queue.queries.enqueueTask(plain, undefined as never)).rejects.toThrow(
    'Cannot enqueue task "plain" as its input must be what the codec can write',
  );
});

const LIBRARIES: readonly (readonly [string, StandardSchema<unknown, unknown>])[] = [
  ["zod", z.object({ user: z.object({ id: z.number() }), tags: z.array(z.string()).default([]) })],
  [
    "valibot",
    v.object({ user: v.object({ id: v.number() }), tags: v.optional(v.array(v.string()), []) }),
  ],
  ["arktype", type({ user: { id: "number" }, tags: type("string[]").default(() => []) })],
];

describe.each(LIBRARIES)("with a schema of %s", (library, input) => {
  const named = task({ name: `by_${library}`, input });

  test("a value that does not fit is refused with every path, and none is sent", async () => {
    const refused = queue.queries.enqueueTask(named, { user: { id: "7" }, tags: ["a", 1] });

    await expect(refused).rejects.toBeInstanceOf(TypeError);
    await expect(refused).rejects.toThrow(/must fit the schema: user\.id: .*; tags\.1: /);
    expect(await queue.rows()).toEqual([]);
  });

  test("the handler gets what the schema gives, and a payload that does not fit is held", async () => {
    await queue.queries.enqueueTask(named, { user: { id: 7 } });
    const bad = await queue.queries.enqueue(named.name, bytes('{"user":{"id":"7"}}'));
    const seen: unknown[] = [];

    await drain((pgq) => pgq.register(named, (value) => void seen.push(value)));

    expect(seen).toEqual([{ user: { id: 7 }, tags: [] }]);
    const held = await queue.queries.listFailed();
    expect(held.map(({ id }) => id)).toEqual([bad]);
    expect(held[0]?.traceback?.exception_message).toMatch(
      /payload must fit the schema: user\.id: /,
    );
  });
});

test("a value that would not fit when it is read again is refused at once, unless a codec keeps it", async () => {
  const input = z.object({ at: z.date(), nested: z.object({ n: z.number() }) });
  const value = { at: new Date(0), nested: { n: 1 } };
  const dated = task({ name: "dated", input });
  // JSON with dates, as the text that Date gives.
  const kept = task({
    name: "kept",
    input,
    codec: {
      encode: (value) => bytes(JSON.stringify(value)),
      decode: (payload) => {
        const { at, ...rest } = JSON.parse(text(payload));
        return { at: new Date(at), ...rest };
      },
    },
  });

  await expect(queue.queries.enqueueTask(dated, value)).rejects.toThrow(
    /^Cannot enqueue task "dated" as its input must fit the schema when it is read again: at: .*, use what the codec keeps or give the task a codec$/,
  );
  await expect(queue.queries.enqueueTask(kept, value)).resolves.toBeGreaterThan(0);
  const seen: unknown[] = [];
  await drain((pgq) => pgq.register(kept, (value) => void seen.push(value)));

  expect(seen).toEqual([value]);
});

test("any Standard Schema does, one that takes its time included", async () => {
  const even: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => {
        await Promise.resolve();
        return typeof value === "number" && value % 2 === 0
          ? { value }
          : { issues: [{ message: "must be even", path: [{ key: "value" }] }] };
      },
    },
  };
  const halve = task({ name: "halve", input: even });

  await queue.queries.enqueueTask(halve, 4);
  await expect(queue.queries.enqueueTask(halve, 3)).rejects.toThrow("value: must be even");
  const seen: number[] = [];
  await drain((pgq) => pgq.register(halve, (value) => void seen.push(value / 2)));
  expect(seen).toEqual([2]);
});

test("mistakes are refused with what to do", async () => {
  expect(() => task({ name: "" })).toThrow(/name/);
  expect(() => task({ name: "a", input: {} as never })).toThrow(
    'Cannot make task "a" as its input must be a Standard Schema, such as z.object({ … })',
  );
  expect(() => task({ name: "a", codec: {} as never })).toThrow("encode() and decode()");
  expect(() => task({ name: "a", retries: 3 } as never)).toThrow("retries");
  const pgq = await queue.worker();
  expect(() => pgq.register(welcome, undefined as never)).toThrow("Cannot register a task");
  pgq.register(welcome, () => {});
  expect(() => pgq.register(welcome, () => {})).toThrow("has a handler already");
  await pgq[Symbol.asyncDispose]();
});
