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

/** The command line that runs a TypeScript file under the runtime of this process. */
export function runtimeCommand(file: string): [string, string[]] {
  if ("Deno" in globalThis) return [process.execPath, ["run", "-A", file]];
  if ("Bun" in globalThis) return [process.execPath, [file]];
  return [process.execPath, ["--import", "tsx", file]];
}

/** Starts a worker process. Resolves when it says that it runs. */
export async function startWorkerProcess(
  queue: TestQueue,
  options: WorkerProcessOptions = {},
): Promise<WorkerProcess> {
  const main = fileURLToPath(new URL("worker_main.ts", import.meta.url));
  const [command, args] = runtimeCommand(main);
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
