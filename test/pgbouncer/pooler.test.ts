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
} from "../../mod.ts";
import { withoutItsStatement } from "../../src/drivers/postgres_js_connection.ts";
import { callPgq, runPgq } from "../cli/fixtures/pgq.ts";
import { bytes, openTestQueue, testDsn, type TestQueue, text, until } from "../support/queue.ts";

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
  let queue: TestQueue;
  beforeAll(async () => {
    queue = await openTestQueue();
  });
  afterAll(() => queue.close());

  /** Runs a worker until it has run a job that came while it was idle. Gives how it was then. */
  async function runsOne(driver: Driver, dequeueTimeout: number): Promise<boolean | null> {
    await queue.clear();
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
    return listening;
  }

  test("a worker wakes by LISTEN on listenDsn, without a poll", async () => {
    const driver = await openWorkerDriver(pooled, { listenDsn: testDsn() });

    expect(await runsOne(driver, DAY_MS)).toBe(true);
  });

  test("a worker with listenDsn: null polls", async () => {
    const driver = await openWorkerDriver(pooled, { listenDsn: null });

    expect(driver.polls).toBe(true);
    expect(await runsOne(driver, 100)).toBe(null);
  });

  test("so do the clients of a caller, with listenClient", async () => {
    const sql = postgres(pooled, { max: 3, prepare: false, onnotice: () => {} });
    const direct = postgres(testDsn(), { max: 1, onnotice: () => {} });
    const pool = new pg.Pool({ connectionString: plain, max: 3 });
    const client = () => new pg.Client({ connectionString: testDsn() });

    const listening = [
      await runsOne(fromPostgresJs(sql, { listenClient: direct }), DAY_MS),
      await runsOne(fromPostgresJs(sql, { listenClient: null }), 100),
      await runsOne(fromNodePostgres(pool, { prepare: false, listenClient: client }), DAY_MS),
      await runsOne(fromNodePostgres(pool, { prepare: false, listenClient: null }), 100),
    ];
    await Promise.all([sql.end(), direct.end(), pool.end()]);

    expect(listening).toEqual([true, null, true, null]);
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
    const stop = setInterval(() => void queue.queries.enqueue("other", null), 50);
    const { code, stdout } = await heard;
    clearInterval(stop);
    const listed = await callPgq(["ls", "--json"], { env });
    const none = await callPgq(["listen"], { env: { ...env, PGQUEUER_LISTEN_DSN: "none" } });

    expect(enqueued.code).toBe(0);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("insert") });
    expect(listed.stdout).toContain('"work"');
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toContain("Cannot listen as there must be a connection for it");
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
