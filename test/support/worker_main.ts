/** A worker for the tests of guarantees. Its handlers write what they do to a table that the test reads. */
import "./ends_with_parent.ts";
import process from "node:process";
import postgres from "postgres";
import { openWorkerDriver, PgQueuer } from "../../mod.ts";
import { DRIVERS } from "./drivers.ts";
import { registerEffect } from "./effects.ts";
import { pollingOften } from "./pooler.ts";
import { text } from "./queue.ts";
import type { WorkerProcessOptions } from "./worker_process.ts";

const { dsn, names, heartbeatTimeoutMs = 30_000, shutdownTimeoutMs = 30_000, ...options } = JSON
  .parse(
    process.env["WORKER"]!,
  ) as { dsn: string; names: { schema: string; prefix: string } } & WorkerProcessOptions;

const log = (message: string): void => console.error(message);
const open = DRIVERS.find(([name]) => name === options.effectsOn)?.[1];
const driver = open
  ? (await open(dsn, { poolSize: 8, statementTimeout: { seconds: 5 } })).driver
  : await openWorkerDriver(dsn);
const pgq = pollingOften(
  new PgQueuer(driver, {
    ...names,
    logger: { debug: log, info: log, warn: log, error: log },
  }),
);
const sql = postgres(dsn, { max: 2, onnotice: () => {} });

function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

if (options.ticks) {
  pgq.schedule("tick", "* * * * * *", async ({ due }) => {
    const runs = sql(`${names.schema}.runs`);
    const [order] = await sql`delete from ${runs} where job_id = -1 returning pid`;
    if (order === undefined) return;
    await sql`insert into ${runs} (job_id, pid) values (${due.getTime()}, ${process.pid})`;
    block(order["pid"]);
  });
}

function registerOthers(): void {
  // Ends at once.
  pgq.entrypoint("quick", () => {});
  // Ends at once, or after as many milliseconds as the payload says.
  pgq.entrypoint("limited", { concurrencyLimit: options.concurrencyLimit ?? 0 }, async (job) => {
    if (job.payload) await new Promise((resolve) => setTimeout(resolve, Number(text(job.payload))));
  });
  pgq.entrypoint("rated", { requestsPerSecond: options.requestsPerSecond ?? Infinity }, () => {});
  // Writes a row for each run, then takes as many milliseconds as the payload says.
  pgq.entrypoint("work", async (job) => {
    await sql`insert into ${
      sql(names.schema)
    }.runs (job_id, pid) values (${job.id}, ${process.pid})`;
    await new Promise((resolve) => setTimeout(resolve, Number(text(job.payload))));
  });
  // Blocks the event loop for as many milliseconds as the payload says, from its first moment on.
  pgq.entrypoint("block", (job) => block(Number(text(job.payload))));
  // Runs until its signal aborts.
  pgq.entrypoint("until_aborted", async (job, { signal }) => {
    await sql`insert into ${
      sql(names.schema)
    }.runs (job_id, pid) values (${job.id}, ${process.pid})`;
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  // Never ends, whatever it is told.
  pgq.entrypoint("deaf", async (job) => {
    await sql`insert into ${
      sql(names.schema)
    }.runs (job_id, pid) values (${job.id}, ${process.pid})`;
    await new Promise(() => {});
  });
}

// Goes on when there is a row.
async function go(): Promise<void> {
  while ((await sql`select from ${sql(names.schema)}.go`).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (options.effectsOn) registerEffect(pgq, names, { go });
else registerOthers();

// The second one waits no longer.
let stops = 0;
process.on("SIGTERM", () => {
  log("stopping");
  void pgq.stop(stops++ === 0 ? undefined : { timeout: 0 });
});
const run = pgq.run({
  heartbeatTimeout: heartbeatTimeoutMs,
  shutdownTimeout: shutdownTimeoutMs,
  maxConcurrentTasks: options.maxConcurrentTasks,
  blockTimeout: options.blockTimeoutMs,
  ...(options.dequeueTimeoutMs === undefined ? {} : { dequeueTimeout: options.dequeueTimeoutMs }),
});
console.log("ready");
await run;
await sql.end({ timeout: 1 });
// A handler that goes on would keep the process alive.
process.exit(0);
