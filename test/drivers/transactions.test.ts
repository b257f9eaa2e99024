/** Transactions that a driver opens for handlers: each on a connection of its own, and none with an end that is not known. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Driver,
  fromNodePostgres,
  fromPostgresJs,
  type OpenTransaction,
  openWorkerDriver,
  type TransactionEnd,
} from "../../mod.ts";
import pg from "pg";
import { DRIVERS, WATCHFUL_DRIVERS } from "../support/drivers.ts";
import { deferred, openTestQueue, testDsn, type TestQueue, until } from "../support/queue.ts";
import { startTcpProxy } from "../support/tcp_proxy.ts";

let queue: TestQueue;
let table: string;
beforeAll(async () => {
  queue = await openTestQueue();
  table = `${queue.names.schema}.written`;
  await queue.sql`create table ${
    queue.sql(table)
  } (id int primary key deferrable initially deferred)`;
});
afterAll(() => queue.close());

let last = 0;
const written = async (): Promise<number[]> =>
  (await queue.sql`select id from ${queue.sql(table)} order by id`).map(({ id }) => id);
const insert = ({ executor }: OpenTransaction<unknown>, id: number): Promise<unknown> =>
  executor.query(`insert into ${table} values ($1::int)`, [id]);
const pidOf = async ({ executor }: OpenTransaction<unknown>): Promise<number> => {
  const [row] = await executor.query<{ pid: number }>("select pg_backend_pid() as pid", []);
  return row!.pid;
};
const kill = (pid: number) => queue.sql`select pg_terminate_backend(${pid})`;

/** Waits until the server has no such session any more, so that the client has been told. */
async function killed(pid: number): Promise<void> {
  await kill(pid);
  await until(
    "the session is gone",
    async () => (await queue.sql`select 1 from pg_stat_activity where pid = ${pid}`).length === 0,
  );
}

/** Any statement by the handle itself, whatever the client. */
function ask(handle: unknown): Promise<unknown> {
  const { unsafe, query } = handle as Record<string, (text: string) => Promise<unknown>>;
  return unsafe ? unsafe("select 1") : query!.call(handle, "select 1");
}

function run(
  driver: Driver,
  work: (open: OpenTransaction<unknown>) => Promise<boolean>,
  onLost: (error: unknown) => void = () => {},
): Promise<TransactionEnd> {
  return driver.transactions!.run(work, onLost);
}

describe.each(DRIVERS)("%s", (_, open) => {
  const opened = (dsn = queue.dsn) => open(dsn, { poolSize: 6, statementTimeout: { seconds: 5 } });

  test("commits what the work says, and rolls back the rest", async () => {
    const { driver, end } = await opened();
    const [kept, dropped] = [++last, ++last];

    const ends = [
      await run(driver, async (tx) => {
        await insert(tx, kept);
        expect(await written()).not.toContain(kept);
        return true;
      }),
      await run(driver, async (tx) => {
        await insert(tx, dropped);
        return false;
      }),
    ];

    expect(ends).toEqual([{ status: "committed" }, { status: "rolled back" }]);
    expect(await written()).toContain(kept);
    expect(await written()).not.toContain(dropped);
    await end();
  });

  test("is READ COMMITTED and writable, whatever the default", async () => {
    const dsn = new URL(queue.dsn);
    dsn.searchParams.set(
      "options",
      "-c default_transaction_isolation=serializable -c default_transaction_read_only=on",
    );
    const { driver, end } = await opened(dsn.href);

    const seen: unknown[] = [];
    await run(driver, async ({ executor }) => {
      for (const name of ["transaction_isolation", "transaction_read_only"]) {
        seen.push(...await executor.query(`select current_setting('${name}') as value`, []));
      }
      return true;
    });

    expect(seen.map((row) => ({ ...row as object }))).toEqual([
      { value: "read committed" },
      { value: "off" },
    ]);
    await end();
  });

  test("gives each work a connection of its own and uses it again", async () => {
    const { driver, end } = await opened();
    const both = deferred();
    const pids: number[] = [];
    const work = async (tx: OpenTransaction<unknown>): Promise<boolean> => {
      pids.push(await pidOf(tx));
      if (pids.length === 2) both.resolve();
      await both.promise;
      return true;
    };

    await Promise.all([run(driver, work), run(driver, work)]);
    await run(driver, work);

    expect(new Set(pids.slice(0, 2)).size).toBe(2);
    expect(pids.slice(0, 2)).toContain(pids[2]);
    await end();
  });

  test("says why it would not commit, and nothing is left", async () => {
    const { driver, end } = await opened();
    const id = ++last;
    await queue.sql`insert into ${queue.sql(table)} values (${id})`;
    const other = ++last;

    // Found by the server only as it commits.
    const atCommit = await run(driver, async (tx) => {
      await insert(tx, other);
      await insert(tx, id);
      return true;
    });
    const swallowed = await run(driver, async (tx) => {
      await insert(tx, other);
      await tx.executor.query("select 1 / 0", []).catch(() => {});
      return true;
    });

    expect(atCommit).toMatchObject({ status: "rolled back", error: { code: "23505" } });
    expect(swallowed).toMatchObject({ status: "rolled back", error: expect.any(Error) });
    expect(await written()).not.toContain(other);
    expect(await run(driver, () => Promise.resolve(true))).toEqual({ status: "committed" });
    await end();
  });

  test("tells at once that the connection is lost, and rejects what is sent on it later", async () => {
    const { driver, end } = await opened();
    const id = ++last;
    const lost = deferred<unknown>();
    const errors: unknown[] = [];

    const ended = await run(driver, async (tx) => {
      await insert(tx, id);
      await kill(await pidOf(tx));
      errors.push(await lost.promise);
      // Each of them has an end: none is left without an answer, and none ends the process.
      for (let n = 0; n < 3; n++) await ask(tx.handle).catch((error) => errors.push(error));
      return true;
    }, lost.resolve);

    expect(ended.status).toBe("lost");
    expect(errors).toHaveLength(4);
    expect(errors.every((error) => error instanceof Error)).toBe(true);
    expect(await written()).not.toContain(id);
    expect(await run(driver, () => Promise.resolve(true))).toEqual({ status: "committed" });
    await end();
  });

  test("is lost when its connection is killed as a statement runs, and that fails", async () => {
    const { driver, end } = await opened();
    let failed: unknown;

    const ended = await run(driver, async (tx) => {
      const pid = await pidOf(tx);
      const sleeping = tx.executor.query("select pg_sleep(60)", []).catch((error) => error);
      await until("it runs", async () =>
        (await queue.sql`
          select 1 from pg_stat_activity where pid = ${pid} and wait_event = 'PgSleep'`).length);
      await kill(pid);
      failed = await sleeping;
      // Sent at once, by a handler that goes on after any error.
      await ask(tx.handle).catch(() => {});
      return false;
    });

    expect(failed).toBeInstanceOf(Error);
    expect(ended.status).toBe("lost");
    await end();
  });

  test("is lost inside a savepoint, and the handler hears of it", async () => {
    const { driver, end } = await opened();
    const errors: unknown[] = [];

    const ended = await run(driver, async (tx) => {
      const pid = await pidOf(tx);
      const { savepoint } = tx.handle as { savepoint?: (use: unknown) => Promise<unknown> };
      const use = async (inner: unknown = tx.handle): Promise<void> => {
        await kill(pid);
        // Each of them ends, whether it is on its way as the connection closes or not.
        for (let n = 0; n < 30; n++) await ask(inner).catch((error) => errors.push(error));
        throw errors[0];
      };
      await (savepoint ? savepoint(use) : use()).catch((error) => errors.push(error));
      return false;
    });

    expect(ended.status).toBe("lost");
    expect(errors.at(-1)).toBeInstanceOf(Error);
    await end();
  });

  test("can be given up from outside: what runs fails, and its locks are free", async () => {
    const { driver, end } = await opened();
    const id = ++last;
    const begun = deferred<OpenTransaction<unknown>>();
    const go = deferred();

    const running = run(driver, async (tx) => {
      await insert(tx, id);
      begun.resolve(tx);
      await go.promise;
      await ask(tx.handle).catch(() => {});
      return true;
    });
    (await begun.promise).abandon();

    // It waits for the other one's end, if that is still there.
    await queue.sql`insert into ${queue.sql(table)} values (${id})`;
    go.resolve();
    expect((await running).status).toBe("lost");
    await end();
  });

  test("does not use a connection again that was lost while nobody needed it", async () => {
    const { driver, end } = await opened();
    let pid = 0;
    await run(driver, async (tx) => (pid = await pidOf(tx)) > 0);

    await killed(pid);

    await until(
      "it opens another",
      () =>
        run(driver, async (tx) => await pidOf(tx) !== pid)
          .then(({ status }) => status === "committed", () => false),
    );
    await end();
  });

  test("rejects where it cannot be opened, and the work is not called", async () => {
    const role = `${queue.names.prefix}r${++last}`;
    await queue.sql.unsafe(`create role ${role} login password 'x' connection limit 1`);
    const url = new URL(queue.dsn);
    url.username = role;
    url.password = "x";
    const { driver, end } = await opened(url.href);
    const only = driver.query("select pg_sleep(60)", []).catch((error) => error);
    const pid = await until("the only connection is taken", async () => {
      const [row] = await queue.sql`
        select pid from pg_stat_activity where usename = ${role} and wait_event = 'PgSleep'`;
      return row?.["pid"] as number | undefined;
    });
    let called = false;

    await expect(run(driver, () => Promise.resolve(called = true))).rejects.toMatchObject({
      code: "53300",
    });

    expect(called).toBe(false);
    await kill(pid);
    await only;
    await end();
    await until(
      "the role can go",
      () => queue.sql.unsafe(`drop role ${role}`).then(() => true, () => false),
    );
  });
});

test.each(WATCHFUL_DRIVERS)(
  "%s: a commit without an answer is lost, after a time",
  async (_, open) => {
    const url = new URL(testDsn());
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port || 5432) });
    url.hostname = "127.0.0.1";
    url.port = String(proxy.port);
    const { driver, end } = await open(url.href, { poolSize: 6, statementTimeout: 500 });

    const ended = await run(driver, async (tx) => {
      await pidOf(tx);
      proxy.freeze();
      return true;
    });

    expect(ended).toMatchObject({
      status: "lost",
      error: { message: expect.stringContaining("got no answer in 500 ms") },
    });
    await end();
    await proxy.close();
  },
);

test("the number of transactions is that of the option, or what the pool has beyond three", async () => {
  const driver = await openWorkerDriver(queue.dsn, { maxTransactions: 2 });
  const pool = new pg.Pool({ max: 7 });

  expect(driver.transactions.max).toBe(2);
  expect(fromPostgresJs(queue.sql).transactions!.max).toBe(10);
  expect(fromPostgresJs(queue.sql, { maxTransactions: 3 }).transactions!.max).toBe(3);
  expect(fromNodePostgres(pool).transactions!.max).toBe(4);
  expect(fromNodePostgres(new pg.Pool({ max: 2 })).transactions!.max).toBe(0);
  expect(fromNodePostgres(pool, { maxTransactions: 6 }).transactions!.max).toBe(6);
  expect(() => fromPostgresJs(queue.sql, { maxTransactions: 0 })).toThrow(RangeError);
  expect(() => fromPostgresJs(queue.sql, { max: 1 } as never)).toThrow('"max" is not an option');
  await expect(openWorkerDriver(queue.dsn, { maxTransactions: 1.5 })).rejects.toThrow(RangeError);
  await driver.close();
});
