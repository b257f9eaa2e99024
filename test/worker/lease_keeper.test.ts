/** Leases outlive a handler that blocks the event loop. With real processes, since a blocked one can do nothing else. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeWorker } from "../support/fake_worker.ts";
import { bytes, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import {
  startWorkerProcess,
  WORKER_MAIN,
  type WorkerProcess,
  type WorkerProcessOptions,
} from "../support/worker_process.ts";

const LEASE_MS = 2_000;

let queue: TestQueue;
let blocker: WorkerProcess | undefined;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterEach(() => blocker?.kill("SIGKILL"));
afterAll(() => queue.close());

/** Starts the process that is going to be blocked. */
async function startBlocker(options: WorkerProcessOptions): Promise<WorkerProcess> {
  blocker = await startWorkerProcess(queue, {
    heartbeatTimeoutMs: LEASE_MS,
    threads: true,
    ...options,
  });
  return blocker;
}

/** A process runs a job, its first, that blocks it for so long, with a hungry worker beside it. Gives what the log says. */
async function block(
  blockMs: number,
  options: WorkerProcessOptions = {},
): Promise<{ history: string[]; takeOverMs: number; stderr: () => string }> {
  const { stderr } = await startBlocker(options);
  await queue.queries.enqueue("block", bytes(String(blockMs)));
  await until("it blocks", async () => (await queue.rows())[0]?.status === "picked");
  const hungry = await queue.worker();
  hungry.entrypoint("block", () => {});
  const run = hungry.run({ heartbeatTimeout: LEASE_MS });
  await until("the job has ended", async () => (await queue.rows()).length === 0);
  await hungry.stop();
  await run;
  const rows = await queue.log();
  const [first, second] = rows.filter((row) => row.status === "picked");
  const takeOverMs = (second?.created.getTime() ?? Infinity) - first!.created.getTime();
  return { history: rows.map((row) => row.status), takeOverMs, stderr };
}

test("a handler that blocks the event loop for three leases keeps its job", async () => {
  const { history, stderr } = await block(3 * LEASE_MS);

  expect(history).toEqual(["queued", "picked", "successful"]);
  await until(
    "it says why",
    () => /No lease of jobs was renewed for \d+ ms, .*: a thread renewed them$/m.test(stderr()),
  );
}, 60_000);

test("without the thread it loses its job after one", async () => {
  const { history, takeOverMs, stderr } = await block(1.5 * LEASE_MS, { blockTimeoutMs: 0 });

  expect(history).toEqual(["queued", "picked", "picked", "successful"]);
  expect(takeOverMs).toBeGreaterThanOrEqual(LEASE_MS);
  await until("it is told", () => stderr().includes("lease was lost"));
  expect(stderr()).not.toContain("thread");
}, 60_000);

test("a handler that blocks it for longer than blockTimeout loses its job", async () => {
  const { history, takeOverMs, stderr } = await block(3 * LEASE_MS, {
    blockTimeoutMs: 1.5 * LEASE_MS,
  });

  expect(history).toEqual(["queued", "picked", "picked", "successful"]);
  // The thread has renewed it, but for the last time when the silence was not yet as long as that.
  expect(takeOverMs).toBeGreaterThan(1.1 * LEASE_MS);
  await until("it is told", () => stderr().includes("lease was lost"));
  await until("it says why", () => stderr().includes(": they were given up"));
}, 60_000);

test("a schedule whose handler blocks it keeps its fire", async () => {
  const { sql, names } = queue;
  const runs = sql(`${names.schema}.runs`);
  await sql`create table ${runs} (job_id bigint, pid int)`;
  const worker = await startBlocker({ ticks: true });
  await sql`insert into ${runs} (job_id, pid) values (-1, ${3 * LEASE_MS})`;
  /** Due time of the fire that blocks. */
  const due = await until("it blocks", async () => {
    const [row] = await sql`select job_id::float8 as due from ${runs} where job_id > 0`;
    return row?.["due"] as number | undefined;
  });
  const hungry = await queue.worker();
  const dues: number[] = [];
  hungry.schedule("tick", "* * * * * *", (fire) => void dues.push(fire.due.getTime()));
  const run = hungry.run({ heartbeatTimeout: LEASE_MS });

  await until(
    "it says why",
    () =>
      /No lease of schedules was renewed for \d+ ms, .*: a thread renewed them$/m.test(
        worker.stderr(),
      ),
  );
  worker.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
  await until("the other worker fires too", () => dues.length > 0);

  expect(Math.min(...dues)).toBeGreaterThanOrEqual(due + 3 * LEASE_MS - 1_000);
  await hungry.stop();
  await run;
}, 60_000);

test("a bundled worker, which has no script for the thread, says so once and works", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pgqueuer-bundle-"));
  await build({
    configFile: false,
    logLevel: "error",
    ssr: { noExternal: true },
    build: {
      ssr: WORKER_MAIN,
      outDir: folder,
      rollupOptions: { output: { entryFileNames: "worker.mjs" } },
    },
  });
  const worker = await startWorkerProcess(queue, {}, join(folder, "worker.mjs"));
  blocker = worker;

  for (const ended of [1, 2]) {
    await queue.queries.enqueue("quick", null);
    await until(
      "the job has ended",
      async () => (await queue.log()).filter((row) => row.status === "successful").length === ended,
    );
  }
  await until("it says so", () => worker.stderr().includes("no thread can renew"));
  worker.kill("SIGTERM");

  expect(await worker.exited).toBe(0);
  expect(worker.stderr().match(/no thread can renew/g)).toHaveLength(1);
  await rm(folder, { recursive: true });
}, 60_000);

test("a run with short leases starts no handler before the thread is there", async () => {
  FakeWorker.install();
  try {
    const id = await queue.queries.enqueue("quick", null);
    const pgq = await queue.worker();
    pgq.entrypoint("quick", () => {});
    const run = pgq.run({ mode: "drain", heartbeatTimeout: LEASE_MS });
    await until("the thread is started", () => FakeWorker.made.length === 1);
    // Long enough for a drain that does not wait, of which this one is to be told from.
    for (let looks = 0; looks < 20; looks++) {
      expect(await queue.history(id!)).toEqual(["queued"]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }

    FakeWorker.made[0]!.onmessage({ data: "loaded" });
    await run;

    expect(await queue.history(id!)).toEqual(["queued", "picked", "successful"]);
    expect(FakeWorker.made).toMatchObject([{ terminated: true }]);
  } finally {
    FakeWorker.remove();
  }
});

test("a run starts the thread with its first job and ends it", async () => {
  FakeWorker.install();
  try {
    const pgq = await queue.worker();
    pgq.entrypoint("quick", () => expect(FakeWorker.made).toHaveLength(1));
    const idle = await queue.worker();
    idle.entrypoint("quick", () => {});
    await idle.run({ mode: "drain" });
    expect(FakeWorker.made).toHaveLength(0);

    const id = await queue.queries.enqueue("quick", null);
    await pgq.run({ mode: "drain" });

    expect(await queue.history(id!)).toEqual(["queued", "picked", "successful"]);
    expect(FakeWorker.made).toMatchObject([{ terminated: true }]);
  } finally {
    FakeWorker.remove();
  }
});
