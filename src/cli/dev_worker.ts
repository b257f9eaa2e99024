import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { STOP_WITH_STDIN } from "./run_command.ts";

/** How long handlers may go on after a file has changed or Ctrl-C, before they are aborted. */
const PATIENCE_MS = 3_000;

/** How long an aborted worker may take before it is killed. `pgq run` ends by itself after three seconds. */
const KILL_MS = 4_000;

/** The worker of `pgq dev`: a process that runs `pgq run`. */
export class DevWorker {
  readonly #child: ChildProcess;
  /** Resolves when it has ended, to how it did. */
  readonly ended: Promise<string>;
  #hasEnded = false;

  /**
   * @param entry URL of the program that is to run.
   * @param args What stands behind its name.
   */
  constructor(entry: string, args: readonly string[], env: Record<string, string | undefined>) {
    this.#child = spawn(process.execPath, [...runtimeArgs(), program(entry), ...args], {
      env: { ...env, [STOP_WITH_STDIN]: "1" },
      // It stops when this pipe closes, which the system does for us when we are killed.
      stdio: ["pipe", "inherit", "inherit"],
      // Ctrl-C in the terminal reaches a whole group, and for the worker it would be a second signal.
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    this.#child.stdin?.on("error", () => {});
    this.ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#hasEnded = true;
        resolve(how);
      };
      this.#child.on("error", (error) => end(`could not be started: ${error.message}`));
      this.#child.on("exit", (code, signal) => {
        if (code === 0) end("has ended");
        else end(code === null ? `was ended by ${signal}` : `has ended with code ${code}`);
      });
    });
  }

  /** Stops it: running handlers may end, but not take for ever. Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    const timers = [
      setTimeout(() => this.hurry(), PATIENCE_MS),
      setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS + KILL_MS),
    ];
    await this.ended;
    for (const timer of timers) clearTimeout(timer);
  }

  /** Aborts its handlers. Only after {@linkcode DevWorker.stop}. */
  hurry(): void {
    if (!this.#hasEnded) this.#child.kill("SIGTERM");
  }
}

/** How this process was started, as far as another one needs it. */
function runtimeArgs(): string[] {
  // A debugger's port is taken.
  const own = process.execArgv.filter((arg) => !arg.startsWith("--inspect"));
  return "Deno" in globalThis ? ["run", "-A", ...own] : own;
}

function program(entry: string): string {
  return entry.startsWith("file:") ? fileURLToPath(entry) : entry;
}
