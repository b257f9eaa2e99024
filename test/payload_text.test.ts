/** A long payload of JSON comes as text: its bytes are made for who asks for them, and there as ever. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Job, type Task, task } from "../mod.ts";
import { payloadSize, payloadText } from "../src/payload_text.ts";
import { bytes, openTestQueue, type TestQueue, text } from "./support/queue.ts";

const value = { text: "é".repeat(5_000) };
const json = JSON.stringify(value);

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

/** What a worker gives the handler of `long`, whose one payload it is. */
async function seen<T>(payload: string, look: (job: Job) => T): Promise<T> {
  await queue.queries.enqueue("long", bytes(payload));
  const found: T[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("long", (job) => void found.push(look(job)));
  await pgq.run({ mode: "drain" });
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** What the handler of a task gets, whether it did without the bytes of the payload, and how its job ended. */
async function decoded(
  named: Task<never, unknown>,
  payload: string,
): Promise<{ value: unknown; asText: boolean; history: string[]; logged: string }> {
  const id = await queue.queries.enqueue(named.name, bytes(payload));
  const found = { value: undefined as unknown, asText: false };
  const pgq = await queue.worker();
  pgq.register(named, (value, job) => {
    found.asText = payloadText(job) !== undefined;
    found.value = value;
  });
  await pgq.run({ mode: "drain" });
  const [row] = await queue.sql<{ traceback: unknown }[]>`
    select traceback from ${queue.sql(queue.logTable)} where traceback is not null`;
  const logged = JSON.stringify(row?.traceback ?? "");
  return { ...found, history: await queue.history(id!), logged };
}

test("a handler that asks for the payload gets its bytes, the same each time", async () => {
  const found = await seen(json, (job) => {
    const first = job.payload!;
    return { is: text(first), same: job.payload === first, kind: first.constructor };
  });

  expect(found).toEqual({ is: json, same: true, kind: Uint8Array });
});

test.each<[string, (job: Job) => Uint8Array | null]>([
  ["a copy of the job", (job) => ({ ...job }).payload],
  ["Object.assign", (job) => Object.assign({}, job).payload],
  ["structuredClone", (job) => structuredClone(job).payload],
  ["its entries", (job) => Object.fromEntries(Object.entries(job))["payload"] as Uint8Array],
  ["a frozen job", (job) => Object.freeze(job).payload],
  ["destructuring", ({ payload }) => payload],
])("%s has it too", async (_, copy) => {
  expect(text(await seen(json, copy) as Uint8Array)).toBe(json);
});

test("a payload that is put in its place is not read as the former text", async () => {
  const found = await seen(json, (job) => {
    (job as { payload: Uint8Array | null }).payload = bytes("mine");
    return { is: text(job.payload!), asText: payloadText(job), size: payloadSize(job) };
  });

  expect(found).toEqual({ is: "mine", asText: undefined, size: 4 });
});

test("its size is told without making bytes, those of a short one and of none too", async () => {
  expect(await seen(json, (job) => [payloadSize(job), payloadText(job)])).toEqual([
    json.length,
    json,
  ]);
  expect(await seen('{"a":1}', (job) => [payloadSize(job), payloadText(job)])).toEqual([
    7,
    undefined,
  ]);
  expect(payloadSize({ payload: null } as Job)).toBe(0);
});

test("a task reads the text, and no bytes are made of it", async () => {
  const found = await decoded(task<typeof value>({ name: "long" }), json);

  expect(found).toMatchObject({ value, asText: true, history: ["queued", "picked", "successful"] });
});

test("a task with a codec, or whose decode was replaced, gets the bytes", async () => {
  const codec = {
    encode: (value: unknown) => value as Uint8Array,
    decode: (payload: Uint8Array) => payload.length,
  };
  expect(await decoded(task<number>({ name: "long", codec }), json))
    .toMatchObject({ value: bytes(json).length, asText: false });

  const replaced = {
    ...task<typeof value>({ name: "long" }),
    decode: (payload: Uint8Array | null) => Promise.resolve({ text: `${payload!.length}` }),
  };
  expect(await decoded(replaced, json))
    .toMatchObject({ value: { text: `${bytes(json).length}` }, asText: false });
});

test("text that is no JSON fails as it does in bytes", async () => {
  const long = task<unknown>({ name: "long" });
  const found = await decoded(long, `{"text":${" ".repeat(5_000)}`);

  expect(found.value).toBeUndefined();
  expect(found.history).toEqual(["queued", "picked", "failed"]);
  expect(found.logged).toContain("InvalidPayloadError");
  expect(found.logged).toContain("SyntaxError");
});
