/** A peer of this project: see protocol.ts. Told by PEER where the database is, by PGQUEUER_* what its tables are called. */
import { createInterface } from "node:readline";
import "../support/ends_with_parent.ts";
import process from "node:process";
import postgres from "postgres";
import {
  fromPostgresJs,
  getQueue,
  type Job,
  type JobContext,
  openWorkerDriver,
  PgQueuer,
  Queries,
  resolveSettings,
  RetryRequested,
} from "../../mod.ts";
import { Operator } from "../../src/queries/operator.ts";
import { deferred } from "../support/queue.ts";
import type { Commands, PeerEntrypoint, PeerJob, WorkOptions } from "./protocol.ts";

type Answers = {
  readonly [Name in keyof Commands]: (
    request: Commands[Name][0],
  ) => Promise<Commands[Name][1]> | Commands[Name][1];
};

const { dsn } = JSON.parse(process.env["PEER"]!) as { dsn: string };
// As many as a Python peer has.
const sql = postgres(dsn, { max: 6, onnotice: () => {} });
const driver = fromPostgresJs(sql);
// Each request is a statement in a session of its own, as those of a Python peer are.
const queries = new Queries(driver, { coalesce: false });
const operator = new Operator(driver, resolveSettings());

type Gate = ReturnType<typeof deferred<void>>;

/** Those of running handlers that wait, and of jobs that were told to go on before they started. */
const gates = new Map<number, Gate>();
let worker: { readonly pgq: PgQueuer; readonly run: Promise<void> } | undefined;
let transaction: { readonly end: () => void; readonly ended: Promise<unknown> } | undefined;

function say(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function gate(id: number): Gate {
  const gate = gates.get(id) ?? deferred<void>();
  gates.set(id, gate);
  return gate;
}

function handlerOf({ does, ms = 0 }: PeerEntrypoint) {
  return async (job: Job, { signal }: JobContext): Promise<void> => {
    const { id, entrypoint, priority, attempts, headers } = job;
    const payload = job.payload === null ? null : Buffer.from(job.payload).toString("base64");
    const seen = { id, entrypoint, priority, attempts, headers, payload };
    say({ event: "start", at: Date.now(), job: seen });
    if (does === "sleep") await new Promise((resolve) => setTimeout(resolve, ms));
    if (does === "wait") {
      const stopped = new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => resolve())
      );
      await Promise.race([gate(id).promise, stopped]);
    }
    if (does === "fail") throw new RangeError("no such article");
    if (does === "retry" && attempts === 0) {
      throw new RetryRequested({ delay: ms, reason: "handed over" });
    }
    say({ event: "end", at: Date.now(), id, canceled: signal.aborted });
    signal.throwIfAborted();
  };
}

async function start(options: WorkOptions): Promise<void> {
  const pgq = new PgQueuer(await openWorkerDriver(dsn));
  for (const [name, entrypoint] of Object.entries(options.entrypoints ?? {})) {
    const { concurrencyLimit, onFailure } = entrypoint;
    pgq.entrypoint(name, { concurrencyLimit, onFailure }, handlerOf(entrypoint));
  }
  for (const [name, expressions] of Object.entries(options.schedules ?? {})) {
    for (const expression of expressions) {
      pgq.schedule(name, expression, () => {
        say({ event: "fire", at: Date.now(), entrypoint: name });
      });
    }
  }
  const run = pgq.run({
    heartbeatTimeout: options.heartbeatTimeoutMs,
    dequeueTimeout: options.dequeueTimeoutMs,
    batchSize: options.batchSize,
    maxConcurrentTasks: options.maxConcurrentTasks,
  });
  worker = { pgq, run };
  run.catch((error) => say({ event: "failed", error: String(error) }));
}

async function stop(): Promise<void> {
  const stopped = worker;
  worker = undefined;
  await stopped?.pgq.stop();
  await stopped?.run;
}

function jobsOf(jobs: readonly PeerJob[]) {
  return jobs.map(({ payload = null, delayMs, ...job }) => ({
    ...job,
    payload: payload === null ? null : new Uint8Array(Buffer.from(payload, "base64")),
    executeAfter: delayMs,
  }));
}

const answers: Answers = {
  enqueue: ({ jobs, onConflict = "raise" }) =>
    queries.enqueueMany(jobsOf(jobs), { onConflict: onConflict as "raise" }),
  begin({ jobs }) {
    return new Promise((resolve, reject) => {
      let end!: () => void;
      const told = new Promise<void>((settle) => end = settle);
      const ended = sql.begin(async (tx) => {
        resolve(await getQueue(tx).enqueueMany(jobsOf(jobs)));
        await told;
      });
      transaction = { end, ended };
      ended.catch(reject);
    });
  },
  async commit() {
    const at = Date.now();
    transaction!.end();
    await transaction!.ended;
    return at;
  },
  work: start,
  stop,
  go({ ids }) {
    for (const id of ids) gate(id).resolve();
  },
  cancel: async ({ ids }) => void await queries.cancel(ids),
  async failed() {
    return (await queries.listFailed()).map(({ id, attempts }) => ({ id, attempts }));
  },
  requeue: async ({ ids }) => void await queries.requeue(ids),
  async tracebacks({ job }) {
    const details = await operator.findJob(job, { payload: false, logLimit: 100 });
    return details!.log.flatMap(({ traceback }) =>
      traceback === null ? [] : [{
        type: traceback.exception_type,
        message: traceback.exception_message,
        text: traceback.traceback,
        context: traceback.additional_context,
      }]
    );
  },
  async statistics() {
    return (await queries.logStatistics()).map((row) => ({
      ...row,
      created: row.created.getTime(),
    }));
  },
};

async function end(): Promise<void> {
  await stop();
  process.exit(0);
}

process.on("SIGTERM", () => void end());
const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { id, command, ...request } = JSON.parse(line);
  try {
    const result = await (answers[command as keyof Commands] as (value: unknown) => unknown)(
      request,
    );
    say({ id, result: result ?? null });
  } catch (error) {
    say({ id, error: String(error) });
  }
});
lines.on("close", () => void end());
say({ event: "ready" });
