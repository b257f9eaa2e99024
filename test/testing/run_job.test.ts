/** `fakeJob` and `runJob`: what a handler gets, and what a worker would make of it. */
import { describe, expect, test } from "vitest";
import {
  type Handler,
  type Job,
  type JobContext,
  JobTimeoutError,
  LeaseLostError,
  type Logger,
  RetryRequested,
  ShutdownError,
} from "../../mod.ts";
import { fakeJob, runJob } from "../../src/testing/mod.ts";
import { bytes } from "../support/queue.ts";

/** Ends when its signal aborts, with that reason. */
const untilAborted: Handler = (_, { signal }) =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });

const throwing = (error: unknown): Handler => () => {
  throw error;
};

describe("fakeJob()", () => {
  test("fills every field as a claim does", () => {
    const job = fakeJob();

    expect(job).toEqual({
      id: 1,
      priority: 0,
      created: expect.any(Date),
      updated: expect.any(Date),
      heartbeat: expect.any(Date),
      executeAfter: expect.any(Date),
      status: "picked",
      entrypoint: "test",
      dedupeKey: null,
      payload: null,
      headers: null,
      attempts: 0,
      queueManagerId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      slot: null,
    });
  });

  test("takes what the test gives, and the default for what is undefined", () => {
    const job = fakeJob({ id: 7, payload: bytes("1"), headers: { a: 1 }, attempts: undefined });

    expect(job).toMatchObject({ id: 7, payload: bytes("1"), headers: { a: 1 }, attempts: 0 });
  });

  test.each([
    [{ payload: "1" }, /"payload" must be a Uint8Array or null: .* new TextEncoder/],
    [{ headers: [] }, /"headers" as it must be a JSON object/],
    [{ priority: 1.5 }, /"priority" as it must be an integer/],
    [{ entrypoint: "" }, /"entrypoint" as it must not be empty/],
    [{ attempt: 1 }, /"attempt" is not an option: known are "id", "priority"/],
  ])("refuses %j, which no job of the queue has", (fields, message) => {
    expect(() => fakeJob(fields as never)).toThrow(message);
  });
});

describe("runJob()", () => {
  test("gives the handler the resources of the test, and none where there are none", async () => {
    const resources = { mail: [] as string[] };
    const given: unknown[] = [];
    const handler = (_: Job, context: JobContext): void => void given.push(context.resources);

    await runJob(handler, fakeJob(), { resources });
    await runJob(handler, fakeJob());

    expect(given[0]).toBe(resources);
    expect(given[1]).toBe(undefined);
  });

  test("gives the handler the job and its context, and says that it is done", async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const logger: Logger = { debug: write, info: write, warn: write, error: write };
    const job = fakeJob({ id: 3, entrypoint: "index" });
    const seen: unknown[] = [];

    const result = await runJob(
      (job, { signal, log }) => {
        seen.push(job, signal.aborted);
        log.info("hello");
      },
      job,
      { logger },
    );

    expect(result).toEqual({ status: "successful" });
    expect(seen).toEqual([job, false]);
    expect(lines).toEqual(["index job 3: hello"]);
  });

  test.each([["exception", undefined], ["exception", "delete"], ["failed", "hold"]] as const)(
    "says %s with what was thrown when onFailure is %s",
    async (status, onFailure) => {
      const error = new TypeError("no such article");

      expect(await runJob(throwing(error), fakeJob(), { onFailure })).toEqual({ status, error });
    },
  );

  test("says when a job runs again whose handler asked for it", async () => {
    const error = new RetryRequested({ delay: { minutes: 1 }, reason: "rate limited" });

    expect(await runJob(throwing(error), fakeJob())).toEqual({
      status: "retry",
      delayMs: 60_000,
      reason: "rate limited",
      error,
    });
  });

  test("obeys the retry policy: delays that grow, then the end", async () => {
    const error = new Error("down");
    const retry = { maxAttempts: 3, initialDelay: 100, jitter: 0 };
    const attempt = (attempts: number) =>
      runJob(throwing(error), fakeJob({ attempts }), { retry, onFailure: "hold" });

    expect(await attempt(0)).toEqual({ status: "retry", delayMs: 100, reason: null, error });
    expect(await attempt(1)).toMatchObject({ status: "retry", delayMs: 200 });
    expect(await attempt(2)).toEqual({ status: "failed", error });
  });

  test("obeys the policy's own function, and fails with what that throws", async () => {
    const decide = (error: unknown) => {
      if (error === "never") return false;
      if (error === "broken") throw new Error("decide is broken");
      return { seconds: 9 };
    };
    const attempt = (error: unknown) =>
      runJob(throwing(error), fakeJob(), { retry: { decide, maxAttempts: 2 } });

    expect(await attempt("never")).toEqual({ status: "exception", error: "never" });
    expect(await attempt("later")).toMatchObject({ status: "retry", delayMs: 9_000 });
    expect(await attempt("broken")).toMatchObject({
      status: "exception",
      error: { message: "decide is broken" },
    });
  });

  test("ends an attempt that takes too long, also one that then claims success", async () => {
    const late: Handler = (_, { signal }) =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve()));

    for (const handler of [untilAborted, late]) {
      const result = await runJob(handler, fakeJob(), { timeout: 20 });

      expect(result.status).toBe("exception");
      expect(result.status === "exception" && result.error).toBeInstanceOf(JobTimeoutError);
    }
  });

  test.each([
    ["canceled", undefined],
    ["canceled", new Error("of the test's own")],
    ["released", new ShutdownError()],
    ["released", new LeaseLostError(1, "taken over")],
  ])("says %s when the signal aborts with %s", async (status, reason) => {
    const before = AbortSignal.abort(reason);
    const during = new AbortController();
    setTimeout(() => during.abort(reason), 5);

    expect(await runJob(untilAborted, fakeJob(), { signal: before })).toEqual({ status });
    expect(await runJob(untilAborted, fakeJob(), { signal: during.signal })).toEqual({ status });
  });

  test("a handler that ends well in spite of a cancel is done", async () => {
    const result = await runJob(() => {}, fakeJob(), { signal: AbortSignal.abort() });

    expect(result).toEqual({ status: "successful" });
  });

  test.each([
    [{ timeOut: 1 }, /"timeOut" is not an option/],
    [{ timeout: -1 }, /"timeout" as it must be from 0/],
    [{ retry: { maxAttempts: 0 } }, /"maxAttempts" as it must be an integer >= 1/],
    [{ onFailure: "keep" }, /"delete", "hold"/],
  ])("refuses the options %j", async (options, message) => {
    await expect(runJob(() => {}, fakeJob(), options as never)).rejects.toThrow(message);
  });

  test("refuses a handler that is none", async () => {
    await expect(runJob(undefined as never, fakeJob())).rejects.toThrow(
      "Cannot run a job as its handler must be a function: current value is undefined",
    );
  });
});

test("runJob() gives a transactional handler the transaction of the test", async () => {
  const tx = { said: [] as string[] };
  const handler = (_: unknown, context: { tx: typeof tx; signal: AbortSignal }): void => {
    context.tx.said.push(`${context.signal.aborted}`);
  };

  const result = await runJob(handler, fakeJob(), { tx });

  expect(result).toEqual({ status: "successful" });
  expect(tx.said).toEqual(["false"]);
});
