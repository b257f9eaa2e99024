/** What tests expect of the queue, and what they are told when it is not so. */
import process from "node:process";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TransactionSql } from "postgres";
import { getQueue, type JobId, type Queries } from "../../mod.ts";
import {
  enqueuedJobs,
  type ExpectationError,
  type ExpectedJob,
  expectEnqueued,
  openTestTransaction,
  refuteEnqueued,
  type TestTransaction,
} from "../../src/testing/mod.ts";
import { bytes, openTestQueue, type TestQueue } from "../support/queue.ts";

const json = (value: unknown): Uint8Array => bytes(JSON.stringify(value));

/** As `expect.any(Number)` of vitest, Jest and `@std/expect` is made. */
const aNumber = {
  asymmetricMatch: (value: unknown) => typeof value === "number",
  toAsymmetricMatcher: () => "Any<Number>",
};
const isTwo = Object.assign((value: unknown) => value === 2, {
  toString: () => "(value) => value === 2",
});

let base: TestQueue;
let transaction: TestTransaction<TransactionSql>;
let queue: Queries;
beforeAll(async () => base = await openTestQueue());
beforeEach(async () => {
  transaction = await openTestTransaction(base.sql, base.names);
  queue = transaction.queue;
});
afterEach(() => transaction.rollBack());
afterAll(() => base.close());

/** The error of an expectation that fails, with ids as they are in a fresh table. */
async function failure(expectation: Promise<unknown>, firstId: JobId | null): Promise<string> {
  const error = await expectation.then(() => undefined, (error) => error as ExpectationError);
  return (error?.message ?? "no error").replace(/\bjob (\d+) /g, (_, id) => {
    return `job ${Number(id) - (firstId ?? 1) + 1} `;
  }).replace(/\bjob (\d+)$/gm, (_, id) => `job ${Number(id) - (firstId ?? 1) + 1}`);
}

describe("expectEnqueued()", () => {
  const patterns: [string, Partial<ExpectedJob>][] = [
    ["its entrypoint alone", {}],
    ["its payload as bytes", {
      payload: json({ id: 42, tags: ["a", "b"], user: { name: "Ada" } }),
    }],
    ["its payload as text", { payload: '{"id":42,"tags":["a","b"],"user":{"name":"Ada"}}' }],
    ["a part of the JSON in its payload", { payload: { user: { name: "Ada" } } }],
    ["an array in its payload", { payload: { tags: ["a", "b"] } }],
    ["a matcher of the test runner", { payload: { id: aNumber } }],
    ["functions", { payload: { id: (id: number) => id > 41, tags: ["a", () => true] } }],
    ["a part of its headers", { headers: { trace: "abc" } }],
    ["its priority", { priority: 5 }],
    ["its dedupe key", { dedupeKey: "welcome 42" }],
    ["its delay", { executeAfter: { minutes: 5 } }],
    ["its delay, exactly", { executeAfter: 300_000, within: 0 }],
    ["everything", {
      payload: { id: 42 },
      headers: { trace: "abc" },
      priority: 5,
      dedupeKey: "welcome 42",
      executeAfter: { minutes: 5 },
    }],
  ];

  test.each(patterns)("finds a job by %s", async (_, pattern) => {
    const payload = json({ id: 42, tags: ["a", "b"], user: { name: "Ada" } });
    const [, id] = await queue.enqueueMany([
      { entrypoint: "index_article", payload },
      {
        entrypoint: "send_welcome",
        payload,
        headers: { trace: "abc", more: 1 },
        priority: 5,
        dedupeKey: "welcome 42",
        executeAfter: { minutes: 5 },
      },
    ]);

    const job = await expectEnqueued(queue, { entrypoint: "send_welcome", ...pattern });

    expect(job).toMatchObject({ id, status: "queued", payload });
  });

  test("finds what is absent: no payload, no headers, no key, no delay", async () => {
    const id = await queue.enqueue("tick", null);

    const job = await expectEnqueued(queue, {
      entrypoint: "tick",
      payload: null,
      headers: null,
      dedupeKey: null,
      executeAfter: 0,
      within: 0,
    });

    expect(job.id).toBe(id);
  });

  test("finds an instant, a second off or as far as it is told", async () => {
    const due = new Date("2100-01-01T00:00:00Z");
    await queue.enqueue("tick", null, { executeAfter: due });
    const near = (ms: number): Date => new Date(due.getTime() + ms);

    await expectEnqueued(queue, { entrypoint: "tick", executeAfter: near(-1_000) });
    await expectEnqueued(queue, {
      entrypoint: "tick",
      executeAfter: near(60_000),
      within: { minutes: 1 },
    });

    await expect(expectEnqueued(queue, { entrypoint: "tick", executeAfter: near(1_001) })).rejects
      .toThrow("executeAfter");
  });

  test("gives as many jobs as are expected, in their order", async () => {
    const ids = await queue.enqueue("tick", [bytes("1"), bytes("2")]);

    const jobs = await expectEnqueued(queue, { entrypoint: "tick", count: 2 });

    expect(jobs.map((job) => job.id)).toEqual(ids);
    expect((await expectEnqueued(queue, { entrypoint: "tick" })).id).toBe(ids[0]);
  });

  test("takes a transaction too, and queries outside of any", async () => {
    const names = { ...process.env };
    process.env["PGQUEUER_SCHEMA"] = base.names.schema;
    process.env["PGQUEUER_PREFIX"] = base.names.prefix;
    try {
      await getQueue(transaction.tx).enqueue("tick", null);

      expect((await expectEnqueued(transaction.tx, { entrypoint: "tick" })).entrypoint).toBe(
        "tick",
      );
      await refuteEnqueued(base.queries, { entrypoint: "tick" });
    } finally {
      for (const name of ["PGQUEUER_SCHEMA", "PGQUEUER_PREFIX"]) {
        if (names[name] === undefined) delete process.env[name];
        else process.env[name] = names[name];
      }
    }
  });

  test("shows the queue and in what the nearest job differs", async () => {
    const [first] = await queue.enqueueMany([
      { entrypoint: "index_article", payload: bytes("1") },
      {
        entrypoint: "send_welcome",
        payload: json({ id: 41, user: { name: "Ada" } }),
        headers: { trace: "abc" },
        dedupeKey: "welcome 41",
      },
      { entrypoint: "send_welcome", payload: new Uint8Array([0, 255, 7]), priority: 9 },
      { entrypoint: "tick", payload: null, executeAfter: new Date("2100-01-01T00:00:00Z") },
    ]);

    const message = await failure(
      expectEnqueued(queue, {
        entrypoint: "send_welcome",
        payload: { id: 42, user: { name: "Ada" } },
        headers: { trace: "abc" },
        priority: 10,
      }),
      first!,
    );

    expect(message).toBe(
      `Cannot find the expected job in the queue: none of its 4 jobs matches

expected    send_welcome, payload {"id":42,"user":{"name":"Ada"}}, headers {"trace":"abc"}, priority 10

nearest     job 2
              payload.id
                expected 42
                found    41
              priority
                expected 10
                found    0

queue       job 1  index_article, payload 1
            job 2  send_welcome, payload {"id":41,"user":{"name":"Ada"}}, dedupeKey "welcome 41", headers {"trace":"abc"}
            job 3  send_welcome, payload 3 bytes 00 ff 07, priority 9
            job 4  tick, payload null, executeAfter 2100-01-01T00:00:00.000Z`,
    );
  });

  test("has the fields by which test runners know an assertion and show its difference", async () => {
    await queue.enqueue("send_welcome", json({ id: 41 }));

    const error = await expectEnqueued(queue, { entrypoint: "send_welcome", payload: { id: 42 } })
      .catch((error) => error);

    expect(error).toBeInstanceOf(Error);
    expect({ ...error }).toEqual({
      name: "AssertionError",
      code: "ERR_ASSERTION",
      operator: "expectEnqueued",
      expected: { "payload.id": "42" },
      actual: { "payload.id": "41" },
      showDiff: true,
    });
  });

  test("says so when the queue is empty", async () => {
    expect(await failure(expectEnqueued(queue, { entrypoint: "send_welcome" }), null)).toBe(
      `Cannot find the expected job in the queue: it is empty

expected    send_welcome`,
    );
  });

  test("takes a job of a misspelt entrypoint for nearer than one that shares nothing", async () => {
    const first = await queue.enqueue("tick", null);
    await queue.enqueue("send_welcom", bytes("42"), { executeAfter: { minutes: 1 } });

    const message = await failure(
      expectEnqueued(queue, {
        entrypoint: "send_welcome",
        payload: "42",
        executeAfter: { minutes: 1 },
        within: 5,
      }),
      first,
    );

    expect(message).toContain(
      `expected    send_welcome, payload 42, executeAfter {"minutes":1}, within 5 ms

nearest     job 2
              entrypoint
                expected "send_welcome"
                found    "send_welcom"

queue `,
    );
  });

  test("takes a job of the entrypoint for nearer than one of another with the same payload", async () => {
    await queue.enqueue("index_article", json({ id: 42 }));
    await queue.enqueue("send_welcome", json({ id: 41 }));

    const error = await expectEnqueued(queue, {
      entrypoint: "send_welcome",
      payload: { id: 42 },
      priority: 1,
    }).catch((error) => error);

    expect(error.actual).toEqual({ "payload.id": "41", priority: "0" });
  });

  test("shows a job that is as expected and that a worker has claimed already", async () => {
    const id = await queue.enqueue("tick", null);
    await transaction.tx`update ${transaction.tx(base.table)} set status = 'picked'`;

    expect(await failure(expectEnqueued(queue, { entrypoint: "tick" }), id)).toContain(
      `nearest     job 1
              status
                expected queued
                found    picked

queue       job 1  tick, picked, payload null`,
    );
  });

  test("shows too few and too many", async () => {
    const first = await queue.enqueue("tick", bytes("1"));
    await queue.enqueue("tick", [bytes("2"), bytes("2")]);

    expect(
      await failure(expectEnqueued(queue, { entrypoint: "tick", payload: "2", count: 3 }), first),
    )
      .toBe(`Cannot find 3 expected jobs in the queue: 2 jobs match

expected    tick, payload 2

matching    job 2  tick, payload 2
            job 3  tick, payload 2

nearest     job 1
              payload
                expected 2
                found    1

others      job 1  tick, payload 1`);
    expect(
      await failure(expectEnqueued(queue, { entrypoint: "tick", payload: "2", count: 1 }), first),
    )
      .toBe(`Cannot accept the queue as it must hold 1 job of that kind: it holds 2

expected    tick, payload 2

matching    job 2  tick, payload 2
            job 3  tick, payload 2`);
  });

  test("shows twenty jobs and how many more there are", async () => {
    await queue.enqueue("tick", Array(30).fill(null));

    const message = await failure(expectEnqueued(queue, { entrypoint: "tock" }), null);

    expect(message.match(/tick, payload null/g)).toHaveLength(20);
    expect(message).toMatch(/\n {12}and 10 more$/);
  });

  const differing: [string, Uint8Array | null, ExpectedJob["payload"], string, string, string][] = [
    ["no JSON", bytes("abc"), { id: 1 }, "payload", 'JSON {"id":1}', "abc"],
    ["no payload", null, { id: 1 }, "payload", '{"id":1}', "null"],
    ["a payload where none is expected", bytes(""), null, "payload", "null", "no bytes"],
    ["a missing key", json({ a: 1 }), { b: 1 }, "payload.b", "1", "nothing"],
    ["an array of another length", json({ a: [1] }), { a: [1, 2] }, "payload.a", "[1,2]", "[1]"],
    ["an item of an array", json([1, { b: 2 }]), [1, { b: 3 }], "payload[1].b", "3", "2"],
    ["no object", json([1]), { a: 1 }, "payload", '{"a":1}', "[1]"],
    ["a number for a text", json({ a: "1" }), { a: 1 }, "payload.a", "1", '"1"'],
    ["a key that is no name", json({}), { "a b": true }, 'payload["a b"]', "true", "nothing"],
    ["a matcher", json({ a: "1" }), { a: aNumber }, "payload.a", "Any<Number>", '"1"'],
    ["a function", json({ a: 1 }), { a: isTwo }, "payload.a", "(value) => value === 2", "1"],
    ["bytes that are no text", new Uint8Array([1]), "a", "payload", "a", "1 byte 01"],
    [
      "a property of every object",
      json({}),
      { toString: null },
      "payload.toString",
      "null",
      "nothing",
    ],
  ];

  test.each(differing)(
    "tells of %s",
    async (_, payload, pattern, field, expected, found) => {
      await queue.enqueue("tick", payload);

      const error = await expectEnqueued(queue, { entrypoint: "tick", payload: pattern })
        .catch((error) => error);

      expect([error.expected, error.actual]).toEqual([{ [field]: expected }, { [field]: found }]);
    },
  );

  test("cuts what is long", async () => {
    await queue.enqueue("tick", bytes("x".repeat(1_000)));

    const message = await failure(expectEnqueued(queue, { entrypoint: "tock" }), null);

    expect(message).toContain(`payload ${"x".repeat(199)}…`);
    expect(message).not.toContain("x".repeat(200));
  });

  test.each([
    [{}, /"entrypoint" as it must be a string/],
    [{ entrypoint: "" }, /"entrypoint" as it must not be empty/],
    [{ entrypoint: "a", payloud: 1 }, /"payloud" is not an option/],
    [{ entrypoint: "a", count: 0 }, /"count" as it must be an integer >= 1/],
    [{ entrypoint: "a", priority: 1.5 }, /"priority" as it must be an integer/],
    [{ entrypoint: "a", headers: "x" }, /"headers" as it must be an object or null/],
    [{ entrypoint: "a", headers: { a: new Map() } }, /"headers.a" as it must be JSON: .* of Map/],
    [{ entrypoint: "a", payload: [new Date()] }, /"payload.0" as it must be JSON: .* of Date/],
    [{ entrypoint: "a", executeAfter: -1 }, /"executeAfter" as it must be from 0/],
    [{ entrypoint: "a", within: 1 }, /"within" as it says how far "executeAfter" may be off/],
  ])("refuses to expect %j", async (expected, message) => {
    await expect(expectEnqueued(queue, expected as never)).rejects.toThrow(message);
  });
});

describe("refuteEnqueued()", () => {
  test("is content with a queue that has no such job", async () => {
    await queue.enqueue("tick", bytes("1"));

    await refuteEnqueued(queue, { entrypoint: "tock" });
    await refuteEnqueued(queue, { entrypoint: "tick", payload: "2" });
  });

  test("shows the job that should not be there", async () => {
    const first = await queue.enqueue("tick", bytes("1"), { priority: 3 });

    expect(await failure(refuteEnqueued(queue, { entrypoint: "tick" }), first)).toBe(
      `Cannot accept the queue as it must hold no such job: it holds 1

unexpected  tick

matching    job 1  tick, payload 1, priority 3`,
    );
  });

  test("refuses a count", async () => {
    await expect(refuteEnqueued(queue, { entrypoint: "a", count: 1 } as never)).rejects.toThrow(
      '"count" is not an option',
    );
  });
});

describe("enqueuedJobs()", () => {
  test("gives the queued jobs in their order, of one entrypoint where it is told", async () => {
    const [a, b] = await queue.enqueueMany([
      { entrypoint: "tick", executeAfter: { days: 1 } },
      { entrypoint: "tock", priority: 5 },
      { entrypoint: "held" },
    ]);
    await transaction.tx`update ${
      transaction.tx(base.table)
    } set status = 'failed' where entrypoint = 'held'`;

    expect((await enqueuedJobs(queue)).map((job) => job.id)).toEqual([a, b]);
    expect((await enqueuedJobs(queue, { entrypoint: "tock" })).map((job) => job.id)).toEqual([b]);
  });

  test("refuses an option that it does not know", async () => {
    await expect(enqueuedJobs(queue, { name: "tick" } as never)).rejects.toThrow(
      '"name" is not an option',
    );
  });
});
