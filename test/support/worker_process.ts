/** Real worker processes: each runs `worker_main.ts` under the runtime of the test. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { TestQueue } from "./queue.ts";

/** What `worker_main.ts` is told. */
export interface WorkerProcessOptions {
  heartbeatTimeoutMs?: number;
  shutdownTimeoutMs?: number;
  dequeueTimeoutMs?: number;
  maxConcurrentTasks?: number;
  blockTimeoutMs?: number;
  /** Whether it has the thread that keeps leases, also on Node 20. */
  threads?: boolean;
  /** Registers the schedule "tick". A row -1 of the table of runs makes it block for as many milliseconds as its pid. */
  ticks?: boolean;
  /** Name of one of `DRIVERS`: then it runs on that, and registers the transactional entrypoint "effect" alone. */
  effectsOn?: string;
  /** Of the entrypoint "limited". */
  concurrencyLimit?: number;
  /** Of the entrypoint "rated". */
  requestsPerSecond?: number;
}

/** A running worker process. */
export interface WorkerProcess {
  readonly pid: number;
  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void;
  /** Waits for its end. Gives the exit code, or `null` after a fatal signal. */
  readonly exited: Promise<number | null>;
  /** What it wrote to its standard error so far. */
  stderr(): string;
}

/** The program of a worker process. */
export const WORKER_MAIN: string = fileURLToPath(new URL("worker_main.ts", import.meta.url));

/**
 * The command line that runs a TypeScript file under the runtime of this process. Its threads run TypeScript too if
 * `threads` is set: on Node 20 each of them takes a second for that.
 */
export function runtimeCommand(file: string, threads: boolean = false): [string, string[]] {
  if ("Deno" in globalThis) return [process.execPath, ["run", "-A", file]];
  if ("Bun" in globalThis) return [process.execPath, [file]];
  const tsx = threads ? new URL("tsx_in_threads.mjs", import.meta.url).href : "tsx";
  return [process.execPath, ["--import", tsx, file]];
}

/** Starts a worker process, or a bundle of its program. Resolves when it says that it runs. */
export async function startWorkerProcess(
  queue: TestQueue,
  options: WorkerProcessOptions = {},
  main: string = WORKER_MAIN,
): Promise<WorkerProcess> {
  const [command, args] = runtimeCommand(main, options.threads);
  const child = spawn(command, args, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: {
      ...process.env,
      WORKER: JSON.stringify({ dsn: queue.dsn, names: queue.names, ...options }),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr!.on("data", (chunk) => stderr += chunk);
  const exited = new Promise<number | null>((resolve) =>
    child.once("exit", (code) => resolve(code))
  );
  await ready(child, exited, () => stderr);
  return {
    pid: child.pid!,
    kill(signal) {
      // Not child.kill(): Deno then reports the signal as the cause of the end, whatever the exit code.
      try {
        process.kill(child.pid!, signal);
      } catch {
        // It has ended.
      }
    },
    exited,
    stderr: () => stderr,
  };
}

function ready(
  child: ChildProcess,
  exited: Promise<number | null>,
  stderr: () => string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.on("data", (chunk) => {
      if (String(chunk).includes("ready")) resolve();
    });
    void exited.then((code) => reject(new Error(`The worker ended with ${code}: ${stderr()}`)));
  });
}
