/** The worker processes of a chaos run: starts, kills and watches them. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../support/worker_process.ts";
import type { Stage } from "./stage.ts";
import type { ChaosWorkerOptions } from "./worker_main.ts";

/** What runs the workers. */
export type Runtime = "node" | "deno" | "bun";

/** How long a worker may take to end after SIGTERM, its database being there or not. */
const END_MS = 30_000;
/** Lines of a worker that ended that are shown: its error is in them. */
const LAST_LINES = 12;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const TSX_IN_THREADS: string = new URL("../support/tsx_in_threads.mjs", import.meta.url).href;

/** Of all workers. */
export interface FleetOptions {
  readonly workers: number;
  /** That of this process if not given. */
  readonly runtime: Runtime | undefined;
  readonly dequeueTimeoutMs: number;
  readonly statementTimeoutMs: number;
  /** Gets each line that a worker writes. */
  readonly onLog: (line: string) => void;
}

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  /** Whether it heeds signals. */
  readonly loaded: Promise<void>;
  readonly ready: Promise<void>;
  readonly exited: Promise<number | null>;
  /** What it wrote last. */
  readonly lines: string[];
  /** Whether we have told it to end. */
  ending: boolean;
  /** Whether we have not waited for that: then how it ended says nothing. */
  killed: boolean;
}

/** Keeps one process for each worker. */
export class Fleet {
  /** Ends that we did not cause, or that were not clean. */
  readonly exits: string[] = [];
  /** When each process ended, by its name. */
  readonly endedAt: Map<string, number> = new Map();
  readonly #stage: Stage;
  readonly #options: FleetOptions;
  readonly #running: (Running | undefined)[];
  /** Processes started so far, for their names. */
  #count = 0;
  #closed = false;

  constructor(stage: Stage, options: FleetOptions) {
    this.#stage = stage;
    this.#options = options;
    this.#running = Array.from({ length: options.workers });
  }

  /** How many workers there are. */
  get size(): number {
    return this.#running.length;
  }

  /** Names of the processes that run. */
  get names(): readonly string[] {
    return this.#running.flatMap((running) => running?.name ?? []);
  }

  /** Name of a worker's process, the `application_name` of its connections. */
  nameOf(worker: number): string {
    return this.#running[worker]?.name ?? "";
  }

  /** Starts a worker's process, if it has none. Resolves when it claims jobs, or has been killed. */
  async start(worker: number): Promise<void> {
    if (this.#closed) return;
    if (this.#running[worker]) return await this.#running[worker].ready;
    const name = `worker${worker + 1}.${++this.#count}`;
    const options: ChaosWorkerOptions = {
      dsn: this.#stage.appDsn(this.#stage.proxies[worker]),
      effectsDsn: this.#stage.superDsn,
      schema: this.#stage.schema,
      worker,
      workers: this.size,
      name,
      dequeueTimeoutMs: this.#options.dequeueTimeoutMs,
      statementTimeoutMs: this.#options.statementTimeoutMs,
    };
    const [command, args] = commandOf(this.#options.runtime);
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, CHAOS_WORKER: JSON.stringify(options) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    const says = (word: string): Promise<void> =>
      new Promise((resolve) => {
        child.stdout!.on("data", (chunk) => String(chunk).includes(word) && resolve());
        void exited.then(() => resolve());
      });
    const [loaded, ready] = [says("loaded"), says("ready")];
    const lines: string[] = [];
    const running: Running = {
      name,
      child,
      loaded,
      ready,
      exited,
      lines,
      ending: false,
      killed: false,
    };
    child.stderr!.on("data", (chunk) => {
      for (const line of String(chunk).trimEnd().split("\n")) {
        this.#options.onLog(`${name} ${line}`);
        lines.push(line);
        if (lines.length > LAST_LINES) lines.shift();
      }
    });
    void exited.then((code) => {
      this.endedAt.set(name, Date.now());
      if (this.#running[worker] === running) this.#running[worker] = undefined;
      if (running.ending) return;
      this.#noteExit(running, `ended by itself with code ${code}`);
      void this.start(worker);
    });
    this.#running[worker] = running;
    await ready;
  }

  /** Sends a signal that does not end a process. */
  signal(worker: number, signal: "SIGSTOP" | "SIGCONT"): void {
    const running = this.#running[worker];
    if (running) send(running.child, signal);
  }

  /** Kills a worker's process. */
  async kill(worker: number): Promise<void> {
    const running = this.#running[worker];
    if (!running) return;
    running.ending = running.killed = true;
    send(running.child, "SIGKILL");
    await running.exited;
  }

  /** Ends a worker's process as a deployment does. It must end by itself, without an error. */
  async end(worker: number): Promise<void> {
    const running = this.#running[worker];
    if (!running) return;
    await running.loaded;
    running.ending = true;
    send(running.child, "SIGTERM");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => timer = setTimeout(resolve, END_MS, "late"));
    const code = await Promise.race([running.exited, late]);
    clearTimeout(timer);
    // A deployment that takes long does not keep the plan from killing the process.
    if (code === 0 || running.killed) return;
    this.#noteExit(
      running,
      code === "late"
        ? `did not end in ${END_MS / 1_000} s after SIGTERM`
        : `ended with code ${code} after SIGTERM`,
    );
    await this.kill(worker);
  }

  #noteExit({ name, lines }: Running, what: string): void {
    this.exits.push([`${name} ${what}. It wrote last:`, ...lines].join("\n  "));
  }

  /** Kills what is left. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#running.map((_, worker) => this.kill(worker)));
  }
}

function send(child: ChildProcess, signal: NodeJS.Signals): void {
  // Not child.kill(): Deno then reports the signal as the cause of the end, whatever the exit code.
  try {
    process.kill(child.pid!, signal);
  } catch {
    // It has ended.
  }
}

function commandOf(runtime: Runtime | undefined): [string, string[]] {
  const file = fileURLToPath(new URL("worker_main.ts", import.meta.url));
  const bin = (name: string): string => join(ROOT, "node_modules", ".bin", name);
  switch (runtime) {
    case undefined:
      return runtimeCommand(file, true);
    case "node":
      return ["node", ["--import", TSX_IN_THREADS, file]];
    case "deno":
      return [bin("deno"), ["run", "-A", file]];
    case "bun":
      return [bin("bun"), [file]];
  }
}
