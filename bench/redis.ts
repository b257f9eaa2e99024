/** The Redis of the peer that needs one: a reference, with the durability that it is usually run with. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { cpuMs } from "./cpu.ts";

const START_MS = 10_000;
const INSTALL_MS = 180_000;

/** What differs from the server's own defaults. Quoted with the figures. */
export const REDIS_SETTINGS = "appendonly=yes, appendfsync=everysec";

/** A private Redis on a free port. */
export class BenchRedis {
  readonly dsn: string;
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, port: number, folder: string, version: string) {
    this.#child = child;
    this.#folder = folder;
    this.dsn = `redis://127.0.0.1:${port}`;
    this.version = version;
    process.on("exit", () => this.stop());
  }

  /** Starts one, installed from the system's packages if that can be done. Gives why not as a text. */
  static async start(say: (line: string) => void): Promise<BenchRedis | string> {
    const version = versionOrUndefined() ?? (install(say), versionOrUndefined());
    if (version === undefined) {
      return "BullMQ, as there is no redis-server and it cannot be installed: apt-get install redis-server";
    }
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), "pgqueuer-bench-redis-"));
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
    const child = spawn("redis-server", [...args, "--appendonly", "yes"], { stdio: "ignore" });
    const redis = new BenchRedis(child, port, folder, version);
    for (const begun = performance.now(); performance.now() - begun < START_MS;) {
      if (await accepts(port)) return redis;
      await delay(50);
    }
    redis.stop();
    return "BullMQ, as its redis-server does not start";
  }

  cpuMs(): number | undefined {
    return cpuMs(this.#child.pid!);
  }

  stop(): void {
    this.#child.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function versionOrUndefined(): string | undefined {
  const { stdout } = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
  return /v=([\d.]+)/.exec(stdout ?? "")?.[1];
}

/** As root on a system with apt only: nobody is asked for a password. */
function install(say: (line: string) => void): void {
  if (process.getuid?.() !== 0) return;
  say("installing redis-server with apt-get");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const options = { env, timeout: INSTALL_MS, stdio: "ignore" } as const;
  const args = ["install", "-y", "--no-install-recommends", "redis-server"];
  if (spawnSync("apt-get", args, options).status === 0) return;
  spawnSync("apt-get", ["update"], options);
  spawnSync("apt-get", args, options);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });
}
