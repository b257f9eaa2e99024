/** Transactional entrypoints: what the handler writes and the end of its job commit together, or neither does. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import pg from "pg";
import {
  type Driver,
  fromNodePostgres,
  getQueue,
  JobTimeoutError,
  LeaseLostError,
  openWorkerDriver,
  PgQueuer,
  RetryRequested,
  ShutdownError,
  task,
} from "../../mod.ts";
import { DRIVERS } from "../support/drivers.ts";
import { bytes, deferred, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let queue: TestQueue;
let table: string;
beforeAll(async () => {
  queue = await openTestQueue();
  table = `${queue.names.schema}.effect`;
  await queue.sql`create table ${queue.sql(table)} (job_id bigint, note text)`;
});
beforeEach(async () => {
  await queue.clear();
  await queue.sql`truncate ${queue.sql(table)}`;
});
afterAll(() => queue.close());

const effects = async (): Promise<number[]> =>
  (await queue.sql`select job_id::int as id from ${queue.sql(table)} order by job_id`)
    .map(({ id }) => id);

/** Writes by whichever handle it is. */
async function write(tx: unknown, jobId: number): Promise<void> {
  const statement = `insert into ${table} (job_id) values (${jobId})`;
  const { unsafe, query } = tx as Record<string, (text: string) => Promise<unknown>>;
  await (unsafe ? unsafe(statement) : query!.call(tx, statement));
}

interface Worker {
  readonly pgq: PgQueuer;
  /** What it logged. */
  readonly lines: string[];
  /** Runs it until the jobs that are there have ended. */
  drain(): Promise<void>;
  end(): Promise<void>;
}

describe.each(DRIVERS)("on %s", (_, open) => {
  async function worker(): Promise<Worker> {
    const { driver, end } = await open(queue.dsn, {
      poolSize: 8,
      statementTimeout: { seconds: 5 },
    });
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const pgq = new PgQueuer(driver, {
      ...queue.names,
      logger: { debug: log, info: log, warn: log, error: log },
    });
    return { pgq, lines, drain: () => pgq.run({ mode: "drain" }), end };
  }

  test("the writes, the chained job and the end of the job commit together", async () => {
    const { pgq, drain, end } = await worker();
    const inside: unknown[] = [];
    pgq.entrypoint("work", { transactional: true }, async (job, { tx }) => {
      await write(tx, job.id);
      await getQueue(tx as never, queue.names).enqueue("next", bytes("chained"));
      inside.push(await effects(), (await queue.rows()).map(({ status }) => status));
    });
    const seen: string[] = [];
    pgq.entrypoint("next", (job) => void seen.push(text(job.payload)));
    const id = await queue.queries.enqueue("work", null);

    await drain();

    // Nothing could be seen before the commit: the job was picked, and there was no other.
    expect(inside).toEqual([[], ["picked"]]);
    expect(await effects()).toEqual([id]);
    expect(seen).toEqual(["chained"]);
    expect(await queue.rows()).toEqual([]);
    expect(await queue.history(id!)).toEqual(["queued", "picked", "successful"]);
    await end();
  });

  test("what throws is rolled back, and deleted, held or retried as always", async () => {
    const { pgq, drain, end } = await worker();
    const handler = async (job: { id: number }, { tx }: { tx: unknown }): Promise<void> => {
      await write(tx, job.id);
      throw new RangeError("no");
    };
    const fails = { transactional: true } as const;
    pgq.entrypoint("deleted", fails, handler);
    pgq.entrypoint("held", { ...fails, onFailure: "hold" }, handler);
    const retry = { maxAttempts: 2, initialDelay: 0 };
    pgq.entrypoint("retried", { ...fails, retry }, handler);
    pgq.entrypoint("asks", fails, async (job, { tx }) => {
      await write(tx, job.id);
      if (job.attempts === 0) throw new RetryRequested({ reason: "once more" });
    });
    const [deleted, held, retried, asks] = await queue.queries.enqueue(
      ["deleted", "held", "retried", "asks"],
      [null, null, null, null],
    ) as number[];

    await drain();

    expect(await effects()).toEqual([asks]);
    expect(await queue.rows()).toMatchObject([{ id: held, status: "failed" }]);
    expect(await queue.history(deleted!)).toEqual(["queued", "picked", "exception"]);
    expect(await queue.history(held!)).toEqual(["queued", "picked", "failed"]);
    const again = ["queued", "picked", "queued", "picked"];
    expect(await queue.history(retried!)).toEqual([...again, "exception"]);
    expect(await queue.history(asks!)).toEqual([...again, "successful"]);
    const log = await queue.log();
    const failure = log.find((row) => row.job_id === deleted && row.status === "exception");
    expect(failure!.traceback).toMatchObject({ exception_message: "no" });
    await end();
  });

  test("a handler that goes on after an error of the server has failed, and is told why", async () => {
    const { pgq, drain, end } = await worker();
    pgq.entrypoint("work", { transactional: true, onFailure: "hold" }, async (job, { tx }) => {
      await write(tx, job.id);
      await write(tx, "no number" as never).catch(() => {});
    });
    await queue.queries.enqueue("work", null);

    await drain();

    expect(await effects()).toEqual([]);
    const [held] = await queue.queries.listFailed();
    expect(held!.traceback!.exception_message).toMatch(
      /^Cannot commit as no statement of the transaction may have failed/,
    );
    await end();
  });

  test("what the server refuses at the commit is a failure too", async () => {
    const { pgq, drain, end } = await worker();
    const once = `${queue.names.schema}.once_${randomBytes(3).toString("hex")}`;
    await queue.sql.unsafe(
      `create table ${once} (id int unique deferrable initially deferred); insert into ${once} values (1)`,
    );
    pgq.entrypoint("work", { transactional: true, onFailure: "hold" }, async (job, { tx }) => {
      await write(tx, job.id);
      const { unsafe, query } = tx as Record<string, (text: string) => Promise<unknown>>;
      await (unsafe ?? query!.bind(tx))(`insert into ${once} values (1)`);
    });
    await queue.queries.enqueue("work", null);

    await drain();

    expect(await effects()).toEqual([]);
    const [held] = await queue.queries.listFailed();
    expect(held!.traceback!.exception_message).toMatch(/duplicate key/);
    await end();
  });

  test("who has lost the lease is told, and everything is rolled back", async () => {
    const { pgq, lines, end } = await worker();
    const thief = crypto.randomUUID();
    let id = 0;
    pgq.entrypoint("work", { transactional: true }, async (job, { tx }) => {
      await write(tx, job.id);
      // Too late for a heartbeat to tell: the fence alone does.
      await queue.sql`
        update ${queue.sql(queue.table)} set queue_manager_id = ${thief} where id = ${job.id}`;
      id = job.id;
    });
    await queue.queries.enqueue("work", null);
    const run = pgq.run();

    await until("it has been dropped", () => lines.some((line) => line.includes("dropped the")));
    await pgq.stop();
    await run;

    expect(await effects()).toEqual([]);
    expect(await queue.rows()).toMatchObject([{ id, status: "picked", queue_manager_id: thief }]);
    expect(await queue.history(id)).toEqual(["queued", "picked"]);
    await end();
  });

  test("a lease that is lost while the handler runs aborts it, and frees what it has locked", async () => {
    const { pgq, lines, end } = await worker();
    const aborted = deferred<unknown>();
    const go = deferred();
    await queue.sql`insert into ${queue.sql(table)} values (-1, 'shared')`;
    pgq.entrypoint("work", { transactional: true }, async (_, { tx, signal }) => {
      const { unsafe, query } = tx as Record<string, (text: string) => Promise<unknown>>;
      await (unsafe ?? query!.bind(tx))(`update ${table} set note = 'mine' where job_id = -1`);
      signal.addEventListener("abort", () => aborted.resolve(signal.reason));
      // It does not obey.
      await go.promise;
    });
    await queue.queries.enqueue("work", null);
    const run = pgq.run({ heartbeatTimeout: 600 });
    await until(
      "the row is locked",
      async () =>
        (await queue.sql`select 1 from ${
          queue.sql(table)
        } where job_id = -1 for update skip locked`)
          .length === 0,
    );

    await queue.sql`
      update ${queue.sql(queue.table)}
      set queue_manager_id = ${crypto.randomUUID()}, heartbeat = now() + interval '1 hour'`;

    expect(await aborted.promise).toBeInstanceOf(LeaseLostError);
    // The attempt that has taken its place waits for no more than that.
    await queue.sql`update ${queue.sql(table)} set note = 'yours' where job_id = -1`;
    go.resolve();
    await until("it has been dropped", () => lines.some((line) => line.includes("dropped the")));
    await pgq.stop();
    await run;
    expect(await queue.sql`select note from ${queue.sql(table)}`).toEqual([{ note: "yours" }]);
    await end();
  });

  test("after its time-out an attempt is rolled back, with the statement that it waits for", async () => {
    const { pgq, drain, end } = await worker();
    const options = { transactional: true, timeout: 300, onFailure: "hold" } as const;
    let reason: unknown;
    pgq.entrypoint("work", options, async (job, { tx, signal }) => {
      await write(tx, job.id);
      const { unsafe, query } = tx as Record<string, (text: string) => Promise<unknown>>;
      await (unsafe ?? query!.bind(tx))("select pg_sleep(2)").catch(() => reason = signal.reason);
    });
    await queue.queries.enqueue("work", null);

    await drain();

    expect(reason).toBeInstanceOf(JobTimeoutError);
    expect(await effects()).toEqual([]);
    const [held] = await queue.queries.listFailed();
    expect(held!.traceback!.exception_message).toMatch(/took longer than 300 ms/);
    await end();
  });

  test("cancel and shutdown roll back what obeys, and keep what is done all the same", async () => {
    const { pgq, end } = await worker();
    const started: number[] = [];
    const reasons: unknown[] = [];
    pgq.entrypoint("work", { transactional: true }, async (job, { tx, signal }) => {
      await write(tx, job.id);
      started.push(job.id);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      reasons.push(signal.reason);
      if (text(job.payload) === "obeys") throw signal.reason;
    });
    const payloads = ["obeys", "stays", "obeys", "stays"].map(bytes);
    const [canceled, done, released, finished] = await queue.queries.enqueue(
      "work",
      payloads,
    ) as number[];
    const run = pgq.run();
    await until("all run", () => started.length === 4);

    await queue.queries.cancel([canceled!, done!]);
    await until("both have heard", () => reasons.length === 2);
    await pgq.stop({ timeout: 0 });
    await run;

    expect(reasons.slice(2).every((reason) => reason instanceof ShutdownError)).toBe(true);
    expect(await effects()).toEqual([done, finished]);
    expect(await queue.rows()).toMatchObject([{ id: released, status: "queued" }]);
    expect(await queue.history(canceled!)).toEqual(["queued", "picked", "canceled"]);
    expect(await queue.history(done!)).toEqual(["queued", "picked", "successful"]);
    await end();
  });

  test("a handler that no shutdown can end keeps neither its job nor its locks", async () => {
    const { pgq, end } = await worker();
    const go = deferred();
    await queue.sql`insert into ${queue.sql(table)} values (-1, 'shared')`;
    let started = false;
    pgq.entrypoint("work", { transactional: true }, async (_, { tx }) => {
      const { unsafe, query } = tx as Record<string, (text: string) => Promise<unknown>>;
      await (unsafe ?? query!.bind(tx))(`update ${table} set note = 'mine' where job_id = -1`);
      started = true;
      await go.promise;
    });
    const id = await queue.queries.enqueue("work", null);
    const run = pgq.run();
    await until("it runs", () => started);

    await pgq.stop({ timeout: 0 });
    await run;

    // Would wait for as long as the transaction is open.
    await queue.sql`update ${queue.sql(table)} set note = 'yours' where job_id = -1`;
    expect(await queue.rows()).toMatchObject([{ id, status: "queued" }]);
    go.resolve();
    await end();
  });

  test("leases are renewed while the transactions of all handlers are open", async () => {
    const { pgq, end } = await worker();
    const go = deferred();
    const started: number[] = [];
    const aborted: number[] = [];
    pgq.entrypoint("work", { transactional: true }, async (job, { tx, signal }) => {
      started.push(job.id);
      await write(tx, job.id);
      signal.addEventListener("abort", () => aborted.push(job.id));
      await go.promise;
    });
    const most = 5;
    const ids = await queue.queries.enqueue("work", Array(most).fill(null)) as number[];
    const run = pgq.run({ maxConcurrentTasks: most, heartbeatTimeout: 1_500 });
    await until("all run", () => started.length === most);
    const begun = performance.now();

    // Twice as long as a lease lasts: each of them has been renewed, over and over.
    await until("their leases are new", async () =>
      performance.now() - begun > 3_000 &&
      (await queue.sql`
        select 1 from ${queue.sql(queue.table)} where heartbeat > now() - interval '1 second'`)
          .length === most);

    go.resolve();
    await until("all have ended", async () => (await queue.rows()).length === 0);
    await pgq.stop();
    await run;
    expect(aborted).toEqual([]);
    expect(await effects()).toEqual(ids);
    await end();
  });

  test("the log has the time of the commit, not that of the first statement", async () => {
    const { pgq, drain, end } = await worker();
    let inside: Date | undefined;
    pgq.entrypoint("work", { transactional: true }, async (job, { tx }) => {
      await write(tx, job.id);
      const [row] = await queue.sql`select clock_timestamp() as now`;
      inside = row!["now"];
    });
    await queue.queries.enqueue("work", null);

    await drain();

    const ended = (await queue.log()).find(({ status }) => status === "successful");
    expect(ended!.created.getTime()).toBeGreaterThanOrEqual(inside!.getTime());
    await end();
  });

  test("a connection that breaks leaves the job to its lease, and the next attempt does all of it", async () => {
    const { pgq, lines, end } = await worker();
    const reasons: unknown[] = [];
    let runs = 0;
    pgq.entrypoint("work", { transactional: true }, async (job, { tx, signal }) => {
      runs++;
      await write(tx, job.id);
      if (runs > 1) return;
      await queue.sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where query like ${`insert into ${table}%`} and state = 'idle in transaction'`;
      // It may have been noticed before the answer came.
      if (!signal.aborted) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      }
      reasons.push(signal.reason);
    });
    const id = await queue.queries.enqueue("work", null);
    const run = pgq.run({ heartbeatTimeout: 1_000 });

    await until("it is done", async () => (await queue.rows()).length === 0);
    await pgq.stop();
    await run;

    expect(reasons[0]).toBeInstanceOf(LeaseLostError);
    expect(String(reasons[0])).toContain("the connection of its transaction is gone");
    expect(lines.join("\n")).toContain(`work job ${id}: lost its transaction`);
    expect(runs).toBe(2);
    expect(await effects()).toEqual([id]);
    expect(await queue.history(id!)).toEqual(["queued", "picked", "picked", "successful"]);
    await end();
  });
});

test("runs no more handlers than the driver has transactions, and says so", async () => {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const driver = await openWorkerDriver(queue.dsn, { maxTransactions: 2 });
  const logger = { debug: log, info: log, warn: log, error: log };
  const pgq = new PgQueuer(driver, { ...queue.names, logger });
  let [running, most] = [0, 0];
  pgq.entrypoint("work", { transactional: true }, async (job, { tx }) => {
    most = Math.max(most, ++running);
    await write(tx, job.id);
    running--;
  });
  const ids = await queue.queries.enqueue("work", Array(40).fill(null));

  await pgq.run({ mode: "drain" });

  expect(most).toBeLessThanOrEqual(2);
  expect(await effects()).toEqual(ids);
  expect(lines.join("\n")).toContain("Runs at most 2 handlers at the same time");
});

test("waits with the job until a transaction can be opened, and releases it when it is stopped", async () => {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const logger = { debug: log, info: log, warn: log, error: log };
  const driver = await openWorkerDriver(queue.dsn);
  let refuse = true;
  const refusing: Driver = {
    query: (text, parameters) => driver.query(text, parameters),
    script: (text) => driver.script(text),
    listen: (channel, listener) => driver.listen(channel, listener),
    close: () => driver.close(),
    transactions: {
      max: 5,
      run: (work, onLost) =>
        refuse ? Promise.reject(new Error("too many")) : driver.transactions.run(work, onLost),
    },
  };
  const pgq = new PgQueuer(refusing, { ...queue.names, logger });
  pgq.entrypoint("work", { transactional: true }, (job, { tx }) => write(tx, job.id));
  const first = await queue.queries.enqueue("work", null);
  const run = pgq.run();
  const refusals = (): number =>
    lines.filter((line) => line.includes("Cannot begin its transaction, trying again: Error: too"))
      .length;
  await until("it has tried", () => refusals() > 2);
  refuse = false;
  await until("it is done", async () => (await effects()).length === 1);

  refuse = true;
  const before = refusals();
  const second = await queue.queries.enqueue("work", null);
  await until("it tries", () => refusals() > before);
  await pgq.stop({ timeout: 0 });
  await run;

  expect(await effects()).toEqual([first]);
  expect(await queue.rows()).toMatchObject([{ id: second, status: "queued" }]);
});

test("a task's handler works in a transaction too", async () => {
  const double = task<{ n: number }>({ name: "double", options: { onFailure: "hold" } });
  const pgq = await queue.worker();
  pgq.register(
    double,
    { transactional: true },
    ({ n }, _, context) => write((context as { tx: unknown }).tx, 2 * n),
  );
  await queue.queries.enqueueTask(double, { n: 21 });
  await queue.queries.enqueue("double", bytes("no JSON"));

  await pgq.run({ mode: "drain" });

  expect(await effects()).toEqual([42]);
  expect(await queue.rows()).toMatchObject([{ status: "failed" }]);
});

test("a driver that has no transactions is refused, with what to write", async () => {
  const { query, listen, script, close } = await openWorkerDriver(queue.dsn);
  const plain: Driver = { query, listen, script, close };
  const register = (driver: Driver) => () =>
    new PgQueuer(driver, queue.names).entrypoint("work", { transactional: true }, () => {});

  expect(register(plain)).toThrow(
    new TypeError(
      'Cannot register entrypoint "work" as transactional as its driver must have transactions: current value is a driver without "transactions", write new PgQueuer(await openWorkerDriver(dsn))',
    ),
  );
  expect(register(fromNodePostgres(new pg.Pool({ max: 3 })))).toThrow(
    /^Cannot register entrypoint "work" as transactional as the driver must have connections for it/,
  );
  const pgq = await queue.worker();
  expect(() => pgq.entrypoint("work", { transactional: 1 } as never, () => {})).toThrow(
    'Cannot use "transactional" as it must be true or false: current value is',
  );
  expect(() => task({ name: "work", options: { transactional: true } as never })).not.toThrow();
  await pgq[Symbol.asyncDispose]();
});
