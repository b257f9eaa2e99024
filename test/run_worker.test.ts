/** runWorker(): factories of every form, restarts, and the two ways to stop. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type FactoryContext,
  openWorkerDriver,
  PgQueuer,
  type RunnableWorker,
  type RunOptions,
  runWorker,
  SchemaError,
  ShutdownError,
  type WorkerFactory,
} from "../mod.ts";
import { restartDelayMs } from "../src/backoff.ts";
import { deferred, openTestQueue, type TestQueue, until } from "./support/queue.ts";

type Run = (options?: RunOptions) => Promise<void>;

/** A worker by its shape, as that of another copy of this package. */
function aWorker(run: Run = () => Promise.resolve()): RunnableWorker {
  return Object.assign({ run, stop: vi.fn(() => Promise.resolve()) }, { entrypoint() {} });
}

/** A run that lasts until its signal aborts. */
const untilStopped: Run = (options) =>
  new Promise((resolve) => {
    if (options!.signal!.aborted) resolve();
    options!.signal!.addEventListener("abort", () => resolve());
  });

const fails = (error: unknown = new Error("no database")): Run => () => Promise.reject(error);

/** A logger whose lines of all levels are kept. */
function aLogger() {
  const lines: string[] = [];
  const add = (line: string): void => void lines.push(line);
  return { lines, debug: add, info: add, warn: add, error: add };
}

describe("a factory", () => {
  const forms: [title: string, form: (cleanUp: () => void, run: Run) => WorkerFactory][] = [
    ["gives a worker", (_, run) => () => aWorker(run)],
    ["gives a promise of one", (_, run) => () => Promise.resolve(aWorker(run))],
    ["is a generator", (cleanUp, run) =>
      async function* () {
        yield aWorker(run);
        cleanUp();
      }],
    ["gives what holds one", (cleanUp, run) => () => ({
      pgq: aWorker(run),
      [Symbol.asyncDispose]: () => Promise.resolve(cleanUp()),
    })],
  ];
  test.each(forms)("that %s: it is run, then cleaned up after", async (title, form) => {
    const happened: string[] = [];
    const cleanUp = (): void => void happened.push("cleaned up");

    await runWorker(form(cleanUp, () => Promise.resolve(void happened.push("ran"))));

    const cleans = /generator|holds/.test(title);
    expect(happened).toEqual(cleans ? ["ran", "cleaned up"] : ["ran"]);
  });

  test("gets arguments, DSN, names and a signal, and the run gets the options", async () => {
    const stop = new AbortController();
    let given: FactoryContext | undefined;
    let options: RunOptions | undefined;

    await runWorker((context) => {
      given = context;
      return aWorker((its) => {
        options = its;
        stop.abort();
        return Promise.resolve();
      });
    }, {
      args: ["--region", "north"],
      dsn: "postgresql://localhost/blog",
      settings: { prefix: "my_" },
      signal: stop.signal,
      batchSize: 7,
    });

    expect(given).toMatchObject({
      args: ["--region", "north"],
      dsn: "postgresql://localhost/blog",
      settings: { prefix: "my_", queueTable: "my_pgqueuer" },
    });
    expect(given!.signal.aborted).toBe(true);
    expect(options).toMatchObject({ batchSize: 7 });
  });

  test.each([
    ["nothing", () => undefined],
    ["an object without a worker", () => ({ pgq: 1 })],
  ])("that gives %s is refused, and not called again", async (_, factory) => {
    const spy = vi.fn(factory);

    await expect(runWorker(spy as never, { restartOnFailure: true, restartDelay: 0 })).rejects
      .toThrow(/^Cannot run a worker as its factory gives .*: it must give a PgQueuer$/);

    expect(spy).toHaveBeenCalledTimes(1);
  });

  test("that is a generator of something else can still clean up", async () => {
    const cleanUp = vi.fn();
    async function* factory(): AsyncGenerator<never> {
      try {
        yield 1 as never;
      } finally {
        cleanUp();
      }
    }

    await expect(runWorker(factory)).rejects.toThrow("its factory gives an instance of");

    expect(cleanUp).toHaveBeenCalledTimes(1);
  });
});

test.each([
  [{ restartOnFailure: "yes" }, /"restartOnFailure" as it must be true or false/],
  [{ restartDelay: -1 }, /"restartDelay" as it must be from 0/],
  [{ restartDelay: 5, maxRestartDelay: 4 }, /"maxRestartDelay" as it must be at least/],
  [{ forceSignal: {} }, /"forceSignal" as it must be an AbortSignal/],
  [{ onRestart: true }, /"onRestart" as it must be a function/],
  [{ batchSize: 0 }, /"batchSize"/],
  [{ restartOnFailur: true }, /"restartOnFailur" is not an option: known are .*"restartOnFailure"/],
])("refuses the options %j before it calls the factory", async (options, message) => {
  const factory = vi.fn(() => aWorker());

  await expect(runWorker(factory, options as never)).rejects.toThrow(message);

  expect(factory).not.toHaveBeenCalled();
});

describe("restartDelayMs()", () => {
  test("doubles from the first delay to the last, less up to a half", () => {
    const delays = [1, 2, 3, 4, 5, 60, 2_000].map((n) => restartDelayMs(n, 5_000, 60_000, 0));

    expect(delays).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
    expect(restartDelayMs(3, 5_000, 60_000, 1)).toBe(10_000);
  });

  test("waits a little all the same from the second failure on where the first delay is 0", () => {
    expect([1, 2, 3].map((failures) => restartDelayMs(failures, 0, 60_000, 0))).toEqual([
      0,
      100,
      200,
    ]);
  });
});

describe("with restartOnFailure", () => {
  test("each failure makes a new worker, after longer and longer waits, until one ends normally", async () => {
    const delays: number[] = [];
    const failures: number[] = [];
    const made: RunnableWorker[] = [];
    const error = new Error("no database");

    await runWorker(() => {
      made.push(aWorker(made.length < 4 ? fails(error) : undefined));
      // The factory itself may fail too.
      if (made.length === 2) throw error;
      return made.at(-1)!;
    }, {
      restartOnFailure: true,
      restartDelay: 4,
      maxRestartDelay: 10_000,
      onRestart(restart) {
        expect(restart.error).toBe(error);
        failures.push(restart.failures);
        delays.push(restart.delayMs);
      },
    });

    expect(made).toHaveLength(5);
    expect(failures).toEqual([1, 2, 3, 4]);
    for (const [i, delay] of delays.entries()) {
      const most = 4 * 2 ** i;
      // The second wait starts from what keeps a processor free.
      const whole = i === 0 ? most : 50 * 2 ** i;
      expect(delay).toBeLessThanOrEqual(whole);
      expect(delay).toBeGreaterThanOrEqual(whole / 2);
    }
  });

  test("after a healthy run the waits begin again", async () => {
    const failures: number[] = [];
    let run = 0;

    await runWorker(() =>
      aWorker(async () => {
        if (++run === 5) return;
        // Longer than the longest wait, so that it counts as healthy.
        if (run === 3) await new Promise((resolve) => setTimeout(resolve, 60));
        throw new Error("no database");
      }), {
      restartOnFailure: true,
      restartDelay: 0,
      maxRestartDelay: 40,
      onRestart: (restart) => void failures.push(restart.failures),
    });

    expect(failures).toEqual([1, 2, 1, 2]);
  });

  test("a worker that ends normally is not made again", async () => {
    const factory = vi.fn(() => aWorker());

    await runWorker(factory, { restartOnFailure: true, restartDelay: 0 });

    expect(factory).toHaveBeenCalledTimes(1);
  });

  test("every worker is closed and cleaned up after, also when that fails", async () => {
    const happened: string[] = [];
    const logger = aLogger();
    const run = runWorker(() => {
      const number = happened.length / 2 + 1;
      const pgq = Object.assign(aWorker(number === 3 ? undefined : fails()), {
        [Symbol.asyncDispose]: () => Promise.resolve(void happened.push(`closed ${number}`)),
      });
      return {
        pgq,
        [Symbol.asyncDispose]() {
          happened.push(`cleaned up ${number}`);
          return number === 2 ? Promise.reject(new Error("no cleaning")) : Promise.resolve();
        },
      };
    }, { restartOnFailure: true, restartDelay: 0, maxRestartDelay: 0, logger });
    await run;

    expect(happened).toEqual([1, 2, 3].flatMap((n) => [`closed ${n}`, `cleaned up ${n}`]));
    expect(logger.lines.filter((line) => line.includes("no cleaning"))).toHaveLength(1);
    expect(logger.lines.filter((line) => line.includes("starts again in 0 ms"))).toHaveLength(2);
  });

  test("a failed clean-up after a normal end is thrown, and no reason for another run", async () => {
    const factory = vi.fn(async function* () {
      yield aWorker();
      throw new Error("no cleaning");
    });

    await expect(runWorker(factory, { restartOnFailure: true, restartDelay: 0 })).rejects.toThrow(
      "no cleaning",
    );

    expect(factory).toHaveBeenCalledTimes(1);
  });

  test("the same PgQueuer again is refused", async () => {
    const pgq = aWorker(fails());

    await expect(runWorker(() => pgq, { restartOnFailure: true, restartDelay: 0 })).rejects.toThrow(
      "it gives the same PgQueuer again",
    );
  });

  const wrong: [title: string, error: unknown, again: boolean][] = [
    ["a wrong option", new RangeError('Cannot use "batchSize" as it must be an integer'), false],
    ["a wrong kind", new TypeError("Cannot make a PgQueuer as it must get a driver"), false],
    [
      "its cause",
      new Error("no worker", { cause: new TypeError("Cannot read the DSN as it is empty") }),
      false,
    ],
    ["no entrypoint", new Error("Cannot run as no entrypoint is registered"), false],
    ["a fetch without network", new TypeError("fetch failed"), true],
    ["missing tables", new SchemaError('Cannot start as table "pgqueuer" is missing'), true],
    ["something that is no error", "no database", true],
    ["nothing at all", undefined, true],
  ];
  test.each(wrong)("%s: %s", async (_, error, again) => {
    const factory = vi.fn(() => {
      if (factory.mock.calls.length === 1) throw error;
      return aWorker();
    });

    const run = runWorker(factory, { restartOnFailure: true, restartDelay: 0 });
    const thrown = await run.then(() => undefined, (reason) => reason);

    expect(thrown).toBe(again ? undefined : error);
    expect(factory).toHaveBeenCalledTimes(again ? 2 : 1);
  });
});

test("without it the first failure is thrown", async () => {
  const error = new Error("no database");
  const factory = vi.fn(() => aWorker(fails(error)));

  await expect(runWorker(factory)).rejects.toBe(error);

  expect(factory).toHaveBeenCalledTimes(1);
});

describe("a stop", () => {
  test("before the start calls no factory", async () => {
    const factory = vi.fn(() => aWorker());

    await runWorker(factory, { signal: AbortSignal.abort() });
    await runWorker(factory, { forceSignal: AbortSignal.abort() });

    expect(factory).not.toHaveBeenCalled();
  });

  test("ends a run, and a wait for a restart at once", async () => {
    for (const phase of ["run", "wait"]) {
      const stop = new AbortController();
      const reached = deferred();
      const factory = vi.fn(() => {
        return aWorker((options) => {
          if (phase === "wait") throw new Error("no database");
          reached.resolve();
          return untilStopped(options);
        });
      });
      const run = runWorker(factory, {
        restartOnFailure: true,
        restartDelay: { days: 1 },
        signal: stop.signal,
        onRestart: () => void setTimeout(reached.resolve, 0),
      });
      await reached.promise;

      stop.abort();
      await run;

      expect(factory).toHaveBeenCalledTimes(1);
    }
  });

  test("while the factory is at work ends its worker before it claims a job", async () => {
    const stop = new AbortController();
    const made = deferred<RunnableWorker>();
    let aborted: boolean | undefined;
    const run = runWorker(() => made.promise, { signal: stop.signal });

    stop.abort();
    made.resolve(aWorker((options) => {
      aborted = options!.signal!.aborted;
      return Promise.resolve();
    }));
    await run;

    expect(aborted).toBe(true);
  });

  test("that the factory heeds is a normal end, any other error of it is not", async () => {
    for (const heeds of [true, false]) {
      const stop = new AbortController();
      const error = new Error("no database");
      const run = runWorker(
        ({ signal }) =>
          new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(heeds ? signal.reason : error))
          ),
        { restartOnFailure: true, signal: stop.signal },
      );

      stop.abort();

      if (heeds) await run;
      else await expect(run).rejects.toBe(error);
    }
  });

  test("by forceSignal stops the run with a time-out of 0", async () => {
    const force = new AbortController();
    const running = deferred();
    const pgq = aWorker((options) => {
      running.resolve();
      return untilStopped(options);
    });
    const run = runWorker(() => pgq, { forceSignal: force.signal });
    await running.promise;

    force.abort();
    await run;

    expect(pgq.stop).toHaveBeenCalledWith({ timeout: 0 });
  });

  test("by forceSignal waits for no factory, and cleans up after what it gives later", async () => {
    const force = new AbortController();
    const made = deferred<RunnableWorker>();
    const closed = deferred();
    const ran = vi.fn(() => Promise.resolve());
    const run = runWorker(async function* () {
      yield await made.promise;
      closed.resolve();
    }, { forceSignal: force.signal });

    force.abort(new Error("enough"));
    await expect(run).rejects.toThrow("enough");
    made.resolve(aWorker(ran));
    await closed.promise;

    expect(ran).not.toHaveBeenCalled();
  });
});

describe("on a database", () => {
  let queue: TestQueue;
  beforeAll(async () => {
    queue = await openTestQueue();
  });
  beforeEach(() => queue.clear());
  afterAll(() => queue.close());

  const open = async (applicationName: string): Promise<PgQueuer> =>
    new PgQueuer(await openWorkerDriver(queue.dsn, { applicationName }), queue.names);

  test("a worker that starts before its tables are there runs once they are", async () => {
    const prefix = `${queue.names.prefix}late_`;
    const names = { ...queue.names, prefix };
    const errors: unknown[] = [];
    const done = deferred();
    const stop = new AbortController();

    const run = runWorker(async ({ settings }) => {
      const pgq = new PgQueuer(await openWorkerDriver(queue.dsn), settings);
      pgq.entrypoint("work", () => done.resolve());
      if (errors.length > 1) {
        await pgq.queries.install();
        await pgq.queries.enqueue("work", null);
      }
      return pgq;
    }, {
      settings: names,
      restartOnFailure: true,
      restartDelay: 1,
      signal: stop.signal,
      onRestart: ({ error }) => void errors.push(error),
    });
    await done.promise;
    stop.abort();
    await run;

    expect(errors.map((error) => (error as Error).name)).toEqual(["SchemaError", "SchemaError"]);
  });

  test("no failed worker leaves connections", async () => {
    const name = `${queue.names.prefix}failing`;
    let made = 0;

    await expect(runWorker(async () => {
      const pgq = await open(name);
      // Refused by the run before it begins, and thus before it would close the driver.
      if (++made < 3) pgq.run = () => Promise.reject(new Error("no database"));
      return pgq;
    }, { restartOnFailure: true, restartDelay: 1 })).rejects.toThrow("no entrypoint is registered");

    expect(made).toBe(3);
    await until(
      "all are closed",
      async () =>
        (await queue.sql`select 1 from pg_stat_activity where application_name = ${name}`)
          .length === 0,
    );
  });

  test("forceSignal puts running jobs back uncharged, deaf ones too", async () => {
    const force = new AbortController();
    const reasons: unknown[] = [];
    await queue.queries.enqueue(["hears", "deaf"], [null, null]);
    let running = 0;
    const run = runWorker(async () => {
      const pgq = await open("pgqueuer");
      pgq.entrypoint("hears", (_, { signal }) => {
        running++;
        return new Promise((_, reject) =>
          signal.addEventListener("abort", () => {
            reasons.push(signal.reason);
            reject(signal.reason);
          })
        );
      });
      pgq.entrypoint("deaf", () => {
        running++;
        return new Promise(() => {});
      });
      return pgq;
    }, { forceSignal: force.signal, shutdownTimeout: { hours: 1 } });
    await until("both run", () => running === 2);

    force.abort();
    await run;

    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toBeInstanceOf(ShutdownError);
    const released = { status: "queued", attempts: 0, queue_manager_id: null };
    expect(await queue.rows()).toMatchObject([released, released]);
  });
});
