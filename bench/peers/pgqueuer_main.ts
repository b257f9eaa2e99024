/** A process of ours. Runs as it is on Node, Deno and Bun. */
import process from "node:process";
import postgres from "postgres";
import {
  type EntrypointOptions,
  fromPostgresJs,
  openWorkerDriver,
  PgQueuer,
  Queries,
  type SettingsOptions,
  task as jsonTask,
} from "../../mod.ts";
import {
  bytesPayload,
  Counter,
  entrypointOf,
  fill,
  jsonPayload,
  now,
  offer,
  readTask,
  say,
  type SendBatch,
  single,
  told,
  trickle,
} from "./task.ts";

const task = readTask();
/** Large payloads are JSON, as what is large is for most users, and for each of the peers in JavaScript. */
const isJson = task.payloadBytes >= 1_000;
/** One of each kind. */
const LIMITS: readonly EntrypointOptions[] = [
  { concurrencyLimit: 10 },
  { concurrencyLimit: 50 },
  { requestsPerSecond: 5_000 },
  { serializedDispatch: true },
  { concurrencyLimit: 20, requestsPerSecond: 5_000 },
];

switch (task.role) {
  case "install":
    await withQueries(1, async (queries) => void await queries.install());
    break;
  case "fill":
    await withQueries(1, (queries) => begin(() => fill(task, sendBatch(queries))));
    break;
  case "single":
    await withQueries(task.callers, (queries) => begin(() => single(task, sendOne(queries))));
    break;
  case "trickle":
    await withQueries(1, (queries) => begin(() => trickle(task, sendOne(queries))));
    break;
  case "offer":
    await withQueries(1, (queries) => begin(() => offer(task, sendBatch(queries))));
    break;
  case "work":
    await work();
    break;
}
process.exit(0);

async function begin(run: () => Promise<unknown>): Promise<void> {
  void say("ready");
  await told("go");
  await say("end", await run());
}

async function withQueries(
  connections: number,
  run: (queries: Queries) => Promise<void>,
): Promise<void> {
  const sql = postgres(task.dsn, { max: connections, onnotice: () => {} });
  await sql`select 1`;
  const queries = new Queries(fromPostgresJs(sql), {
    ...settings(),
    ...(task.variant === "alone" ? { coalesce: false } : {}),
  });
  await run(queries);
  await sql.end();
}

/** What a variant changes about the tables and what is written to them. */
function settings(): SettingsOptions {
  switch (task.variant) {
    case "balanced":
    case "volatile":
      return { durability: task.variant };
    case "terminal":
      return { log: "terminal" };
    default:
      return {};
  }
}

function payloadOf(number: number, calledAt: number): Uint8Array {
  if (!isJson) return bytesPayload(task, number, calledAt);
  return new TextEncoder().encode(JSON.stringify(jsonPayload(task, number, calledAt)));
}

function read(payload: Uint8Array): { n: number; at: number } {
  const view = new DataView(payload.buffer, payload.byteOffset);
  return { n: view.getUint32(0), at: view.getFloat64(4) };
}

function sendBatch(queries: Queries): SendBatch {
  return async (numbers, delayMs, calledAt) => {
    const entrypoint = task.entrypoints === 1
      ? entrypointOf(task, 0)
      : numbers.map((number) => entrypointOf(task, number));
    const payloads = numbers.map((number) => payloadOf(number, calledAt));
    await queries.enqueue(
      entrypoint,
      payloads,
      delayMs > 0 ? { executeAfter: delayMs } : {},
    );
  };
}

function sendOne(queries: Queries) {
  return async (number: number, calledAt: number): Promise<void> => {
    await queries.enqueue(entrypointOf(task, number), payloadOf(number, calledAt));
  };
}

async function work(): Promise<void> {
  const counter = new Counter(task);
  const driver = await openWorkerDriver(task.dsn);
  const logger = {
    debug: () => {},
    info: () => {},
    warn: (line: string) => console.error(line),
    error: (line: string) => console.error(line),
  };
  const pgq = new PgQueuer(driver, { ...settings(), logger });
  for (let index = 0; index < task.entrypoints; index++) {
    const isLimited = index < task.limited;
    const name = entrypointOf(task, index);
    const handle = async ({ n, at }: { n: number; at: number }): Promise<void> => {
      if (task.limited > 0 && !isLimited) counter.unlimitedAt = now();
      await counter.run(task, n, at);
    };
    if (isJson) pgq.register(jsonTask<{ n: number; at: number }>({ name }), handle);
    else {
      const options = isLimited ? LIMITS[index]! : {};
      pgq.entrypoint(name, options, (job) => handle(read(job.payload!)));
    }
  }
  void say("ready");
  await told("go");
  const run = pgq.run({
    ...(task.concurrency > 0 ? { maxConcurrentTasks: task.concurrency } : {}),
    ...(task.retentionMs > 0 ? { retention: task.retentionMs } : {}),
  });
  await told("stop");
  await pgq.stop();
  await run;
  await counter.end();
}
