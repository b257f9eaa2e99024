/** The main job's audit, on a small scale: it finds every count right, and names each that is not. */
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { audit, type Findings } from "../examples/blog/demo/audit.ts";
import { Ledger, produce } from "../examples/blog/demo/publisher.ts";
import { renderDifferences } from "../examples/blog/demo/report.ts";
import { WorkerProcess } from "../examples/blog/demo/workers.ts";
import { fromPostgresJs, getQueue, Queries, resolveSettings } from "../mod.ts";
import {
  deleteEmbeddedPostgres,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../src/cli/embedded_postgres.ts";
import { LogStore } from "../src/queries/log.ts";
import { Statements } from "../src/sql/render.ts";
import { until } from "./support/queue.ts";

const DRAFTS = 40;
const USERS = 5;
const ROLLED_BACK = DRAFTS / 10;
const STARTED = { fsync: "off", track_commit_timestamp: "on" };

const taken = new Map<string, string | undefined>();
let directory: string;
let server: EmbeddedPostgres;
let sql: Sql;
let worker: WorkerProcess;
let ledger: Ledger;

beforeAll(async () => {
  // As the demo does: the names of the tables and the DSNs of whoever starts the tests are not for it.
  for (const name of Object.keys(process.env).filter((name) => name.startsWith("PGQUEUER_"))) {
    taken.set(name, process.env[name]);
    delete process.env[name];
  }
  directory = await mkdtemp(join(tmpdir(), "pgqueuer-demo-test-"));
  await chmod(directory, 0o711);
  server = await startEmbeddedPostgres({ directory, settings: STARTED });
  sql = postgres(server.dsn, { max: 10, onnotice: () => {} });
  await new Queries(fromPostgresJs(sql)).install();
  await sql.unsafe(await readFile(new URL("../examples/blog/schema.sql", import.meta.url), "utf8"));
  ledger = await publishAll();
});

afterAll(async () => {
  await worker?.stop();
  await sql?.end({ timeout: 1 });
  await server?.stop("immediate");
  await deleteEmbeddedPostgres(directory);
  await rm(directory, { recursive: true, force: true });
  for (const [name, value] of taken) process.env[name] = value;
});

/** Has one worker process do the jobs of what is published. Gives what the producers know. */
async function publishAll(): Promise<Ledger> {
  const drafts = await sql<{ id: string }[]>`
    INSERT INTO article (slug, title, body)
    SELECT 'article-' || n, 'On queues', 'A job survives the crash of its worker.'
    FROM generate_series(1, ${DRAFTS}) AS n RETURNING id`;
  const emails = Array.from({ length: USERS }, (_, index) => `user${index}@example.com`);
  const known = new Ledger();
  worker = new WorkerProcess("examples/blog/main.ts:main", server.dsn);
  await produce(sql, { drafts: drafts.map(({ id }) => id), emails }, known);
  await until("every job is done", async () => {
    if (worker.hasEnded) throw new Error(`The worker has ended:\n${worker.stderr}`);
    const [row] = await sql`SELECT count(*)::int AS left FROM pgqueuer`;
    return row!.left === 0;
  });
  await worker.stop();
  return known;
}

/** What the audit finds wrong when `spoil` has done its work, which is undone. */
async function wrongAfter(
  spoil: (tx: postgres.TransactionSql) => Promise<unknown>,
): Promise<string> {
  const undo = new Error("undo");
  let findings: Findings | undefined;
  await sql.begin(async (tx) => {
    await spoil(tx);
    findings = await audit(tx as unknown as Sql, ledger);
    throw undo;
  }).catch((error) => {
    if (error !== undo) throw error;
  });
  return renderDifferences(findings!);
}

test("every count agrees, and the times are those of the jobs, also of rows that were counted later", async () => {
  await sql`UPDATE pgqueuer_log SET aggregated = false`;
  await new LogStore(fromPostgresJs(sql), new Statements(resolveSettings({}))).aggregate();

  const findings = await audit(sql, ledger);

  expect(renderDifferences(findings)).toBe("");
  expect(findings).toMatchObject({
    indexed: DRAFTS - ROLLED_BACK,
    welcomed: USERS,
    jobsRun: DRAFTS - ROLLED_BACK + USERS,
    jobsLost: 0,
  });
  expect(findings.jobsPerSecond).toBeGreaterThan(0);
  // No job starts before its transaction has committed, nor ends before it starts.
  expect(findings.toStart.p50).toBeGreaterThan(0);
  expect(findings.toDone.p50).toBeGreaterThan(findings.toStart.p50);
  expect(findings.toDone.p95).toBeGreaterThanOrEqual(findings.toDone.p50);
});

test("a job that was lost, one that ran twice and one that is left are told", async () => {
  const [first, second] = ledger.jobs;

  const wrong = await wrongAfter(async (tx) => {
    await tx`DELETE FROM pgqueuer_log WHERE job_id = ${first!}`;
    await tx`
      INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
      VALUES (${second!}, 'successful', 0, 'index_article')`;
    await getQueue(tx).enqueue("index_article", null);
  });

  const jobs = ledger.jobs.length;
  expect(wrong.split("\n")).toEqual([
    `Wrong: jobs with exactly one success in the log: expected ${jobs}, found ${jobs - 2}`,
    "Wrong: committed jobs that never ran: expected 0, found 1",
    "Wrong: jobs left in the queue: expected 0, found 1",
  ]);
});

test("what a rolled back transaction left behind is told, and what a committed one did not do", async () => {
  const [[id, jobId]] = ledger.rolledBack as unknown as [[string, number]];

  const wrong = await wrongAfter(async (tx) => {
    await tx`UPDATE article SET status = 'published' WHERE id = ${id}`;
    await tx`
      INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
      VALUES (${jobId}, 'failed', 0, 'index_article')`;
    await tx`UPDATE app_user SET welcomed_at = NULL WHERE email = 'user0@example.com'`;
  });

  const published = ledger.published.size;
  expect(wrong.split("\n")).toEqual([
    `Wrong: articles with status published: expected ${published}, found ${published + 1}`,
    `Wrong: users with a welcome: expected ${USERS}, found ${USERS - 1}`,
    `Wrong: jobs that the log knows: expected ${ledger.jobs.length}, found ${
      ledger.jobs.length + 1
    }`,
    "Wrong: rolled back articles that are published or indexed: expected 0, found 1",
    "Wrong: jobs of rolled back transactions in the log: expected 0, found 1",
    "Wrong: failures in the log: expected 0, found 1",
  ]);
});
