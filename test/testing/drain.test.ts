/** `drain`: everything that is ready runs, and no failure goes unseen. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TransactionSql } from "postgres";
import {
  fromPostgresJs,
  getQueue,
  type Job,
  JobTimeoutError,
  openWorkerDriver,
  PgQueuer,
  RetryRequested,
} from "../../mod.ts";
import {
  drain,
  DrainError,
  enqueuedJobs,
  inRolledBackTransaction,
  openTestTransaction,
  type TestTransaction,
} from "../../src/testing/mod.ts";
import { bytes, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let base: TestQueue;
let transaction: TestTransaction<TransactionSql>;
let pgq: PgQueuer;
beforeAll(async () => base = await openTestQueue());
beforeEach(async () => {
  transaction = await openTestTransaction(base.sql, base.names);
  pgq = new PgQueuer(transaction.driver, base.names);
});
afterEach(async () => {
  await transaction.rollBack();
  expect(await base.rows()).toEqual([]);
});
afterAll(() => base.close());

const nothing = { successful: 0, exception: 0, failed: 0, canceled: 0, queued: 0, jobs: [] };

describe("drain() in the transaction of a test", () => {
  test("runs what is ready by priority, and what handlers enqueue, and leaves nothing behind", async () => {
    const order: string[] = [];
    pgq.entrypoint("index", async (job) => {
      order.push(text(job.payload));
      if (order.length === 1) {
        await getQueue(transaction.tx, base.names).enqueue("index", bytes("urgent"), {
          priority: 9,
        });
      }
    });
    await transaction.queue.enqueue("index", ["a", "b", "c"].map(bytes), { priority: [0, 2, 1] });

    const report = await drain(pgq);

    expect(order).toEqual(["b", "urgent", "c", "a"]);
    expect({ ...report, jobs: [] }).toEqual({ ...nothing, successful: 4 });
    expect(report.jobs.map(({ job }) => text(job.payload))).toEqual(order);
    expect(report.jobs[0]).toMatchObject({ status: "successful", runs: 1, error: undefined });
    expect(await drain(pgq)).toEqual(nothing);
    expect(await enqueuedJobs(transaction.queue)).toEqual([]);
    expect(await base.log()).toEqual([]);
  });

  test("takes the transaction as a resource, so that what handlers write is rolled back too", async () => {
    const { tx, driver, queue } = transaction;
    const pgq = new PgQueuer(driver, { ...base.names, resources: { sql: tx } });
    const table = `${base.names.schema}.written`;
    pgq.entrypoint("write", async (job, { resources: { sql } }) => {
      await sql`create table ${sql(table)} as select ${job.id}::int as job`;
    });
    const id = await queue.enqueue("write", null);

    expect((await drain(pgq)).successful).toBe(1);

    expect(await tx`select job from ${tx(table)}`).toEqual([{ job: id }]);
    await transaction.rollBack();
    expect(await base.sql`select to_regclass(${table}) as found`).toEqual([{ found: null }]);
  });

  test("runs one job after another", async () => {
    let running = 0;
    let most = 0;
    pgq.entrypoint("work", async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
    });
    await transaction.queue.enqueue("work", Array(10).fill(null));

    expect((await drain(pgq)).successful).toBe(10);
    expect(most).toBe(1);
  });

  test("throws when a job has failed, with all of them in the message", async () => {
    const error = new TypeError("no such article");
    pgq.entrypoint("good", () => {});
    pgq.entrypoint("bad", () => {
      throw error;
    });
    pgq.entrypoint("held", { onFailure: "hold" }, () => {
      throw "just a text";
    });
    const [, bad, held] = await transaction.queue.enqueue(["good", "bad", "held"], [
      null,
      null,
      null,
    ]);

    const failed = await drain(pgq).catch((error) => error as DrainError);

    expect(failed).toBeInstanceOf(DrainError);
    const { message, cause, report } = failed as DrainError;
    expect(message).toMatch(
      /^Cannot drain as every job must end well: 2 of 3 failed\n\njob \d+ of bad \(exception\): TypeError: no such article\n/,
    );
    expect(message).toMatch(/\n\njob \d+ of held \(failed\): just a text$/);
    expect(cause).toBe(error);
    expect(report).toMatchObject({ successful: 1, exception: 1, failed: 1, queued: 0 });
    expect(report.jobs.slice(1)).toMatchObject([
      { job: { id: bad }, status: "exception", error },
      { job: { id: held }, status: "failed", error: "just a text" },
    ]);
  });

  test("reports failures instead, when it is told to", async () => {
    pgq.entrypoint("bad", () => {
      throw new Error("bad");
    });
    await transaction.queue.enqueue("bad", null);

    const { jobs, ...counts } = await drain(pgq, { failures: "report" });

    expect({ ...counts, jobs: [] }).toEqual({ ...nothing, exception: 1 });
    expect(jobs).toHaveLength(1);
  });

  test("leaves deferred jobs, and sees the failure of one that waits for its next attempt", async () => {
    pgq.entrypoint("later", () => {});
    pgq.entrypoint("asks", () => {
      throw new RetryRequested({ delay: { seconds: 30 } });
    });
    pgq.entrypoint("fails", { retry: {} }, () => {
      throw new Error("down");
    });
    await transaction.queue.enqueue("later", null, { executeAfter: { hours: 1 } });
    await transaction.queue.enqueue("asks", null);

    // The handler asked for it: that is no failure.
    expect(await drain(pgq)).toMatchObject({ queued: 1, jobs: [{ runs: 1, status: "queued" }] });

    await transaction.queue.enqueue("fails", null);
    await expect(drain(pgq)).rejects.toThrow(
      /1 of 1 failed\n\njob \d+ of fails \(queued\): Error: down/,
    );
    expect((await enqueuedJobs(transaction.queue)).map((job) => job.entrypoint)).toEqual([
      "later",
      "asks",
      "fails",
    ]);
  });

  test("runs deferred jobs and later attempts now, when it is told to", async () => {
    const seen: number[] = [];
    pgq.entrypoint("later", () => {});
    pgq.entrypoint("flaky", { retry: { maxAttempts: 3 } }, (job) => {
      seen.push(job.attempts);
      if (job.attempts < 2) throw new Error("down");
    });
    pgq.entrypoint("hopeless", { retry: { maxAttempts: 2 }, onFailure: "hold" }, () => {
      throw new Error("down for good");
    });
    await transaction.queue.enqueue("later", null, { executeAfter: new Date("2100-01-01") });
    await transaction.queue.enqueue("flaky", null);
    await transaction.queue.enqueue("hopeless", null, { executeAfter: { days: 1 } });
    await transaction.queue.enqueue("of nobody here", null, { executeAfter: { days: 1 } });

    const report = await drain(pgq, { deferred: "run", failures: "report" });

    expect(seen).toEqual([0, 1, 2]);
    expect(report).toMatchObject({ successful: 2, failed: 1, queued: 0 });
    expect(report.jobs.map(({ job, runs, status }) => [job.entrypoint, runs, status])).toEqual([
      ["flaky", 3, "successful"],
      ["later", 1, "successful"],
      ["hopeless", 2, "failed"],
    ]);
    await expect(drain(pgq)).resolves.toEqual(nothing);
  });

  test("does not wait for rates and limits", async () => {
    pgq.entrypoint(
      "work",
      { requestsPerSecond: 0.001, concurrencyLimit: 1, serializedDispatch: true },
      () => {},
    );
    await transaction.queue.enqueue("work", Array(5).fill(null));

    expect((await drain(pgq)).successful).toBe(5);
  });

  test("obeys timeouts, and tells of jobs that are gone", async () => {
    // What it throws on its way out is not why it has failed.
    const untilAborted = (_: Job, { signal }: { signal: AbortSignal }): Promise<void> =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("oh"))));
    pgq.entrypoint("slow", { timeout: 20 }, untilAborted);
    pgq.entrypoint("removed", async (job) => {
      await transaction.tx`delete from ${transaction.tx(base.table)} where id = ${job.id}`;
      await transaction.tx`delete from ${transaction.tx(base.logTable)} where job_id = ${job.id}`;
    });
    await transaction.queue.enqueue(["slow", "removed"], [null, null]);

    const report = await drain(pgq, { failures: "report" });

    expect(report.jobs.map(({ status }) => status)).toEqual(["exception", "deleted"]);
    expect(report.jobs[0]!.error).toBeInstanceOf(JobTimeoutError);
  });

  test("fires no schedule", async () => {
    let fired = 0;
    pgq.schedule("tick", "* * * * * *", { missed: "all" }, () => void fired++);
    pgq.entrypoint("work", () => {});

    await drain(pgq);

    expect(fired).toBe(0);
    const table = base.names.schema + "." + base.names.prefix + "pgqueuer_schedules";
    expect(await transaction.tx`select from ${transaction.tx(table)}`).toHaveLength(0);
  });

  test("takes no lock that another test would wait for", async () => {
    pgq.entrypoint("work", { concurrencyLimit: 1 }, () => {});
    await transaction.queue.enqueue("work", null);
    await drain(pgq);

    // The first transaction is still open.
    const other = await inRolledBackTransaction(base.sql, async ({ queue, driver }) => {
      const pgq = new PgQueuer(driver, base.names);
      pgq.entrypoint("work", { concurrencyLimit: 1 }, () => {});
      await queue.enqueue("work", null);
      return await drain(pgq);
    }, base.names);
    expect(other.successful).toBe(1);
    expect(
      await base.sql`
        select mode from pg_locks join pg_class on pg_class.oid = relation
        where relname like ${base.names.prefix + "%"} and mode like '%Share%Exclusive%'`,
    ).toHaveLength(0);
  });

  test("ends at once when a handler has broken the transaction, with the database's error", async () => {
    pgq.entrypoint("work", async () => {
      await transaction.tx`select 1 / 0`.catch(() => {});
    });
    await transaction.queue.enqueue("work", null);
    const begun = performance.now();

    await expect(drain(pgq)).rejects.toThrow("current transaction is aborted");

    expect(performance.now() - begun).toBeLessThan(3_000);
  });

  test("ends a job that would run for ever", async () => {
    let runs = 0;
    pgq.entrypoint("work", () => {
      runs++;
      throw new RetryRequested();
    });
    await transaction.queue.enqueue("work", null);

    await expect(drain(pgq)).rejects.toThrow(
      /Cannot drain as a job must come to an end: job \d+ of work has run 100 times/,
    );
    expect(runs).toBe(100);
  });

  test("says what it lacks", async () => {
    await expect(drain(pgq)).rejects.toThrow("no entrypoint is registered");
    pgq.entrypoint("work", () => {});
    await expect(drain(pgq, { deferred: true } as never)).rejects.toThrow('"leave", "run"');
    await expect(drain(pgq, { failures: "ignore" } as never)).rejects.toThrow('"throw", "report"');
    await expect(drain(pgq, { mode: "once" } as never)).rejects.toThrow('"mode" is not an option');
    const elsewhere = new PgQueuer(transaction.driver, { ...base.names, prefix: "none_" });
    elsewhere.entrypoint("work", () => {});
    await expect(drain(elsewhere)).rejects.toThrow('table "none_pgqueuer" is missing');
    await pgq.stop();
    await expect(drain(pgq)).rejects.toThrow(
      "Cannot drain as the worker was stopped: make a new one",
    );
  });
});

describe("drain() on a driver of its own", () => {
  test("leaves the driver open, so that a test can drain again, and close it", async () => {
    const driver = await openWorkerDriver(base.dsn);
    const pgq = new PgQueuer(driver, base.names);
    pgq.entrypoint("work", () => {});

    for (const count of [1, 2]) {
      await base.queries.enqueue("work", Array(count).fill(null));
      expect((await drain(pgq)).successful).toBe(count);
    }

    expect((await base.log()).filter((row) => row.status === "successful")).toHaveLength(3);
    await pgq[Symbol.asyncDispose]();
    await expect(driver.query("select 1", [])).rejects.toThrow("CONNECTION_ENDED");
  });

  test("hears that its job was canceled", async () => {
    const pgq = new PgQueuer(fromPostgresJs(base.sql), base.names);
    pgq.entrypoint("work", async (job, { signal }) => {
      await pgq.queries.cancel([job.id]);
      await new Promise((_, reject) => {
        if (signal.aborted) reject(signal.reason);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    });
    await base.queries.enqueue("work", null);

    expect(await drain(pgq)).toMatchObject({ canceled: 1, jobs: [{ status: "canceled" }] });
  });

  test("refuses a worker that runs", async () => {
    const pgq = new PgQueuer(fromPostgresJs(base.sql), base.names);
    pgq.entrypoint("work", () => {});
    const run = pgq.run();

    await expect(drain(pgq)).rejects.toThrow("the worker runs already");
    await pgq.stop();
    await run;
  });
});

describe("drain() of transactional entrypoints", () => {
  test("gives the handler a savepoint of the test's transaction", async () => {
    const { tx, driver, queue } = transaction;
    await tx`create table ${tx(`${base.names.schema}.wrote`)} (note text)`;
    const wrote = async () =>
      Array.from(await tx`select note from ${tx(`${base.names.schema}.wrote`)}`);
    const pgq = new PgQueuer(driver, base.names);
    pgq.entrypoint("write", { transactional: true }, async (job, context) => {
      const note = text(job.payload);
      await context.tx`insert into ${context.tx(`${base.names.schema}.wrote`)} values (${note})`;
      await getQueue(context.tx, base.names).enqueue("chained", job.payload);
      if (note === "bad") throw new RangeError("no");
    });
    await queue.enqueue("write", ["good", "bad"].map(bytes));

    const report = await drain(pgq, { failures: "report" });

    expect(report).toMatchObject({ successful: 1, exception: 1 });
    expect(await wrote()).toEqual([{ note: "good" }]);
    expect(await enqueuedJobs(queue)).toMatchObject([{ entrypoint: "chained" }]);
  });

  test("commits on connections of a worker, and fails where none can be opened", async () => {
    const driver = await openWorkerDriver(base.dsn);
    const pgq = new PgQueuer(driver, base.names);
    pgq.entrypoint("work", { transactional: true }, async (_, { tx }) => void await tx`select 1`);
    await base.queries.enqueue("work", null);

    expect((await drain(pgq)).successful).toBe(1);

    const broken = new PgQueuer({
      ...fromPostgresJs(base.sql),
      transactions: { max: 1, run: () => Promise.reject(new Error("too many")) },
    }, base.names);
    broken.entrypoint("work", { transactional: true }, () => {});
    await base.queries.enqueue("work", null);
    await expect(drain(broken)).rejects.toThrow("too many");
    await until("it is put back", async () => (await base.rows())[0]?.status === "queued");
    await base.clear();
    await driver.close();
  });
});
