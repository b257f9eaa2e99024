/** What a worker makes of a pooler in transaction mode. Skipped without one: `npm run test:pgbouncer` starts it. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import pg from "pg";
import postgres from "postgres";
import {
  CompletionWatcher,
  type Driver,
  fromNodePostgres,
  fromPostgresJs,
  openWorkerDriver,
  PgQueuer,
  Queries,
} from "../../mod.ts";
import { LogStore } from "../../src/queries/log.ts";
import { resolveSettings } from "../../src/settings.ts";
import { Statements } from "../../src/sql/render.ts";
import { findPgBouncer, POOL_SIZE, startPgBouncer } from "./pgbouncer.ts";
import { withoutItsStatement } from "../../src/clients/server_error.ts";
import { callPgq, runPgq } from "../cli/fixtures/pgq.ts";
import { repeat } from "../support/repeat.ts";
import {
  bytes,
  deferred,
  openTestQueue,
  testDsn,
  type TestQueue,
  text,
  until,
} from "../support/queue.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const pooled = process.env["PGQ_TEST_POOLED_DSN"] ?? "";
const plain = process.env["PGQ_TEST_PLAIN_POOLED_DSN"] ?? "";
/** Longer than the tests take: what happens before it was not polled for. */
const DAY_MS = 86_400_000;

test("an error about a prepared statement says what to add to the DSN", () => {
  // Whether and when a pooler gives it depends on who else is there.
  const problems = ["26000", "42P05"].map((code) =>
    withoutItsStatement(Object.assign(new Error(`prepared statement "x" ${code}`), { code }))
  );

  for (const problem of problems) {
    expect(problem!.message).toContain('add "pgbouncer=true" to the DSN');
    expect((problem!.cause as Error).message).toContain("prepared statement");
  }
  expect(withoutItsStatement(Object.assign(new Error("no"), { code: "23505" }))).toBe(undefined);
});

describe.skipIf(pooled === "")("behind a pooler in transaction mode", () => {
  const HEARS = { listening: true, begun: 1 };
  const POLLS = { listening: null, begun: 0 };
  let queue: TestQueue;
  beforeAll(async () => {
    queue = await openTestQueue();
  });
  afterAll(() => queue.close());

  /**
   * Runs a worker until it has run a job that came while it was idle. Gives how it was then, and how often it has begun to
   * listen: one that is deaf begins again, and then finds the job all the same.
   */
  async function runsOne(
    driver: Driver,
    dequeueTimeout: number,
  ): Promise<{ listening: boolean | null; begun: number }> {
    await queue.clear();
    let begun = 0;
    const listen = driver.listen.bind(driver);
    driver.listen = (channel, listener) => {
      begun++;
      return listen(channel, listener);
    };
    const pgq = new PgQueuer(driver, queue.names);
    const done: string[] = [];
    pgq.entrypoint("work", (job) => void done.push(text(job.payload)));
    const run = pgq.run({ dequeueTimeout });
    const { listening } = await until("it is ready", async () => {
      const health = await pgq.health();
      return health.ready ? health : undefined;
    });
    await queue.queries.enqueue("work", bytes("a"));
    await until("the job has run", () => done.length === 1);
    await pgq.stop();
    await run;
    return { listening, begun };
  }

  test("a worker wakes by LISTEN on listenDsn, without a poll", async () => {
    const driver = await openWorkerDriver(pooled, { listenDsn: testDsn() });

    expect(await runsOne(driver, DAY_MS)).toEqual(HEARS);
  });

  test("a worker with listenDsn: null polls", async () => {
    const driver = await openWorkerDriver(pooled, { listenDsn: null });

    expect(driver.polls).toBe(true);
    expect(await runsOne(driver, 100)).toEqual(POLLS);
  });

  test("so do the clients of a caller, with listenClient", async () => {
    const sql = postgres(pooled, { max: 3, prepare: false, onnotice: () => {} });
    const direct = postgres(testDsn(), { max: 1, onnotice: () => {} });
    const pool = new pg.Pool({ connectionString: plain, max: 3 });
    const client = () => new pg.Client({ connectionString: testDsn() });

    const workers = [
      await runsOne(fromPostgresJs(sql, { listenClient: direct }), DAY_MS),
      await runsOne(fromPostgresJs(sql, { listenClient: null }), 100),
      await runsOne(fromNodePostgres(pool, { prepare: false, listenClient: client }), DAY_MS),
      await runsOne(fromNodePostgres(pool, { prepare: false, listenClient: null }), 100),
    ];
    await Promise.all([sql.end(), direct.end(), pool.end()]);

    expect(workers).toEqual([HEARS, POLLS, HEARS, POLLS]);
  });

  test("a worker that listens through the pooler hears nothing, says why, and works by polling", async () => {
    await queue.clear();
    const warnings: string[] = [];
    const logger = {
      debug() {},
      info() {},
      warn: (line: string) => void warnings.push(line),
      error() {},
    };
    const pgq = new PgQueuer(await openWorkerDriver(pooled, { listenDsn: pooled }), {
      ...queue.names,
      logger,
    });
    let ran = 0;
    pgq.entrypoint("work", () => void ran++);
    const run = pgq.run({ dequeueTimeout: 200 });

    const deaf = await until("it says that it hears nothing", async () => {
      const health = await pgq.health();
      return health.listening === false ? health : undefined;
    });
    await queue.queries.enqueue("work", null);
    await until("the job has run", () => ran === 1);
    await until("it says why", () => warnings.some((line) => line.includes("PGQUEUER_LISTEN_DSN")));
    await pgq.stop();
    await run;

    expect(deaf).toMatchObject({ live: true, ready: false, connected: true });
    expect(deaf.problems).toContain("it hears no notifications, and finds jobs by polling");
    expect(warnings.join()).toContain("A pooler in transaction mode, such as PgBouncer");
  });

  test("a CompletionWatcher of a driver that does not listen polls", async () => {
    await queue.clear();
    const driver = await openWorkerDriver(pooled, { listenDsn: null });
    const watcher = new CompletionWatcher(driver, { ...queue.names, pollInterval: 50 });
    const id = (await queue.queries.enqueue("work", null))!;

    const waiting = watcher.waitFor(id);
    await queue.queries.cancel([id]);
    const status = await waiting;
    await watcher.close();
    await driver.close();

    expect(status).toBe("canceled");
  });

  test("pgq works through it, and pgq listen past it", async () => {
    const { schema, prefix } = queue.names;
    const env = { PGQUEUER_DSN: pooled, PGQUEUER_SCHEMA: schema, PGQUEUER_PREFIX: prefix };
    await queue.clear();

    const enqueued = await callPgq(["queue", "work", "hello"], { env });
    const heard = callPgq(["listen", "--limit", "1", "--listen-dsn", testDsn()], { env });
    const stop = repeat(() => queue.queries.enqueue("other", null), 50);
    const { code, stdout } = await heard;
    await stop();
    const listed = await callPgq(["ls", "--json"], { env });
    const none = await callPgq(["listen"], { env: { ...env, PGQUEUER_LISTEN_DSN: "none" } });

    expect(enqueued.code).toBe(0);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("insert") });
    expect(listed.stdout).toContain('"work"');
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toContain("Cannot listen as there must be a connection for it");
  });

  test("nothing of ours stays in its sessions: no lock, no setting, no prepared statement, no LISTEN", async () => {
    await queue.clear();
    // One of its own: what is found is ours, and nobody waits for the sessions that are held here.
    const pooler = await startPgBouncer(findPgBouncer()!, testDsn());
    const driver = await openWorkerDriver(pooler.dsn, { listenDsn: null });
    const log = new LogStore(driver, new Statements(resolveSettings(queue.names, {})));
    const pgq = new PgQueuer(driver, queue.names);
    let ran = 0;
    pgq.entrypoint("work", { concurrencyLimit: 2, requestsPerSecond: 1_000 }, () => void ran++);
    pgq.schedule("yearly", "0 0 1 1 *", () => {});
    await new Queries(driver, queue.names).enqueue("work", Array(20).fill(null));
    const run = pgq.run({ dequeueTimeout: 50 });
    await until("all have run", () => ran === 20);
    await Promise.all(Array.from({ length: 20 }, () => log.aggregate()));

    // Before it closes, as the pooler ends what a client leaves open.
    const sql = postgres(pooler.dsn, { max: POOL_SIZE, onnotice: () => {} });
    const all = deferred();
    let begun = 0;
    const sessions = await Promise.all(
      Array.from({ length: POOL_SIZE }, () =>
        sql.begin(async (tx) => {
          const rows = await tx`
          select current_setting('lock_timeout') as lock_timeout, current_setting('enable_seqscan') as seqscan,
            current_setting('statement_timeout') as statement_timeout,
            (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')::int as locks,
            (select count(*) from pg_listening_channels())::int as channels,
            (select count(*) from pg_prepared_statements where name <> '')::int as prepared`;
          if (++begun === POOL_SIZE) all.resolve();
          await all.promise;
          return rows[0]!;
        })),
    );
    await pgq.stop();
    await run;
    await sql.end();
    await pooler.close();

    for (const session of sessions) {
      expect(session).toEqual({
        lock_timeout: "0",
        seqscan: "on",
        statement_timeout: "0",
        locks: 0,
        channels: 0,
        prepared: 0,
      });
    }
  });

  test("an upgrade through it is refused, as its lock and settings would stay with somebody else", async () => {
    const { schema, prefix } = queue.names;
    const env = { PGQUEUER_DSN: pooled, PGQUEUER_SCHEMA: schema, PGQUEUER_PREFIX: prefix };
    await queue.sql.unsafe(`drop index ${queue.table}_ready_idx`);

    const refused = [
      await callPgq(["upgrade"], { env }),
      await callPgq(["install"], { env }),
    ];
    const pool = new pg.Pool({ connectionString: plain, max: 1 });
    const node = new Queries(fromNodePostgres(pool, { prepare: false }), queue.names).install();
    await expect(node).rejects.toThrow("connect to the server itself");
    await pool.end();
    const [left] = await queue.sql`
      select count(*)::int as locks from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and application_name like 'pgq%'`;
    const direct = await callPgq(["upgrade"], { env: { ...env, PGQUEUER_DSN: testDsn() } });
    const nothing = await callPgq(["upgrade"], { env });

    for (const { code, stdout, stderr } of refused) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("Cannot upgrade as that needs a session");
      expect(stderr.trim().split("\n")).toHaveLength(1);
    }
    expect(left!["locks"]).toBe(0);
    expect(direct.stdout).toBe(`Upgraded, added index ${prefix}pgqueuer_ready_idx\n`);
    expect(nothing).toMatchObject({ code: 0, stdout: "Nothing had to change\n" });
  });

  test("the example of docs/pgbouncer.md works", async () => {
    const page = await readFile(join(ROOT, "docs", "pgbouncer.md"), "utf8");
    const [, title, source] = /^```ts title="(.*)"\n([^]*?)^```$/m.exec(page)!;
    // Inside the checkout, so that the package is found as it is in the project of a user.
    const folder = join(ROOT, ".pgq", `pooler-${queue.names.prefix}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, title!), source!);
    await queue.clear();
    const id = await queue.queries.enqueue("index_article", null);
    const env = {
      POOLED_URL: pooled,
      DIRECT_URL: testDsn(),
      PGQUEUER_SCHEMA: queue.names.schema,
      PGQUEUER_PREFIX: queue.names.prefix,
    };

    const { code, stdout } = await runPgq(
      ["run", `./${title}:main`, "--mode", "drain", "--log-level", "error"],
      { env, cwd: folder },
    );
    await rm(folder, { recursive: true });

    expect({ code, stdout }).toEqual({ code: 0, stdout: `${id}\n` });
  });
});
