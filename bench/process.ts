/** Processes of the peers: started, told when to begin, listened to, and measured. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { cpuMs, residentKb } from "./cpu.ts";
import type { Tally, Task, WorkerReport } from "./peers/task.ts";

const BENCH = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(BENCH);
/** A process that is not ready after this never will be. */
const READY_MS = 60_000;
/** How long a worker may take to stop. */
const STOP_MS = 40_000;

/** What a worker may run on. */
export type Runtime = "node" | "deno" | "bun" | "python";

/** Of processes under way, so that none outlives the bench. */
const running = new Set<ChildProcess>();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** The Node that all peers run on: that of `bench/package.json` where it is installed, else the one that runs this. */
export function nodeProgram(): string {
  const modules = join(BENCH, "node_modules");
  const names = existsSync(modules) ? readdirSync(modules) : [];
  const own = names.find((name) => /^node-(bin-)?(linux|darwin)-/.test(name));
  return own === undefined ? process.execPath : join(modules, own, "bin", "node");
}

/** The program and its arguments that run a file of `bench/peers/`. */
function commandLine(runtime: Runtime, file: string): [string, string[]] {
  const path = join(BENCH, "peers", file);
  const bin = (name: string): string => join(ROOT, "node_modules", ".bin", name);
  switch (runtime) {
    case "node": {
      const program = nodeProgram();
      // The one of bench/package.json runs TypeScript by itself.
      if (program !== process.execPath) return [program, [path]];
      const tsx = join(ROOT, "node_modules", "tsx", "dist", "loader.mjs");
      return [program, ["--import", tsx, path]];
    }
    case "deno":
      return [bin("deno"), ["run", "-A", path]];
    case "bun":
      return [bin("bun"), [path]];
    case "python":
      return [join(BENCH, ".venv", "bin", "python"), [path]];
  }
}

/** What a task leaves out. */
const USUAL: Omit<Task, "role" | "dsn"> = {
  tuned: true,
  variant: "",
  payloadBytes: 100,
  entrypoints: 1,
  limited: 0,
  parts: [],
  batch: 1_000,
  first: 0,
  count: 0,
  callers: 1,
  pauseMs: 0,
  rate: 0,
  handler: "count",
  sleepMs: 0,
  concurrency: 0,
  retentionMs: 0,
  sampleEvery: 1,
  marks: [],
};

/** A task without what is as usual. */
export type GivenTask = Pick<Task, "role" | "dsn"> & Partial<Task>;

/** One process of a peer. */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #waiting = new Map<string, (value: unknown) => void>();
  readonly #seen = new Map<string, unknown>();
  #stderr = "";
  #tally: Tally = { count: 0, sum: 0, firstAt: 0 };
  /** Called at each tally. */
  onTally: () => void = () => {};

  private constructor(runtime: Runtime, file: string, task: GivenTask) {
    const [command, args] = commandLine(runtime, file);
    this.#child = spawn(command, args, {
      cwd: ROOT,
      env: { ...cleanEnvironment(), BENCH: JSON.stringify({ ...USUAL, ...task }) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    running.add(this.#child);
    this.#child.stdin!.on("error", () => {});
    this.#child.stderr!.on("data", (chunk) => this.#stderr = (this.#stderr + chunk).slice(-4_000));
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#onLine(line));
    this.#exited = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.#stderr += error.message;
        resolve(null);
      });
      this.#child.once("close", (code) => resolve(code));
    });
    void this.#exited.then(() => running.delete(this.#child));
  }

  /** Starts a process and waits until it has connected. */
  static async start(runtime: Runtime, file: string, task: GivenTask): Promise<PeerProcess> {
    const started = new PeerProcess(runtime, file, task);
    try {
      await started.#event("ready", READY_MS);
      return started;
    } catch (error) {
      started.kill();
      throw error;
    }
  }

  /** Runs a process that needs no "go" to its end. */
  static async run(runtime: Runtime, file: string, task: GivenTask): Promise<void> {
    const started = new PeerProcess(runtime, file, task);
    const code = await started.#exited;
    if (code !== 0) throw started.#failure(`ended with ${code}`);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get tally(): Tally {
    return this.#tally;
  }

  /** The end of what it wrote to stderr. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  cpuMs(): number | undefined {
    return cpuMs(this.pid);
  }

  residentKb(): number | undefined {
    return residentKb(this.pid);
  }

  go(): void {
    this.#child.stdin!.write("go\n");
  }

  /** What it reports when it has done all. */
  async report<Report>(timeoutMs: number): Promise<Report> {
    return await this.#event("end", timeoutMs) as Report;
  }

  /** Lets a worker end what it has begun. */
  async stop(): Promise<WorkerReport> {
    this.#child.stdin!.write("stop\n");
    const report = await this.report<WorkerReport>(STOP_MS);
    await this.#exited;
    return report;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #event(name: string, timeoutMs: number): Promise<unknown> {
    if (this.#seen.has(name)) return Promise.resolve(this.#seen.get(name));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(this.#failure(`did not say "${name}" in ${timeoutMs / 1_000} s`)),
        timeoutMs,
      );
      this.#waiting.set(name, (value) => {
        clearTimeout(timer);
        resolve(value);
      });
      void this.#exited.then((code) => {
        clearTimeout(timer);
        reject(this.#failure(`ended with ${code} before it said "${name}"`));
      });
    });
  }

  #onLine(line: string): void {
    const message = messageOf(line);
    if (message === undefined) {
      this.#stderr += `${line.slice(0, 200)}\n`;
    } else if (message.event === "tally") {
      this.#tally = message.value as Tally;
      this.onTally();
    } else {
      this.#seen.set(message.event, message.value);
      this.#waiting.get(message.event)?.(message.value);
    }
  }

  #failure(what: string): Error {
    return new Error(`Process ${this.pid} ${what}:\n${this.stderr}`);
  }
}

/** `undefined` for what somebody else prints. */
function messageOf(line: string): { event: string; value: unknown } | undefined {
  try {
    return line.startsWith('{"event"') ? JSON.parse(line) : undefined;
  } catch {
    return undefined;
  }
}

/** Without variables that name another database, or settings of ours. */
function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(PG|DATABASE_URL$)/.test(name)),
  );
}
