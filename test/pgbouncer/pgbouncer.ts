/** A PgBouncer in transaction mode in front of a server: what hosted databases put there. */
import { execFileSync, spawn } from "node:child_process";
import { accessSync, chmodSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import postgres from "postgres";

/** Sessions that it has: fewer than those who want one. */
export const POOL_SIZE = 8;

/** Where Debian puts it: not on the path of every user. */
const PROGRAMS = ["/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/usr/local/bin/pgbouncer"];

/** A running PgBouncer. */
export interface PgBouncer {
  /** Leads through it. Statements are not prepared, as it gives sessions away. */
  readonly dsn: string;
  /** Leads through it too, and does not say so: a mistake of somebody. */
  readonly plainDsn: string;
  close(): Promise<void>;
}

/** Finds the program, or installs it where this user may. `undefined`: neither was possible. */
export function findPgBouncer(): string | undefined {
  const found = (): string | undefined => PROGRAMS.find(isProgram);
  if (found() === undefined && process.platform === "linux") install();
  return found();
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install(): void {
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const apt = (...args: string[]): void => {
    const [command, ...rest] = [...asRoot, "apt-get", ...args];
    execFileSync(command!, rest, {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: ["ignore", "ignore", "pipe"],
    });
  };
  const packages = ["install", "-y", "--no-install-recommends", "pgbouncer"];
  try {
    apt("update");
    apt(...packages);
  } catch (error) {
    console.error(`PgBouncer could not be installed: ${String(error).split("\n")[0]}`);
  }
}

/** Starts one in front of the server of a DSN. */
export async function startPgBouncer(program: string, dsn: string): Promise<PgBouncer> {
  const server = new URL(dsn);
  const folder = mkdtempSync(join(tmpdir(), "pgq-pgbouncer-"));
  const port = await freePort();
  const database = server.pathname.slice(1);
  const config = join(folder, "pgbouncer.ini");
  writeFileSync(
    config,
    `[databases]
${database} = host=${server.hostname} port=${server.port} dbname=${database} user=${
      decodeURIComponent(server.username)
    } password='${decodeURIComponent(server.password)}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${POOL_SIZE}
max_client_conn = 500
`,
  );
  // It refuses to run as root, and its user must read the file.
  chmodSync(folder, 0o755);
  const isRoot = process.getuid?.() === 0;
  const child = spawn(program, [...(isRoot ? ["-u", "nobody"] : []), config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk) => log += chunk);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const address = `${server.username}@127.0.0.1:${port}/${database}`;
  const plainDsn = `postgresql://${address}`;
  const close = async (): Promise<void> => {
    child.kill("SIGQUIT");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await answers(plainDsn, () => child.exitCode !== null);
  } catch (error) {
    await close();
    throw new Error(`PgBouncer does not answer: ${error}\n${log}`, { cause: error });
  }
  return { dsn: `${plainDsn}?prepare=false`, plainDsn, close };
}

async function answers(dsn: string, ended: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (true) {
    const sql = postgres(dsn, { max: 1, prepare: false, connect_timeout: 2, onnotice: () => {} });
    try {
      await sql`select 1`;
      return;
    } catch (error) {
      if (ended() || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      await sql.end({ timeout: 0 });
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
