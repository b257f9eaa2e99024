/** A worker of a chaos run. Its handlers do what their jobs say, and write it down past the proxies. */
import "../support/ends_with_parent.ts";
import process from "node:process";
import { type Job, type JobContext, type Logger, openWorkerDriver, PgQueuer } from "../../mod.ts";
import { text } from "../support/queue.ts";
import { Effects } from "./effects.ts";
import { HEARTBEAT_TIMEOUT_MS, KINDS, kindsOf, pingOf, type Task } from "./kinds.ts";

/** What a worker of a chaos run is told. */
export interface ChaosWorkerOptions {
  /** Through the proxy. */
  readonly dsn: string;
  /** Past it. */
  readonly effectsDsn: string;
  readonly schema: string;
  /** Counted from 0. */
  readonly worker: number;
  /** Of the run. */
  readonly workers: number;
  /** Of this process, in the audit. */
  readonly name: string;
  readonly dequeueTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

const options = JSON.parse(process.env["CHAOS_WORKER"]!) as ChaosWorkerOptions;
const effects = new Effects(options.effectsDsn, options.schema, options.name);
let running = false;
let stopped = false;

const write = (message: string): void => console.error(`${new Date().toISOString()} ${message}`);
const logger: Logger = {
  debug: write,
  info(message) {
    write(message);
    if (!message.includes(" runs ")) return;
    running = true;
    console.log("ready");
  },
  warn: write,
  error: write,
};

/** Does what the job says. */
async function perform(job: Job, { signal }: JobContext): Promise<void> {
  const attempt = crypto.randomUUID();
  const { ms = 0, deaf = false, blocks = false, fails = 0 } = JSON.parse(text(job.payload)) as Task;
  await effects.write(attempt, job, "begun");
  if (blocks) block(ms);
  else if (ms > 0) await wait(ms, deaf ? undefined : signal);
  if (signal.aborted && !deaf) {
    await effects.write(attempt, job, "aborted", (signal.reason as Error).name);
    throw signal.reason;
  }
  if (job.attempts < fails) {
    await effects.write(attempt, job, "failed");
    throw new Error(`Attempt ${job.attempts + 1} fails, as the job says`);
  }
  await effects.write(attempt, job, "done");
}

function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end);
  });
}

let pgq: PgQueuer | undefined;
process.on("SIGTERM", () => {
  stopped = true;
  void pgq?.stop();
});
// Ctrl-C reaches every process of the terminal. It is for the one that started us.
process.on("SIGINT", () => {});
// Nobody is left to stop us.
process.stdin.on("end", () => process.exit(0)).resume();
console.log("loaded");

while (!stopped) {
  try {
    const { statementTimeoutMs } = options;
    const driver = await openWorkerDriver(options.dsn, {
      applicationName: options.name,
      connectTimeout: 2_000,
      statementTimeout: statementTimeoutMs,
      logger,
    });
    pgq = new PgQueuer(driver, { schema: options.schema, logger });
    for (const name of kindsOf(options.worker, options.workers)) {
      pgq.entrypoint(name, KINDS[name]!.options, perform);
    }
    pgq.entrypoint(pingOf(options.worker), perform);
    if (stopped) break;
    await pgq.run({
      dequeueTimeout: options.dequeueTimeoutMs,
      heartbeatTimeout: HEARTBEAT_TIMEOUT_MS,
      maxConcurrentTasks: 20,
      shutdownTimeout: 2_000,
    });
    break;
  } catch (error) {
    // A start needs the database, and says so: a supervisor would try again. What runs must not end for any reason.
    if (running) throw error;
    write(`Cannot start, trying again: ${error}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
write("Ended");
await effects.close();
process.exit(0);
