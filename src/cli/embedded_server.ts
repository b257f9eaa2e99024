import { chown, open, readFile, rename, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { EmbeddedPostgresError, runAs } from "./embedded_binaries.ts";
import type { Cluster } from "./embedded_cluster.ts";
import {
  findPostmaster,
  type Postmaster,
  replaceFile,
  type ServerUser,
} from "./embedded_process.ts";

/** How a server stops: `"fast"` ends connections and writes all out, `"immediate"` leaves that to the next start. */
export type StopMode = "fast" | "immediate";

/** Longest wait for a server to start, recover from a kill, or end its stop. */
const DEADLINE_MS = 60_000;
/** A fast stop can be held up by a write that hangs. After this an immediate one follows. */
const FAST_STOP_MS = 30_000;
const POLL_MS = 20;
/** A log that has grown past this becomes `server.log.old` at the next start. */
const MAX_LOG_BYTES = 10_000_000;
/** Lines of the log that an error carries. */
const LOG_TAIL_LINES = 10;

/** What a starter asks for. */
export interface StartRequest {
  readonly port: number | undefined;
  readonly conf: string;
  readonly database: string;
  readonly user: ServerUser;
  readonly onLog: (line: string) => void;
}

/** A server that is ready. */
export interface Started extends Postmaster {
  /** Whether somebody else had started it. */
  readonly attached: boolean;
}

/**
 * Starts the server of a cluster, or attaches to the one that runs.
 *
 * No lock file guards the start. PostgreSQL lets one server run on a folder and
 * `postmaster.pid` tells its state, so each starter goes round a loop: is one
 * ready, attach; is one coming or going, wait; is there none, start one, and if
 * that fails since another starter was faster, look again.
 */
export async function startOrAttach(cluster: Cluster, request: StartRequest): Promise<Started> {
  const deadline = Date.now() + DEADLINE_MS;
  let attached = true;
  let last = "no server came up in time";

  while (Date.now() < deadline) {
    if (request.user.isStopping()) {
      await delay(POLL_MS);
      continue;
    }
    const server = await findPostmaster(cluster.data);
    if (server === undefined) {
      const failure = await start(cluster, request);
      attached = failure !== undefined;
      last = failure ?? last;
    } else if (server.status === "ready" && await hasDatabase(cluster, server, request.database)) {
      if (attached) request.onLog(`Attached to the running PostgreSQL, process ${server.pid}`);
      await replaceFile(join(cluster.folder, "port"), `${server.port}\n`);
      request.user.ready();
      return { ...server, attached };
    } else {
      await delay(POLL_MS);
    }
  }
  throw cannotStart(cluster, `it is not ready after ${DEADLINE_MS / 1000} s: ${last}`);
}

/** Starts a server. Returns why it did not start if it is worth to look again. */
async function start(cluster: Cluster, request: StartRequest): Promise<string | undefined> {
  await checkMajor(cluster);
  const port = await choosePort(cluster, request.port);
  if (port === undefined) return `port ${request.port} is in use`;
  await replaceFile(join(cluster.folder, "settings.conf"), request.conf);
  const logStart = await prepareLog(cluster);
  request.user.forgetEarlier();

  // Its own session keeps the server from the Ctrl-C that ends us, and the shell in between from
  // becoming a child that somebody must collect.
  const { code, output } = await runAs(cluster.account, cluster.binaries.pgCtl, [
    "start",
    "--wait",
    `--timeout=${DEADLINE_MS / 1000}`,
    `--pgdata=${cluster.data}`,
    `--log=${cluster.log}`,
    `--options=-p ${port}`,
  ]);
  if (code === 0) return undefined;

  const said = (await readFile(cluster.log, "utf8")).slice(logStart).trim();
  // Another starter was faster, or a backend outlives its killed server by a moment.
  if (/lock file ".*" (already exists|is empty)|pre-existing shared memory block/.test(said)) {
    await delay(POLL_MS * 5);
    return said;
  }
  // Somebody took the port since it was seen free. The next round sees that too.
  if (/could not (bind|create any TCP\/IP sockets)/.test(said)) return said;
  throw cannotStart(cluster, tail(said) || output);
}

function cannotStart(cluster: Cluster, reason: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `Cannot start the embedded PostgreSQL in "${cluster.folder}": ${reason}`,
  );
}

function tail(text: string): string {
  const lines = text.split("\n");
  const shown = lines.slice(-LOG_TAIL_LINES).map((line) => `\n    ${line.trimEnd()}`);
  return text === "" ? "" : `the last lines of its log are${shown.join("")}`;
}

async function checkMajor({ data, binaries, folder }: Cluster): Promise<void> {
  const major = (await readFile(join(data, "PG_VERSION"), "utf8").catch(() => "none")).trim();
  if (major === String(binaries.major)) return;
  throw new EmbeddedPostgresError(
    `Cannot start the embedded PostgreSQL in "${folder}" as its data must be of major version ` +
      `${binaries.major}, which is installed: current version is ${major}`,
  );
}

async function choosePort(
  cluster: Cluster,
  wanted: number | undefined,
): Promise<number | undefined> {
  if (wanted !== undefined) {
    if (await isFree(wanted)) return wanted;
    // Another starter was faster: look again, and attach to its server.
    if (await findPostmaster(cluster.data) !== undefined) return undefined;
    throw new EmbeddedPostgresError(
      `Cannot start an embedded PostgreSQL as port ${wanted} is in use: choose another one`,
    );
  }
  const last = Number(await readFile(join(cluster.folder, "port"), "utf8").catch(() => "0"));
  if (last > 0 && await isFree(last)) return last;
  return await freePort();
}

async function isFree(port: number): Promise<boolean> {
  return await freePort(port).then(() => true, () => false);
}

function freePort(port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}

/** The server's account writes the log but does not own its folder. Returns the present length. */
async function prepareLog({ log, account }: Cluster): Promise<number> {
  const size = await stat(log).then(({ size }) => size, () => 0);
  if (size > MAX_LOG_BYTES) await rename(log, `${log}.old`);
  await (await open(log, "a")).close();
  if (account !== undefined) await chown(log, account.uid, account.gid);
  return (await readFile(log, "utf8")).length;
}

/** Connects to the database, made if missing. `false` if the server is not there yet, or not any more. */
async function hasDatabase(cluster: Cluster, server: Postmaster, name: string): Promise<boolean> {
  try {
    await connect(cluster, server, name);
    return true;
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    if (code === "3D000") {
      await connect(cluster, server, "postgres", name);
      return true;
    }
    // Starting or stopping, or gone since we looked.
    if (/^(57P0\d|E[A-Z]+|CONNECTION_.*)$/.test(code)) {
      await delay(POLL_MS);
      return false;
    }
    throw cannotStart(cluster, `its server, process ${server.pid}, refused us: ${error}`);
  }
}

async function connect(
  cluster: Cluster,
  { port }: Postmaster,
  database: string,
  create?: string,
): Promise<void> {
  const { password } = cluster;
  const sql = postgres({
    host: "127.0.0.1",
    port,
    user: "postgres",
    password,
    database,
    ssl: false,
    max: 1,
    connect_timeout: 10,
    // The server may be coming or going, and postgres.js ends the process if its own question about types fails.
    fetch_types: false,
    onnotice: () => {},
  });
  try {
    if (create === undefined) {
      await sql`SELECT`;
      return;
    }
    await sql`CREATE DATABASE ${sql(create)}`.catch((error) => {
      // Another starter was faster.
      if (error.code !== "42P04" && error.code !== "23505") throw error;
    });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Stops the server of `data`, if any, or only while it is process `pid`. Waits for its end. */
export async function stopServer(
  data: string,
  pid: number | undefined,
  mode: StopMode,
): Promise<void> {
  const begin = Date.now();
  let sent: StopMode | undefined;

  while (Date.now() - begin < DEADLINE_MS) {
    const server = await findPostmaster(data);
    if (server === undefined || (pid !== undefined && server.pid !== pid)) return;
    const wanted = Date.now() - begin > FAST_STOP_MS ? "immediate" : mode;
    if (sent !== wanted) signalServer(server.pid, wanted);
    sent = wanted;
    await delay(POLL_MS);
  }
  throw new EmbeddedPostgresError(
    `Cannot stop the PostgreSQL in "${data}" as it does not end after ${DEADLINE_MS / 1000} s`,
  );
}

/** Tells a server to stop, and does not wait. */
export function signalServer(pid: number, mode: StopMode): void {
  try {
    process.kill(pid, mode === "fast" ? "SIGINT" : "SIGQUIT");
  } catch {
    // It has just ended.
  }
}
