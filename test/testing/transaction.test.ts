/** Transactions of tests: nothing of them is left, however they end. */
import postgres, { type TransactionSql } from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getQueue } from "../../mod.ts";
import {
  enqueuedJobs,
  inRolledBackTransaction,
  openTestTransaction,
  type TestTransaction,
} from "../../src/testing/mod.ts";
import { bytes, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => queue = await openTestQueue());
afterAll(() => queue.close());

/** What is in the tables for all to see. */
const committed = async (): Promise<number> =>
  (await queue.rows()).length + (await queue.log()).length;

describe("inRolledBackTransaction()", () => {
  test("leaves nothing in the tables and sends no notification", async () => {
    const heard: string[] = [];
    const channel = queue.queries.settings.channel;
    const { unlisten } = await queue.sql.listen(channel, (payload) => heard.push(payload));

    const seen = await inRolledBackTransaction(queue.sql, async ({ tx, queue: own }) => {
      await own.enqueue("work", bytes("1"));
      await getQueue(tx, queue.names).enqueue("work", bytes("2"));
      expect(await committed()).toBe(0);
      return await enqueuedJobs(own);
    }, queue.names);

    expect(seen.map((job) => job.entrypoint)).toEqual(["work", "work"]);
    expect(await committed()).toBe(0);
    // One that is sent after it is heard, and nothing before.
    await queue.sql.notify(channel, "after");
    await until("the notification is heard", () => heard.length > 0);
    expect(heard).toEqual(["after"]);
    await unlisten();
  });

  test("rolls back when the test throws, and throws the same", async () => {
    const error = new Error("the test has failed");

    const failed = inRolledBackTransaction(queue.sql, async ({ queue }) => {
      await queue.enqueue("work", null);
      throw error;
    }, queue.names);

    expect(await failed.catch((thrown) => thrown)).toBe(error);
    expect(await committed()).toBe(0);
  });

  test("rolls back when a statement of the test has failed, and says which", async () => {
    const failed = inRolledBackTransaction(queue.sql, async ({ tx, queue }) => {
      await queue.enqueue("work", null);
      await tx`select 1 / 0`;
    }, queue.names);

    await expect(failed).rejects.toThrow("division by zero");
    expect(await committed()).toBe(0);
  });

  test("gives the connection back, so that one test can follow another on a pool of one", async () => {
    const sql = postgres(queue.dsn, { max: 1, onnotice: () => {} });

    const ids = [];
    for (let time = 0; time < 3; time++) {
      ids.push(
        await inRolledBackTransaction(sql, ({ queue }) => queue.enqueue("work", null), queue.names),
      );
    }

    expect(new Set(ids).size).toBe(3);
    expect(await sql`select 1 as answer`).toMatchObject([{ answer: 1 }]);
    await sql.end();
  });

  test("its driver and its queue are of no use after the end", async () => {
    const over = await inRolledBackTransaction(queue.sql, (test) => test, queue.names);
    const refused =
      "Cannot use the transaction of a test as it must be open: it has been rolled back";

    await expect(over.queue.enqueue("work", null)).rejects.toThrow(refused);
    await expect(over.driver.query("select 1", [])).rejects.toThrow(refused);
    expect(await committed()).toBe(0);
  });

  test("passes the error on when the database is out of reach, or the names are none", async () => {
    const nowhere = postgres("postgresql://postgres@127.0.0.1:1/postgres", { connect_timeout: 1 });

    await expect(inRolledBackTransaction(nowhere, () => {})).rejects.toThrow("ECONNREFUSED");
    await expect(inRolledBackTransaction(queue.sql, () => {}, { schema: 'a"b' })).rejects.toThrow(
      "plain SQL identifier",
    );
    await nowhere.end();
  });

  test("says so when the connection was lost in between", async () => {
    const sql = postgres(queue.dsn, { max: 1, onnotice: () => {} });

    const lost = inRolledBackTransaction(sql, async ({ tx }) => {
      const [row] = await tx`select pg_backend_pid() as pid`;
      await queue.sql`select pg_terminate_backend(${row!["pid"]})`;
      await until(
        "it has gone",
        async () =>
          (await queue.sql`select from pg_stat_activity where pid = ${row!["pid"]}`).length === 0,
      );
    }, queue.names);

    await expect(lost).rejects.toThrow(/CONNECTION_CLOSED|ECONNRESET|EPIPE|terminating connection/);
    await sql.end({ timeout: 1 });
  });
});

describe("openTestTransaction()", () => {
  let transaction: TestTransaction<TransactionSql>;
  beforeEach(async () => {
    transaction = await openTestTransaction(queue.sql, queue.names);
  });
  afterEach(async () => {
    await transaction.rollBack();
    expect(await committed()).toBe(0);
  });

  // Twice: the second finds nothing of the first.
  test.each(["first", "second"])("serves the hooks of the %s test", async (name) => {
    await transaction.queue.enqueue(name, null, { dedupeKey: "the same in both" });

    expect((await enqueuedJobs(transaction.queue)).map((job) => job.entrypoint)).toEqual([name]);
  });

  test("rolls back once, however often it is asked to, by whichever name", async () => {
    await transaction.queue.enqueue("work", null);

    await Promise.all([transaction.rollBack(), transaction.rollBack()]);
    await transaction[Symbol.asyncDispose]();

    expect(await committed()).toBe(0);
  });

  test.each([
    ["nothing", () => undefined, "undefined"],
    ["an open transaction", () => transaction.tx, "a transaction"],
    ["queries", () => queue.queries, "an instance of Queries"],
  ])("refuses %s", (_, client, what) => {
    expect(() => openTestTransaction(client() as never)).toThrow(
      `Cannot begin the transaction of a test as the client must be what postgres(dsn) gave: current value is ${what}`,
    );
  });
});
