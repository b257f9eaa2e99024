import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { fromPostgresJs, openWorkerDriver, PgQueuer, Queries, SchemaError } from "../../mod.ts";
import { bytes, deferred, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

test("an idle worker wakes by notification, not by its poll", async () => {
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
  pgq.entrypoint("work", async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
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
  const driver = await openWorkerDriver(queue.dsn);
  const counting = {
    query: <Row>(sql: string, parameters: readonly (string | number | null)[]) => {
      queries++;
      return driver.query<Row>(sql, parameters);
    },
    listen: driver.listen.bind(driver),
    script: driver.script.bind(driver),
    close: driver.close.bind(driver),
  };
  const pgq = new PgQueuer(counting, queue.names);
  pgq.entrypoint("work", () => {});
  const run = pgq.run({ dequeueTimeout: 200 });
  await until("it is idle", () => queries > 4);
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
  expect(() => new PgQueuer(queue.sql as never)).toThrow("openWorkerDriver(dsn)");
  expect(() => new Queries(queue.sql as never)).toThrow("fromPostgresJs");
  await expect(pgq.run({ mode: "once" as never })).rejects.toThrow(RangeError);

  const run = pgq.run();
  await expect(pgq.run()).rejects.toThrow("runs already");
  expect(() => pgq.entrypoint("late", () => {})).toThrow("do it before run()");
  await pgq.stop();
  await run;
});

test("a worker that cannot start closes its connections", async () => {
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
});

test("openWorkerDriver() refuses a missing DSN and passes on why it cannot connect", async () => {
  await expect(openWorkerDriver(undefined)).rejects.toThrow(TypeError);
  await expect(openWorkerDriver("mysql://u:secret@h/d")).rejects.toThrow(TypeError);
  await expect(openWorkerDriver("postgresql://u:secret@127.0.0.1:1/d")).rejects.toThrow(
    /ECONNREFUSED|refused/i,
  );
});
