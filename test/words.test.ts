/** The pure words: durations, settings, events, tracebacks, array literals. */
import { describe, expect, test } from "vitest";
import { type Job, resolveSettings } from "../mod.ts";
import { reconnectDelayMs } from "../src/backoff.ts";
import { toMs } from "../src/duration.ts";
import { healthCheckEvent, parseEvent } from "../src/event.ts";
import { byteaArray, numberArray, textArray } from "../src/sql/array_literal.ts";
import { fromBase64, toHex } from "../src/sql/bytes.ts";
import { tracebackOf } from "../src/traceback.ts";
import { resolveEntrypoint } from "../src/worker/entrypoint.ts";
import { resolveRunOptions } from "../src/worker/run_options.ts";

describe("toMs()", () => {
  test.each([
    [0, 0],
    [1.5, 1.5],
    [{ seconds: 30 }, 30_000],
    [{ days: 1, hours: 1, minutes: 1, seconds: 1, milliseconds: 1 }, 90_061_001],
    [{ minutes: 0.5 }, 30_000],
  ])("adds up %j", (given, ms) => {
    expect(toMs("delay", given)).toBe(ms);
  });

  test("takes an object whose units are getters of its prototype, as a Temporal.Duration has them", () => {
    class Fake {
      get years(): number {
        return 0;
      }
      get hours(): number {
        return 2;
      }
      get nanoseconds(): number {
        return 0;
      }
    }

    expect(toMs("delay", new Fake())).toBe(7_200_000);
  });
});

describe("resolveSettings()", () => {
  test("gives the names of the shared queue by default", () => {
    expect(resolveSettings({}, {})).toEqual({
      prefix: "",
      schema: null,
      channel: "ch_pgqueuer",
      function: "fn_pgqueuer_changed",
      trigger: "tg_pgqueuer_changed",
      queueStatusType: "pgqueuer_status",
      queueTable: "pgqueuer",
      queueTableLog: "pgqueuer_log",
      statisticsTable: "pgqueuer_statistics",
      schedulesTable: "pgqueuer_schedules",
      limitsTable: "pgqueuer_limits",
      durability: "durable",
      log: "full",
    });
  });

  test("prefixes every name that is not given itself", () => {
    const settings = resolveSettings({ prefix: "my_", queueTable: "jobs" }, {});

    expect(settings.queueTable).toBe("jobs");
    expect(settings.channel).toBe("my_ch_pgqueuer");
    expect(settings.queueStatusType).toBe("my_pgqueuer_status");
  });

  test("an option wins over the preferred variable, that over the bare one, that over the default", () => {
    const environment = {
      PGQUEUER_CHANNEL: "preferred",
      CHANNEL: "bare",
      QUEUE_TABLE: "bare_table",
    };

    expect(resolveSettings({ channel: "option" }, environment).channel).toBe("option");
    expect(resolveSettings({}, environment).channel).toBe("preferred");
    expect(resolveSettings({}, { CHANNEL: "bare" }).channel).toBe("bare");
    expect(resolveSettings({}, environment).queueTable).toBe("bare_table");
  });

  test.each(["Shop-Jobs.1", "1st", "a".repeat(63)])("takes the channel %s", (channel) => {
    expect(resolveSettings({}, { PGQUEUER_CHANNEL: channel }).channel).toBe(channel);
  });

  test.each([
    ["a quote in a channel", { channel: "a'b" }, /"channel" .*letters, digits/],
    ["a channel that begins with a dash", { channel: "-a" }, /"channel" .*begin with none/],
    ["a long channel", { channel: "c".repeat(64) }, /at most 63/],
    ["a quote", { prefix: 'a"b' }, /plain SQL identifier/],
    ["a statement", { schema: "public; drop table x" }, /plain SQL identifier/],
    ["a dot", { queueTable: "other.jobs" }, /plain SQL identifier/],
    ["a digit in front", { prefix: "1a" }, /plain SQL identifier/],
    ["an upper-case letter", { prefix: "My_" }, /lower case/],
    ["a long name", { queueTable: "q".repeat(36) }, /at most 35/],
    ["an unknown durability", { durability: "fast" as never }, /"durable", "balanced", "volatile"/],
  ])("refuses %s", (_, options, message) => {
    expect(() => resolveSettings(options, {})).toThrow(message);
  });

  test("refuses an option that it does not know", () => {
    expect(() => resolveSettings({ perfix: "a" } as never, {})).toThrow(
      '"perfix" is not an option',
    );
  });
});

describe("resolveRunOptions()", () => {
  test.each([
    [{ batchSize: 0 }, /integer >= 1/],
    [{ batchSize: 20_000 }, /at most 10000/],
    [{ maxConcurrentTasks: 1.5 }, /integer >= 1/],
    [{ dequeueTimeout: 0 }, /longer than 0/],
    [{ heartbeatTimeout: 5 }, /0 or at least 100/],
    [{ blockTimeout: 30_000 }, /0 or longer than heartbeatTimeout, 30000 ms/],
    [{ mode: "once" }, /"continuous", "drain"/],
    [{ signal: {} }, /AbortSignal/],
    [{ shutdownOnListenerFailure: 1 }, /true or false/],
    [{ batchsize: 1 }, /"batchsize" is not an option/],
  ])("refuses %j", (options, message) => {
    expect(() => resolveRunOptions(options as never)).toThrow(message);
  });

  test.each([
    [{}, 600_000],
    [{ heartbeatTimeout: 1_000 }, 20_000],
    [{ heartbeatTimeout: 0 }, 600_000],
    [{ heartbeatTimeout: 1_000, blockTimeout: 1_001 }, 1_001],
    [{ blockTimeout: 0 }, 0],
  ])("lets handlers block for a time that follows from %j", (options, blockTimeoutMs) => {
    expect(resolveRunOptions(options).blockTimeoutMs).toBe(blockTimeoutMs);
  });
});

describe("resolveEntrypoint()", () => {
  test.each([
    [{ concurrencyLimit: -1 }, /"concurrencyLimit".*integer >= 0/],
    [{ requestsPerSecond: 0 }, /"requestsPerSecond".*number > 0/],
    [{ requestsPerSecond: NaN }, /number > 0/],
    // It would be renewed every few milliseconds.
    [{ retryTimer: 5 }, /"retryTimer".*0 or at least 100 ms: current value is 5 ms/],
    [{ serializedDispatch: "yes" }, /true or false/],
    [{ timeout: -1 }, /"timeout"/],
    [{ onFailure: "keep" }, /"delete", "hold"/],
    [{ maxTakeOvers: 0 }, /integer >= 1/],
    [{ retry: { maxAttempts: 0 } }, /integer >= 1/],
    [{ retry: { jitter: 2 } }, /from 0 to 1/],
    [{ concurency: 1 }, /"concurency" is not an option/],
  ])("refuses %j", (options, message) => {
    expect(() => resolveEntrypoint("work", options as never, () => {})).toThrow(message);
  });

  test("takes 0 for no limit", () => {
    const options = { concurrencyLimit: 0, retryTimer: 0, timeout: 0 };

    expect(resolveEntrypoint("work", options, () => {})).toMatchObject({
      concurrencyLimit: 0,
      requestsPerSecond: Infinity,
      retryTimerMs: 0,
      timeoutMs: 0,
    });
  });
});

test("shutdownOnListenerFailure does not count in a drain, which ends by itself", () => {
  const resolved = (mode: "continuous" | "drain") =>
    resolveRunOptions({ mode, shutdownOnListenerFailure: true }).shutdownOnListenerFailure;

  expect([resolved("continuous"), resolved("drain")]).toEqual([true, false]);
});

describe("parseEvent()", () => {
  test("decodes each event of the contract and ignores keys that it does not know", () => {
    const common = { channel: "ch", sent_at: "2026-11-22T20:13:39.871151+00:00", more: 1 };

    for (
      const event of [
        { ...common, type: "table_changed_event", operation: "insert", table: "pgqueuer" },
        { ...common, type: "cancellation_event", ids: [1, 2] },
        { ...common, type: "health_check_event", id: "a" },
      ]
    ) {
      expect(parseEvent(JSON.stringify(event))).toMatchObject({ type: event.type });
    }
    expect(parseEvent(healthCheckEvent("ch", "b", { worker: "w", group: "g" }))).toMatchObject({
      id: "b",
      channel: "ch",
    });
  });

  test.each([
    "",
    "{",
    "null",
    "7",
    '{"type":"other"}',
    '{"type":"cancellation_event","channel":"ch"}',
  ])(
    "gives null for %j",
    (payload) => {
      expect(parseEvent(payload)).toBeNull();
    },
  );
});

describe("tracebackOf()", () => {
  const job = { id: 7, entrypoint: "work", queueManagerId: "me" } as Job;

  test("has the fields that the Python project reads, with causes", () => {
    class PaymentError extends Error {
      override readonly name = "PaymentError";
    }
    const error = new PaymentError("declined", { cause: new TypeError("no card") });

    const traceback = tracebackOf(error, job);

    expect(traceback).toMatchObject({
      job_id: 7,
      exception_type: "PaymentError",
      exception_message: "declined",
      additional_context: { entrypoint: "work", queue_manager_id: "me" },
    });
    expect(traceback.timestamp).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(traceback.traceback).toContain("declined");
    expect(traceback.traceback).toMatch(/Caused by: [^]*no card/);
  });

  test.each([
    ["a string", "plain text", "plain text"],
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["an object without text", Object.create(null), "a value that has no text"],
    ["what jsonb cannot hold", new Error("a\u0000b\ud800"), "ab\uFFFD"],
  ])("describes %s", (_, thrown, message) => {
    expect(tracebackOf(thrown, job).exception_message).toBe(message);
  });

  test("ends for causes that go round", () => {
    const error = new Error("round");
    error.cause = error;

    expect(tracebackOf(error, job).exception_message).toBe("round");
  });
});

test("array literals quote what needs it", () => {
  expect(numberArray([1, -2, 2 ** 53 - 1])).toBe("{1,-2,9007199254740991}");
  expect(textArray(["a", null, 'q"\\', "NULL", ""])).toBe('{"a",NULL,"q\\"\\\\","NULL",""}');
  expect(byteaArray([new Uint8Array([0, 255]), null, new Uint8Array()])).toBe(
    '{"\\\\x00ff",NULL,"\\\\x"}',
  );
});

test("bytes become hex and come back from the lines of base64 that PostgreSQL writes", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
  const lines = btoa(String.fromCharCode(...bytes)).replace(/.{76}/g, "$&\n");

  expect(toHex(bytes.subarray(9, 18))).toBe("090a0b0c0d0e0f1011");
  expect(Array.from(fromBase64(lines))).toEqual(Array.from(bytes));
  expect(fromBase64(lines).constructor).toBe(Uint8Array);
  expect(fromBase64("").length).toBe(0);
});

test("reconnects wait longer with each failure, up to two seconds, and never all the same", () => {
  expect([1, 2, 3, 9].map((failures) => reconnectDelayMs(failures, 0))).toEqual([
    50,
    100,
    200,
    2_000,
  ]);
  expect(reconnectDelayMs(1, 1)).toBe(25);
});
