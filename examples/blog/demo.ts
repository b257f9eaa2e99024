/**
 * The main job, for real: `npm run demo`.
 *
 * On a PostgreSQL of its own it publishes some thousand articles in transactions, of which some roll back, while two
 * worker processes index them; then it searches, and compares every count with the database. Exits with 0 only if all
 * agree.
 */
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { fromPostgresJs, Queries } from "pgqueuer";
import postgres, { type Sql } from "postgres";
import {
  deleteEmbeddedPostgres,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../src/cli/embedded_postgres.ts";
import { audit } from "./demo/audit.ts";
import { type Library, readLibrary } from "./demo/documents.ts";
import { Progress } from "./demo/progress.ts";
import { Ledger, produce } from "./demo/publisher.ts";
import { renderAnswer, renderDifferences, renderTable } from "./demo/report.ts";
import { WorkerProcess } from "./demo/workers.ts";
import { search } from "./search.ts";

const FACTORY = "examples/blog/main.ts:main";
const WORKERS = 2;
const QUESTION = "connection timeout or retry -license";
const LOOK_MS = 100;
/** No job has ended for so long: something is wrong, and waiting does not mend it. */
const STALL_MS = 20_000;
/** What a shell shows for a program that Ctrl-C ended. */
const INTERRUPTED = 130;

process.exitCode = await main();

async function main(): Promise<number> {
  // The server is the demo's own, so the caller's DSNs and names of tables are not for it.
  for (const name of Object.keys(process.env)) {
    if (name.startsWith("PGQUEUER_")) delete process.env[name];
  }
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => interrupt.abort(new Error(`Stopped by ${signal}`)));
  }
  try {
    return await onOwnServer((server) => show(server, interrupt.signal));
  } catch (error) {
    if (interrupt.signal.aborted) {
      say("Interrupted: stopped the workers and the server");
      return INTERRUPTED;
    }
    console.error(error);
    return 1;
  }
}

/** Runs `body` on a fresh server and leaves nothing behind. */
async function onOwnServer<T>(body: (server: EmbeddedPostgres) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "pgqueuer-demo-"));
  try {
    // Started by root, the server runs as another user, who must be able to enter.
    await chmod(directory, 0o711);
    // Durable as by default. The dates of commits are for the measurement.
    const settings = { track_commit_timestamp: "on" };
    const server = await startEmbeddedPostgres({ directory, settings, onLog: say });
    say(`PostgreSQL ${server.version} runs on port ${server.port}`);
    try {
      return await body(server);
    } finally {
      await server.stop();
    }
  } finally {
    await deleteEmbeddedPostgres(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

async function show(server: EmbeddedPostgres, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const sql = postgres(server.dsn, { max: 10, onnotice: () => {} });
  const workers: WorkerProcess[] = [];
  try {
    await install(sql);
    for (let i = 0; i < WORKERS; i++) workers.push(new WorkerProcess(FACTORY, server.dsn));
    const library = await readLibrary(
      fileURLToPath(new URL("../../node_modules", import.meta.url)),
    );
    const drafts = await insertDrafts(sql, library);
    signal.throwIfAborted();
    await untilListening(sql, workers, signal);
    say(`${WORKERS} worker processes wait; publishing ${drafts.length} articles`);

    const ledger = new Ledger();
    const emails = library.packages.map((name) => `${name.replace("/", ".")}@example.com`);
    await Promise.all([
      produce(sql, { drafts, emails }, ledger),
      watch(sql, ledger, drafts.length + emails.length, workers, signal),
    ]);
    await stopAll(workers);

    console.log(renderAnswer(QUESTION, await search(sql, QUESTION, 5)));
    const findings = await audit(sql, ledger);
    console.log(renderTable({ files: library.files, articles: drafts.length }, ledger, findings));
    const differences = renderDifferences(findings);
    console.log(differences || "All counts agree with the database");
    return differences === "" ? 0 : 1;
  } finally {
    await stopAll(workers);
    await sql.end({ timeout: 1 });
  }
}

async function install(sql: Sql): Promise<void> {
  await new Queries(fromPostgresJs(sql)).install();
  await sql.unsafe(await readFile(new URL("schema.sql", import.meta.url), "utf8"));
}

async function insertDrafts(sql: Sql, { documents }: Library): Promise<string[]> {
  const ids: string[] = [];
  for (let start = 0; start < documents.length; start += 1_000) {
    const rows = documents.slice(start, start + 1_000);
    const inserted = await sql<{ id: string }[]>`
      INSERT INTO article ${sql(rows, "slug", "title", "body")} RETURNING id`;
    ids.push(...inserted.map(({ id }) => id));
  }
  return ids;
}

/** Waits until every worker listens, so that the first jobs do not wait for a process to start. */
async function untilListening(
  sql: Sql,
  workers: readonly WorkerProcess[],
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + STALL_MS;
  while (performance.now() < deadline) {
    refuseDead(workers);
    const [row] = await sql<{ count: number }[]>`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE application_name = 'pgqueuer' AND query ILIKE 'listen %'`;
    if (row!.count >= workers.length) return;
    await delay(LOOK_MS, undefined, { signal });
  }
  throw new Error(`Cannot show anything as the workers do not start:\n${stderrOf(workers)}`);
}

/** Shows how far the work is, until every transaction has ended and the queue is empty. */
async function watch(
  sql: Sql,
  ledger: Ledger,
  transactions: number,
  workers: readonly WorkerProcess[],
  signal: AbortSignal,
): Promise<void> {
  const progress = new Progress();
  let last = { done: -1, at: performance.now() };
  try {
    while (true) {
      // Read before the queue: a job that is enqueued in between must not be missed.
      const { isClosed, published, rolledBack } = ledger;
      const [row] = await sql<{ done: number; left: number }[]>`
        SELECT (SELECT count(*)::int FROM pgqueuer_log WHERE status = 'successful') AS done,
          (SELECT count(*)::int FROM pgqueuer) AS left`;
      const { done, left } = row!;
      progress.show(
        (done + rolledBack.size) / transactions,
        `published ${published.size}, rolled back ${rolledBack.size}, jobs done ${done}`,
      );
      if (isClosed && left === 0) return;

      refuseDead(workers);
      if (done !== last.done) last = { done, at: performance.now() };
      if (performance.now() - last.at > STALL_MS) {
        throw new Error(
          `Cannot go on as no job has ended in ${STALL_MS} ms:\n${stderrOf(workers)}`,
        );
      }
      await delay(LOOK_MS, undefined, { signal });
    }
  } finally {
    progress.close();
  }
}

async function stopAll(workers: WorkerProcess[]): Promise<void> {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
}

function refuseDead(workers: readonly WorkerProcess[]): void {
  if (!workers.some((worker) => worker.hasEnded)) return;
  throw new Error(`Cannot go on as a worker has ended:\n${stderrOf(workers)}`);
}

function stderrOf(workers: readonly WorkerProcess[]): string {
  return workers.map(({ stderr }) => stderr).join("\n");
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
