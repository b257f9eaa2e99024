import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  fromPostgresJs,
  JobCanceledError,
  openWorkerDriver,
  PgQueuer,
  Queries,
  RetryRequested,
  SchemaError,
} from "../../mod.ts";
import { NO_POLL, POLLS_ONLY, POOLED_DSN } from "../support/pooler.ts";
import { bytes, deferred, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

test.skipIf(POLLS_ONLY)("an idle worker wakes by notification, not by its poll", async () => {
  const pgq = await queue.worker();
  const started = deferred<string>();
  pgq.entrypoint("work", (job) => started.resolve(text(job.payload)));
  const run = pgq.run({ dequeueTimeout: { hours: 1 } });
  await until("it listens", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity where query ilike ${`listen%${queue.names.prefix}%`}`)
      .length === 1);

  await queue.queries.enqueue("work", bytes("woken"));

  expect(await started.promise).toBe("woken");
  await pgq.stop();
  await run;
});

test("a handler that throws leaves a traceback in the log, and by default no job", async () => {
  const id = await queue.queries.enqueue("work", null);
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {
    throw new RangeError("out of ink\u0000");
  });

  await pgq.run({ mode: "drain" });

  expect(await queue.rows()).toEqual([]);
  const last = (await queue.log()).at(-1)!;
  expect(last).toMatchObject({ job_id: id, status: "exception" });
  expect(last.traceback).toMatchObject({
    job_id: id,
    exception_type: "RangeError",
    exception_message: "out of ink",
    additional_context: { entrypoint: "work" },
  });
});

test('onFailure "hold" keeps the job, without a lease, for somebody to look at', async () => {
  const id = await queue.queries.enqueue("work", bytes("kept"));
  const pgq = await queue.worker();
  pgq.entrypoint("work", { onFailure: "hold" }, () => Promise.reject(new Error("no")));

  await pgq.run({ mode: "drain" });

  expect(await queue.rows()).toMatchObject([{ id, status: "failed", queue_manager_id: null }]);
  expect(await queue.history(id!)).toEqual(["queued", "picked", "failed"]);
});

test("no more than maxConcurrentTasks handlers run at once, and all of them run", async () => {
  await queue.queries.enqueue("work", Array(60).fill(null));
  const pgq = await queue.worker();
  let running = 0;
  let most = 0;
  const all = deferred();
  pgq.entrypoint("work", async () => {
    most = Math.max(most, ++running);
    // The first ones wait for each other, so that the limit is reached whatever the machine does.
    if (running === 7) all.resolve();
    await all.promise;
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
  });

  await pgq.run({ mode: "drain", maxConcurrentTasks: 7, batchSize: 3 });

  expect(most).toBe(7);
  expect(await queue.rows()).toEqual([]);
});

test("a drain also runs what its handlers enqueue", async () => {
  const pgq = await queue.worker();
  const seen: string[] = [];
  pgq.entrypoint("first", async () => {
    seen.push("first");
    await pgq.queries.enqueue("second", null);
  });
  pgq.entrypoint("second", () => void seen.push("second"));
  await queue.queries.enqueue("first", null);

  await pgq.run({ mode: "drain" });

  expect(seen).toEqual(["first", "second"]);
});

test("a worker leaves jobs of other entrypoints alone", async () => {
  await queue.queries.enqueue(["mine", "theirs"], [null, null]);
  const pgq = await queue.worker();
  pgq.entrypoint("mine", () => {});

  await pgq.run({ mode: "drain" });

  expect(await queue.rows()).toMatchObject([{ status: "queued" }]);
});

test("two workers share a backlog and run each job once", async () => {
  const runs = new Map<number, number>();
  const workers = await Promise.all([queue.worker(), queue.worker()]);
  for (const pgq of workers) {
    pgq.entrypoint("work", (job) => void runs.set(job.id, (runs.get(job.id) ?? 0) + 1));
  }
  await queue.queries.enqueue("work", Array(2_000).fill(null));

  await Promise.all(workers.map((pgq) => pgq.run({ mode: "drain", batchSize: 20 })));

  expect(runs.size).toBe(2_000);
  expect([...runs.values()].every((count) => count === 1)).toBe(true);
});

test("a client of the caller works too and stays open", async () => {
  const pgq = new PgQueuer(fromPostgresJs(queue.sql), queue.names);
  pgq.entrypoint("work", () => {});
  await queue.queries.enqueue("work", null);

  await pgq.run({ mode: "drain" });
  await pgq.run({ mode: "drain" });

  expect(await queue.rows()).toEqual([]);
});

test("an idle worker sends one query in each dequeueTimeout", async () => {
  let queries = 0;
  let lastAt = Infinity;
  const driver = await openWorkerDriver(queue.dsn);
  const counting = {
    query: <Row>(sql: string, parameters: readonly (string | number | null)[]) => {
      queries++;
      lastAt = performance.now();
      return driver.query<Row>(sql, parameters);
    },
    polls: driver.polls,
    listen: driver.listen.bind(driver),
    script: driver.script.bind(driver),
    close: driver.close.bind(driver),
  };
  const pgq = new PgQueuer(counting, queue.names);
  pgq.entrypoint("work", () => {});
  const run = pgq.run({ dequeueTimeout: 200 });
  // What it asks at its start comes without a pause.
  await until("it is idle", () => performance.now() - lastAt > 150);
  const before = queries;
  const from = performance.now();

  await until("it has looked again", () => queries >= before + 5);
  const polls = (performance.now() - from) / 200;

  expect(queries - before).toBeLessThanOrEqual(Math.ceil(polls) + 1);
  await pgq.stop();
  await run;
});

test("mistakes are refused with what to do", async () => {
  const pgq = await queue.worker();

  await expect(pgq.run()).rejects.toThrow("no entrypoint is registered");
  pgq.entrypoint("work", () => {});
  expect(() => pgq.entrypoint("work", () => {})).toThrow("has a handler already");
  expect(() => pgq.entrypoint("", () => {})).toThrow(RangeError);
  expect(() => pgq.entrypoint("a", null as never)).toThrow("its handler must be a function");
  expect(() => pgq.entrypoint("a", { concurency: 1 } as never, () => {})).toThrow(
    '"concurency" is not an option',
  );
  expect(() => pgq.entrypoint("a", { onFailure: "retry" as never }, () => {})).toThrow(
    '"delete", "hold"',
  );
  // Options behind the handler would not be obeyed.
  expect(() => pgq.entrypoint("a", (() => {}) as never, { concurrencyLimit: 1 } as never))
    .toThrow("its handler must come last: behind it is an object");
  expect(() => new PgQueuer(queue.sql as never)).toThrow("openWorkerDriver(dsn)");
  for (
    const dsn of ["postgresql://app:secret@db/shop", "host=db password=secret", '"pg://:secret@"']
  ) {
    expect(() => new PgQueuer(dsn as never)).toThrow(/current value is "(\w+:\/\/)?\*\*\*", write/);
  }
  expect(() => new Queries(queue.sql as never)).toThrow("fromPostgresJs");
  await expect(pgq.run({ mode: "once" as never })).rejects.toThrow(RangeError);

  const run = pgq.run();
  await expect(pgq.run()).rejects.toThrow("runs already");
  expect(() => pgq.entrypoint("late", () => {})).toThrow("do it before run()");
  await pgq.stop();
  await run;
});

// A pooler keeps its own.
test.skipIf(POOLED_DSN !== undefined)(
  "a worker that cannot start closes its connections",
  async () => {
    const driver = await openWorkerDriver(queue.dsn, {
      applicationName: `${queue.names.prefix}start`,
    });
    const pgq = new PgQueuer(driver, { ...queue.names, prefix: "none_" });
    pgq.entrypoint("work", () => {});

    await expect(pgq.run()).rejects.toThrow(SchemaError);

    await until("they are closed", async () =>
      (await queue.sql`
      select 1 from pg_stat_activity where application_name = ${`${queue.names.prefix}start`}`)
        .length === 0);
  },
);

test("openWorkerDriver() refuses a missing DSN and passes on why it cannot connect", async () => {
  await expect(openWorkerDriver(undefined)).rejects.toThrow(TypeError);
  await expect(openWorkerDriver("mysql://u:secret@h/d")).rejects.toThrow(TypeError);
  await expect(openWorkerDriver("postgresql://u:secret@127.0.0.1:1/d")).rejects.toThrow(
    /ECONNREFUSED|refused/i,
  );
});

test.skipIf(POLLS_ONLY)("a channel with capitals, dots and dashes wakes the worker", async () => {
  const own = await openTestQueue();
  const settings = { ...own.names, channel: `Shop-Jobs.${own.names.prefix}` };
  await own.queries.uninstall();
  const queries = new Queries(fromPostgresJs(own.sql), settings);
  await queries.install();
  const seen: number[] = [];
  const pgq = await own.worker(settings);
  pgq.entrypoint("work", ({ id }) => void seen.push(id));
  const run = pgq.run({ dequeueTimeout: NO_POLL });
  // The second one comes when the worker waits.
  for (const count of [1, 2]) {
    await queries.enqueue("work", null);
    await until("it has run", async () => seen.length === count && (await own.rows()).length === 0);
  }

  await pgq.stop();
  await run;
  await own.close();
  expect(seen).toHaveLength(2);
});

test("a handler that asks for another attempt gets it, and the log says why", async () => {
  const id = await queue.queries.enqueue("work", null, { dedupeKey: "kept" });
  const seen: number[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("work", (job) => {
    seen.push(job.attempts);
    if (job.attempts < 2) throw new RetryRequested({ delay: job.attempts * 50, reason: "not yet" });
  });
  const run = pgq.run({ dequeueTimeout: NO_POLL });
  await until("it has succeeded", async () => (await queue.history(id!)).includes("successful"));
  await pgq.stop();
  await run;

  expect(seen).toEqual([0, 1, 2]);
  const retries = (await queue.log()).filter((row) => row.traceback !== null);
  expect(retries.map((row) => row.status)).toEqual(["queued", "queued"]);
  expect(retries[1]!.traceback).toMatchObject({
    exception_type: "RetryRequested",
    additional_context: { attempt: 1, retry_delay: "0:00:00.050000", reason: "not yet" },
  });
});

test("the retry option repeats a failing job so many times, then onFailure counts", async () => {
  const id = await queue.queries.enqueue("work", null);
  let runs = 0;
  const pgq = await queue.worker();
  pgq.entrypoint("work", { retry: { maxAttempts: 3, initialDelay: 5 }, onFailure: "hold" }, () => {
    runs++;
    throw new Error("again");
  });
  const run = pgq.run({ dequeueTimeout: NO_POLL });
  await until("it is held", async () => (await queue.rows())[0]?.status === "failed");
  await pgq.stop();
  await run;

  expect(runs).toBe(3);
  expect(await queue.rows()).toMatchObject([{ id, attempts: 2 }]);
});

test("an attempt that takes longer than its time-out is aborted and has failed", async () => {
  const id = await queue.queries.enqueue("work", null);
  const pgq = await queue.worker();
  pgq.entrypoint(
    "work",
    { timeout: 50 },
    (_, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      ),
  );

  await pgq.run({ mode: "drain" });

  expect((await queue.log()).at(-1)).toMatchObject({
    job_id: id,
    status: "exception",
    traceback: { exception_type: "JobTimeoutError" },
  });
});

test("cancel() ends queued and held jobs at once and stops running ones on any worker", async () => {
  const pgq = await queue.worker();
  const reasons: unknown[] = [];
  let started = 0;
  pgq.entrypoint("work", (_, { signal }) => {
    started++;
    return new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason);
        reject(signal.reason);
      })
    );
  });
  const run = pgq.run({ dequeueTimeout: NO_POLL, maxConcurrentTasks: 600 });
  const running = await queue.queries.enqueue("work", Array(500).fill(null)) as number[];
  await until("all run", () => started === 500);
  const queued = await queue.queries.enqueue("other", Array(1_500).fill(null)) as number[];

  const found = await queue.queries.cancel([...running, ...queued, 999_999_999]);

  expect(found).toHaveLength(2_000);
  await until("all have ended", async () => (await queue.rows()).length === 0);
  expect(reasons).toHaveLength(500);
  expect(reasons.every((reason) => reason instanceof JobCanceledError)).toBe(true);
  const ended = (await queue.log()).filter((row) => row.status === "canceled").map((row) =>
    row.job_id
  );
  expect(ended.sort((a, b) => a - b)).toEqual([...running, ...queued]);
  await pgq.stop();
  await run;
});

test("a canceled job keeps its dedupe key until its handler has stopped", async () => {
  const stop = deferred();
  const pgq = await queue.worker();
  const started = deferred();
  const aborted = deferred();
  pgq.entrypoint("work", async (_, { signal }) => {
    signal.addEventListener("abort", () => aborted.resolve());
    started.resolve();
    await stop.promise;
    signal.throwIfAborted();
  });
  const run = pgq.run();
  const id = await queue.queries.enqueue("work", null, { dedupeKey: "one" });
  await started.promise;

  await queue.queries.cancel([id!]);
  await aborted.promise;

  expect(await queue.queries.enqueue("work", null, { dedupeKey: "one" })).toBeNull();
  stop.resolve();
  await until("it has ended", async () => (await queue.rows()).length === 0);
  expect(await queue.history(id!)).toEqual(["queued", "picked", "canceled"]);
  await pgq.stop();
  await run;
});

test("a cancel whose notification is lost is seen by the next heartbeat", async () => {
  const started = deferred();
  const aborted = deferred<unknown>();
  const pgq = await queue.worker();
  pgq.entrypoint("work", (_, { signal }) => {
    started.resolve();
    return new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => {
        aborted.resolve(signal.reason);
        reject(signal.reason);
      })
    );
  });
  const run = pgq.run({ heartbeatTimeout: 900 });
  await queue.queries.enqueue("work", null);
  await started.promise;

  await queue.sql`update ${queue.sql(queue.table)} set cancel_requested = true`;

  expect(await aborted.promise).toBeInstanceOf(JobCanceledError);
  await pgq.stop();
  await run;
});

test("a job whose workers die too often in a row is held, with the reason in the log", async () => {
  const id = await queue.queries.enqueue("work", null);
  const dead = "00000000-0000-0000-0000-000000000001";
  await queue.sql`
    update ${queue.sql(queue.table)}
    set status = 'picked', queue_manager_id = ${dead}, take_overs = 4, heartbeat = now() - interval '1 hour'`;
  const pgq = await queue.worker();
  let runs = 0;
  pgq.entrypoint("work", () => void runs++);
  const run = pgq.run({ dequeueTimeout: NO_POLL });

  await until("it is held", async () => (await queue.rows())[0]?.status === "failed");

  await pgq.stop();
  await run;
  expect(runs).toBe(0);
  expect((await queue.log()).at(-1)).toMatchObject({
    job_id: id,
    status: "failed",
    traceback: { exception_message: "5 workers in a row died while they ran this job" },
  });
});

test("retryTimer takes a job over before the run's heartbeatTimeout, for its entrypoint only", async () => {
  await queue.queries.enqueue(["impatient", "patient"], [null, null]);
  const dead = "00000000-0000-0000-0000-000000000001";
  await queue.sql`
    update ${queue.sql(queue.table)}
    set status = 'picked', queue_manager_id = ${dead}, heartbeat = now() - interval '5 seconds'`;
  const ran: string[] = [];
  const pgq = await queue.worker();
  pgq.entrypoint("impatient", { retryTimer: { seconds: 2 } }, () => void ran.push("impatient"));
  pgq.entrypoint("patient", () => void ran.push("patient"));

  await pgq.run({ mode: "drain" });

  expect(ran).toEqual(["impatient"]);
});

test("serializedDispatch runs jobs without a key one after another, and keyed ones beside them", async () => {
  const keys = Array.from({ length: 30 }, (_, n) => n % 3 === 0 ? null : `key ${n}`);
  await queue.queries.enqueue("work", keys.map(() => null), { dedupeKey: keys });
  const running = { keyless: 0, all: 0 };
  const most = { keyless: 0, all: 0 };
  const workers = await Promise.all([queue.worker(), queue.worker()]);
  for (const pgq of workers) {
    pgq.entrypoint("work", { serializedDispatch: true }, async (job) => {
      if (job.dedupeKey === null) most.keyless = Math.max(most.keyless, ++running.keyless);
      most.all = Math.max(most.all, ++running.all);
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (job.dedupeKey === null) running.keyless--;
      running.all--;
    });
  }

  await Promise.all(workers.map((pgq) => pgq.run({ mode: "drain" })));

  expect(await queue.rows()).toEqual([]);
  expect(most.keyless).toBe(1);
  expect(most.all).toBeGreaterThan(1);
});
