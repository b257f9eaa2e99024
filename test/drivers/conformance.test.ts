/** What every driver must do alike: a worker cannot tell them apart. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import pg from "pg";
import {
  type Executor,
  fromNodePostgres,
  fromPostgresJs,
  type NodePostgresPool,
  openWorkerDriver,
  PgQueuer,
  Queries,
} from "../../mod.ts";
import { DRIVERS, WATCHFUL_DRIVERS } from "../support/drivers.ts";
import { listenDsnOf, POLLS_ONLY, POOLED_DSN } from "../support/pooler.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startTcpProxy } from "../support/tcp_proxy.ts";

/** A test of what is heard, which is nothing where drivers are told to poll only. */
const listens = test.skipIf(POLLS_ONLY);
/** A test of the server's own words: a pooler has others. */
const unpooled = test.skipIf(POOLED_DSN !== undefined);

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue.close());

/** Kills the connections of a name, and gives how many there were. */
async function kill(applicationName: string): Promise<number> {
  const killed = await queue.sql`
    select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${applicationName}`;
  return killed.length;
}

let channels = 0;
const newChannel = (): string => `${queue.names.prefix}Channel_${++channels}`;

describe.each(DRIVERS)("%s", (_, open) => {
  test("sends every kind of parameter and gives rows", async () => {
    const { driver, end } = await open(queue.dsn);

    const rows = await driver.query(
      "select $1::text as text, $2::int4 as number, $3::float8 as fraction, $4::text is null as nothing " +
        "union all select 'second', 0, 0, false",
      ['{"a","ø \\" ?"}', -2147483648, 0.25, null],
    );

    expect(rows.map((row) => ({ ...row as object }))).toEqual([
      { text: '{"a","ø \\" ?"}', number: -2147483648, fraction: 0.25, nothing: true },
      { text: "second", number: 0, fraction: 0, nothing: false },
    ]);
    await end();
  });

  test("gives the server's error and goes on", async () => {
    const { driver, end } = await open(queue.dsn);

    for (let attempt = 0; attempt < 6; attempt++) {
      await expect(driver.query("select 1 / $1::int4", [0])).rejects.toMatchObject({
        code: "22012",
      });
    }

    expect(await driver.query("select 1 as answer", [])).toHaveLength(1);
    await end();
  });

  test("runs a script as one transaction", async () => {
    const { driver, end } = await open(queue.dsn);
    const table = `${queue.names.schema}.script_${++channels}`;

    await expect(driver.script(`create table ${table} (id int); select 1 / 0`)).rejects.toThrow(
      "division by zero",
    );

    const [row] = await queue.sql`select to_regclass(${table}) as found`;
    expect(row!["found"]).toBe(null);
    await driver.script(`create table ${table} (id int); insert into ${table} values (1)`);
    expect(await driver.query(`select id from ${table}`, [])).toHaveLength(1);
    await end();
  });

  test("runs statements as one transaction, whole or not at all", async () => {
    const { driver, end } = await open(queue.dsn);
    const table = `${queue.names.schema}.transaction_${++channels}`;
    await driver.script(`create table ${table} (id int)`);
    const insert = (executor: Executor, id: number) =>
      executor.query(`insert into ${table} values ($1::int4)`, [id]);
    const ids = async () =>
      (await queue.sql`select id from ${queue.sql(table)}`).map(({ id }) => id);

    const result = await driver.transaction!(async (executor) => {
      await insert(executor, 1);
      await insert(executor, 2);
      expect(await ids()).toEqual([]);
      return "done";
    });
    const failed = driver.transaction!(async (executor) => {
      await insert(executor, 3);
      throw new RangeError("no");
    });
    await expect(failed).rejects.toThrow("no");
    // An error that nobody heeds has ended the transaction all the same.
    const swallowed = driver.transaction!(async (executor) => {
      await insert(executor, 4);
      await executor.query("select 1 / 0", []).catch(() => {});
    });
    await expect(swallowed).rejects.toThrow();

    expect(result).toBe("done");
    expect(await ids()).toEqual([1, 2]);
    expect(await driver.query("select 1", [])).toHaveLength(1);
    await end();
  });

  listens(
    "hears what is sent on its channel, from the commit on and until it is closed",
    async () => {
      const { driver, end } = await open(queue.dsn);
      const channel = newChannel();
      const heard: string[] = [];
      let listening = 0;
      const subscription = await driver.listen(channel, {
        onPayload: (payload) => void heard.push(payload),
        onListening: () => void listening++,
      });
      expect(listening).toBe(1);

      await queue.sql.begin(async (tx) => {
        await tx`select pg_notify(${channel}, 'in the transaction')`;
        await queue.sql`select pg_notify(${channel.toLowerCase()}, 'elsewhere')`;
        await queue.sql`select pg_notify(${channel}, 'before')`;
        await until("it has heard what was sent alone", () => heard.length === 1);
      });

      await until("it has heard the commit", () => heard.length === 2);
      expect(heard).toEqual(["before", "in the transaction"]);
      await subscription.close();
      await queue.sql`select pg_notify(${channel}, 'after')`;
      // A second subscription hears what was sent after that, so the first one would have heard it too.
      const other: string[] = [];
      const second = await driver.listen(channel, {
        onPayload: (payload) => void other.push(payload),
        onListening: () => {},
      });
      await queue.sql`select pg_notify(${channel}, 'last')`;
      await until("the second has heard", () => other.includes("last"));
      expect(heard).toHaveLength(2);
      await second.close();
      await end();
    },
  );

  unpooled("refuses to listen when that is not possible", async () => {
    const dsn = new URL(queue.dsn);
    dsn.pathname = "/there_is_none";

    const failed = (async () => {
      const { driver, end } = await open(dsn.href);
      try {
        await driver.listen("any", { onPayload: () => {}, onListening: () => {} });
      } finally {
        await end();
      }
    })();

    await expect(failed).rejects.toMatchObject({ code: "3D000" });
  });

  listens(
    "listens again after its connections were killed, says so, and runs statements",
    async () => {
      const name = `${queue.names.prefix}killed_${++channels}`;
      const { driver, end } = await open(queue.dsn, {
        applicationName: name,
        statementTimeout: { seconds: 2 },
      });
      const channel = newChannel();
      const heard: string[] = [];
      let listening = 0;
      const subscription = await driver.listen(channel, {
        onPayload: (payload) => void heard.push(payload),
        onListening: () => void listening++,
      });
      // One connection runs a statement when it is killed, the others are idle.
      await Promise.all([1, 2, 3].map(() => driver.query("select pg_sleep(0.05)", [])));
      const running = driver.query("select pg_sleep(60)", []).catch((error: unknown) => error);
      await until("it runs", async () =>
        (await queue.sql`
        select 1 from pg_stat_activity
        where application_name = ${name} and query like '%pg_sleep%' and state = 'active'`)
          .length === 1);

      // A pooler has no session for a client that does nothing.
      expect(await kill(name)).toBeGreaterThan(POOLED_DSN === undefined ? 2 : 1);

      expect(await running).toBeInstanceOf(Error);
      await until("it listens again", () => listening === 2);
      await queue.sql`select pg_notify(${channel}, 'again')`;
      await until("it hears again", () => heard.includes("again"));
      await until("it runs statements", () => driver.query("select 1", []).catch(() => undefined));
      await subscription.close();
      await end();
    },
  );

  test("leaves the caller's client open when it is closed", async () => {
    const { driver, own, end } = await open(queue.dsn);
    await driver.query("select 1", []);

    await driver.close();

    // Connections that the driver itself has opened are its own to close.
    if (own !== undefined) expect(await own("select 1")).toBeDefined();
    else await expect(driver.query("select 1", [])).rejects.toThrow();
    await end();
  });

  listens("runs a worker, which hears of new jobs and stops without leaving one", async () => {
    const { driver, end } = await open(queue.dsn);
    const pgq = new PgQueuer(driver, queue.names);
    const seen: unknown[] = [];
    pgq.entrypoint("work", { concurrencyLimit: 2 }, (job) => {
      seen.push([job.payload, job.headers, job.priority]);
    });
    const run = pgq.run({ dequeueTimeout: { minutes: 10 } });

    const headers = { 'qu"ote': ["ø 🎈", null] };
    const first = await queue.queries.enqueue("work", new Uint8Array([0, 255]), { headers });
    await until("the first job has run", () => seen.length === 1);
    await new Queries(driver, queue.names).enqueue("work", [null, null], { priority: [1, 2] });
    await until("all have run", () => seen.length === 3);
    await pgq.stop();
    await run;

    expect(seen[0]).toEqual([new Uint8Array([0, 255]), headers, 0]);
    expect(await queue.rows()).toEqual([]);
    expect(await queue.history(first!)).toEqual(["queued", "picked", "successful"]);
    await end();
  });

  test("installs and removes the tables", async () => {
    const { driver, end } = await open(queue.dsn);
    const names = { schema: queue.names.schema, prefix: `d${++channels}_` };
    const queries = new Queries(driver, names);

    expect((await queries.install()).outcome).toBe("installed");
    expect(await queries.verify("present")).toEqual([]);
    await queries.uninstall();
    expect(await queries.verify("absent")).toEqual([]);
    await end();
  });
});

test.each(WATCHFUL_DRIVERS)(
  "%s gives up a statement without an answer, and the next one runs on a new connection",
  async (_, open) => {
    const url = new URL(queue.dsn);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port || 5432) });
    url.hostname = "127.0.0.1";
    url.port = String(proxy.port);
    const { driver, end } = await open(url.href, { statementTimeout: 300 });
    await driver.query("select 1", []);

    proxy.freeze();

    await expect(driver.query("select 1", [])).rejects.toThrow(
      "Cannot go on with a connection as a statement got no answer in 300 ms",
    );
    await until("it goes on", () => driver.query("select 1", []).catch(() => undefined));
    await end();
    await proxy.close();
  },
);

// openWorkerDriver() passes it too, and then takes five seconds to close.
test("fromNodePostgres() gives an error for a statement whose connection is cut without a word", async () => {
  const url = new URL(queue.dsn);
  const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port || 5432) });
  url.hostname = "127.0.0.1";
  url.port = String(proxy.port);
  const pool = new pg.Pool({ connectionString: url.href });
  const driver = fromNodePostgres(pool);
  const name = `${queue.names.prefix}cut_${++channels}`;
  const running = driver.query(`select pg_sleep(60) as ${name}`, [])
    .catch((error: unknown) => error);
  await until("it runs", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity where query like ${`%${name}%`} and wait_event = 'PgSleep'`)
      .length === 1);

  await proxy.close();

  expect(await running).toBeInstanceOf(Error);
  await driver.close();
  await pool.end();
});

test("a client that is none is refused, and the message says what to write", async () => {
  const sql = queue.sql;
  const client = new pg.Client(queue.dsn);

  expect(() => fromNodePostgres(sql as never)).toThrow(/must be what new pg\.Pool\(…\) gave/);
  expect(() => fromNodePostgres(client as never)).toThrow(TypeError);
  expect(() => fromNodePostgres(undefined as never)).toThrow(/current value is undefined/);
  expect(() => fromPostgresJs(new pg.Pool() as never)).toThrow(TypeError);
  await expect(openWorkerDriver(undefined)).rejects.toThrow(TypeError);
  expect(() => fromNodePostgres(new pg.Pool(), { prepared: false } as never)).toThrow(
    '"prepared" is not an option',
  );
});

test("a client of a pool is given back after an error of the server, and closed after any other", async () => {
  const released: unknown[] = [];
  const errors: unknown[] = [
    { code: "23505" },
    { code: "57P01" },
    { code: "08006" },
    new Error("Connection terminated unexpectedly"),
  ];
  const client = {
    query: () => Promise.reject(errors[released.length]),
    release: (error?: Error | boolean) => void released.push(error),
    on: () => {},
    removeListener: () => {},
  };
  const pool: NodePostgresPool = {
    connect: () => Promise.resolve(client),
    on: () => {},
    removeListener: () => {},
    options: {},
    ...{ totalCount: 0 },
  };
  const driver = fromNodePostgres(pool);

  for (const error of errors) await expect(driver.query("x", [])).rejects.toBe(error);

  expect(released).toEqual([undefined, true, true, true]);
});

listens("a pool that cannot make a client for LISTEN takes one that the caller makes", async () => {
  const pool = new pg.Pool({ connectionString: queue.dsn, max: 1 });
  // Such as one that goes through a pooler: it lends clients and makes none.
  const lender: NodePostgresPool = {
    connect: () => pool.connect(),
    on: (event, listener) => pool.on(event, listener),
    removeListener: (event, listener) => pool.removeListener(event, listener),
    options: {},
    ...{ totalCount: 0 },
  };
  const heard: string[] = [];
  const channel = newChannel();
  const listener = { onPayload: (payload: string) => void heard.push(payload), onListening() {} };

  await expect(fromNodePostgres(lender).listen(channel, listener)).rejects.toThrow(
    'option "listenClient"',
  );
  const listenDsn = listenDsnOf(queue.dsn)!;
  const driver = fromNodePostgres(lender, { listenClient: () => new pg.Client(listenDsn) });
  const subscription = await driver.listen(channel, listener);
  await driver.query("select pg_notify($1::text, 'heard')", [channel]);

  await until("it has heard", () => heard.includes("heard"));
  await subscription.close();
  await driver.close();
  await pool.end();
});

test("a pool that lends no client in time is told what to set, if it waits for ever", async () => {
  // Takes connections and says nothing, as a server that hangs.
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: 1 });
  proxy.swallow(true);
  const connectionString = `postgresql://nobody@127.0.0.1:${proxy.port}/nothing`;
  const endless = fromNodePostgres(new pg.Pool({ connectionString }), { statementTimeout: 50 });
  const bounded = fromNodePostgres(
    new pg.Pool({ connectionString, connectionTimeoutMillis: 60_000 }),
    { statementTimeout: 50 },
  );

  await expect(endless.query("select 1", [])).rejects.toThrow('"connectionTimeoutMillis"');
  await expect(bounded.query("select 1", [])).rejects.toThrow("had none in 50 ms");

  await proxy.close();
});
