/** Workers as processes of their own, as a deployment has them: `pgq run`. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { STOP_WITH_STDIN } from "../../../src/cli/run_command.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Longest wait for a worker that was told to stop. */
const STOP_MS = 10_000;

/** A worker process. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #stderr = "";

  /** Starts a worker on the factory `path:export`, below the root of the checkout. */
  constructor(factory: string, dsn: string) {
    const [command = "", ...args] = commandLine("cli.ts", "run", factory, "--log-level", "warning");
    this.#child = spawn(command, args, {
      cwd: ROOT,
      // With the pipe to its standard input it ends when this process is killed.
      env: { ...process.env, DATABASE_URL: dsn, [STOP_WITH_STDIN]: "1" },
      stdio: ["pipe", "ignore", "pipe"],
    });
    this.#child.stderr!.on("data", (chunk) => this.#stderr += chunk);
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.once("error", (error) => {
        this.#stderr += error.message;
        resolve();
      });
    });
  }

  /** Whether the process has ended. */
  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it wrote to its standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Lets it finish its jobs. Gives its exit code, or `null` if it had to be killed. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
    return this.#child.exitCode;
  }
}

/** Runs a file of this checkout under the runtime of this process. */
function commandLine(...args: readonly string[]): string[] {
  if ("Deno" in globalThis) return [process.execPath, "run", "-A", ...args];
  if ("Bun" in globalThis) return [process.execPath, ...args];
  return [process.execPath, "--import", "tsx", ...args];
}
