import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  deleteEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from "../../src/cli/embedded_postgres.ts";
import { isAlive } from "../../src/cli/embedded_process.ts";
import { until } from "../support/queue.ts";

/** What the file of the same name prints. */
interface ChildStarted {
  readonly pid: number;
  readonly port: number;
  readonly attached: boolean;
}

const FIXTURE = fileURLToPath(new URL("./fixtures/start_embedded.ts", import.meta.url));
/** Generous, as other files run at the same time. */
const TIMEOUT_MS = 30_000;

/** A folder with a cluster whose server is stopped, as initdb takes a second and few tests are about it. */
let used: string;

/** Undoes what a test made, in reverse order, also when it failed. */
const cleanups: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  used = await makeFolder();
  const server = await startEmbeddedPostgres({ directory: used, settings: { fsync: "off" } });
  await server.stop();
}, TIMEOUT_MS);

afterAll(async () => {
  await rm(used, { recursive: true, force: true });
}, TIMEOUT_MS);

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}, TIMEOUT_MS);

test("a fresh start gives a server that only 127.0.0.1 with the password reaches", async () => {
  const directory = await tempFolder();
  const server = await startEmbeddedPostgres({ directory, settings: { work_mem: "5MB" } });
  cleanups.push(() => server.stop("immediate"));

  const [row] = await query(server.dsn, "SHOW listen_addresses");
  const [workMem] = await query(server.dsn, "SHOW work_mem");
  const [fsync] = await query(server.dsn, "SHOW fsync");
  const wrong = server.dsn.replace(/:\w+@/, ":wrong@");
  const refused = await query(wrong, "SELECT 1").catch((error) => error.code);

  expect(server.attached).toBe(false);
  expect(server.dsn).toMatch(/^postgresql:\/\/postgres:\w{32}@127\.0\.0\.1:\d+\/pgq$/);
  expect(row).toEqual({ listen_addresses: "127.0.0.1" });
  expect(workMem).toEqual({ work_mem: "5MB" });
  expect(fsync).toEqual({ fsync: "on" });
  expect(refused).toBe("28P01");
}, TIMEOUT_MS);

test("a restart keeps the data and the DSN", async () => {
  const directory = used;
  const first = await start({ directory, database: "other-1" });
  await query(first.dsn, "CREATE TABLE kept_by_restart AS SELECT 42 AS answer");

  await first.stop();
  // Its last act, after which it ends, is to remove the file that says where it runs.
  await until("the server has ended", () => !isAlive(first.pid));
  const second = await start({ directory, database: "other-1" });

  expect(second.attached).toBe(false);
  expect(second.pid).not.toBe(first.pid);
  expect(second.dsn).toBe(first.dsn);
  expect(await query(second.dsn, "SELECT answer FROM kept_by_restart")).toEqual([{ answer: 42 }]);
}, TIMEOUT_MS);

test("a start after the parent was killed attaches to its server", async () => {
  const directory = used;
  const child = await startInChild(directory);
  await kill(child.process);

  const server = await start({ directory });
  const isAttached = server.attached;
  await server.stop();

  expect(isAttached).toBe(true);
  expect(server.pid).toBe(child.pid);
  expect(server.port).toBe(child.port);
  await until("the server has ended", () => !isAlive(child.pid));
}, TIMEOUT_MS);

test("a start after the server was killed recovers what was committed", async () => {
  const directory = used;
  const first = await start({ directory });
  await query(first.dsn, "CREATE TABLE kept AS SELECT 42 AS answer");
  process.kill(first.pid, "SIGKILL");

  const second = await start({ directory });

  const rows = await query(second.dsn, "SELECT answer FROM kept");
  await second.stop();

  expect(second.attached).toBe(false);
  expect(second.dsn).toBe(first.dsn);
  expect(rows).toEqual([{ answer: 42 }]);
  expect(await readFile(second.log, "utf8")).toContain("automatic recovery in progress");
  // The handle of the killed server does not count as a user of the next one.
  await until("the server has ended", () => !isAlive(second.pid));
}, TIMEOUT_MS);

test("a start is not fooled by a process that got the id of the killed server", async () => {
  const directory = used;
  const first = await start({ directory });
  process.kill(first.pid, "SIGKILL");
  while (isAlive(first.pid)) await delay(10);
  const pidFile = join(directory, "postgres", "data", "postmaster.pid");
  const lines = (await readFile(pidFile, "utf8")).split("\n");
  await writeFile(pidFile, [process.pid, ...lines.slice(1)].join("\n"));

  const second = await start({ directory });

  expect(second.attached).toBe(false);
  expect(second.pid).not.toBe(process.pid);
}, TIMEOUT_MS);

test("a start after a kill in the middle of initdb begins again", async () => {
  const directory = await tempFolder();
  const child = spawnChild(directory);
  const unfinished = async () =>
    (await readdir(directory)).filter((name) => name.startsWith("postgres.new-"));
  // PG_VERSION is among the first files, the last step takes most of the time.
  const hasBegun = async () =>
    (await unfinished()).some((name) => existsSync(join(directory, name, "data", "PG_VERSION")));
  while (!(await hasBegun())) await delay(5);
  await kill(child);
  const before = await unfinished();

  const server = await start({ directory });

  expect(before.length).toBe(1);
  expect(server.attached).toBe(false);
  expect(await unfinished()).toEqual([]);
}, TIMEOUT_MS);

test(
  "of two starters at once one starts and one attaches, and the last to stop ends it",
  async () => {
    const directory = await tempFolder();

    const [child, server] = await Promise.all([startInChild(directory), start({ directory })]);
    await server.stop();
    const isAliveAfterOne = isAlive(child.pid);
    const again = await start({ directory });
    await kill(child.process);
    await again.stop();

    expect(server.pid).toBe(child.pid);
    expect([server.attached, child.attached].sort()).toEqual([false, true]);
    expect(isAliveAfterOne).toBe(true);
    expect(again.pid).toBe(child.pid);
    await until("the server has ended", () => !isAlive(child.pid));
  },
  TIMEOUT_MS,
);

test("a process that exits without stop() takes its server with it", async () => {
  const directory = used;

  const child = await startInChild(directory, "exit");
  const deadline = Date.now() + 5_000;
  while (isAlive(child.pid) && Date.now() < deadline) await delay(20);

  await until("the server has ended", () => !isAlive(child.pid));
}, TIMEOUT_MS);

test("a server that cannot start is an error with the reason", async () => {
  const directory = used;
  const server = await start({ directory });
  const busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => busy.close());
  const { port } = busy.address() as { port: number };
  await server.stop();
  const version = join(directory, "postgres", "data", "PG_VERSION");

  const onBadSetting = await failure({ directory, settings: { max_connections: "plenty" } });
  const onBusyPort = await failure({ directory, port });
  const major = await readFile(version);
  await writeFile(version, "9.6\n");
  cleanups.push(() => writeFile(version, major));
  const onOldData = await failure({ directory });

  expect(onBadSetting).toContain("the last lines of its log are");
  expect(onBadSetting).toContain('invalid value for parameter "max_connections": "plenty"');
  expect(onBusyPort).toBe(
    `Cannot start an embedded PostgreSQL as port ${port} is in use: choose another one`,
  );
  expect(onOldData).toMatch(/must be of major version \d+, .*: current version is 9\.6$/);
  expect(await failure({ directory, settings: { "a b": "c" } })).toContain('Cannot use "a b"');
  expect(await failure({ directory, database: "a b" })).toContain('Cannot use "database"');
}, TIMEOUT_MS);

// Only root lends the server to another user, so only there can the folder be closed to it.
test.skipIf(process.getuid?.() !== 0)(
  "a start as root in a closed folder keeps the data elsewhere and leaves the folder's mode",
  async () => {
    const closed = await tempFolder();
    await chmod(closed, 0o700);
    const directory = join(closed, ".pgq");
    cleanups.push(() => deleteEmbeddedPostgres(directory));

    const first = await start({ directory });
    const data = await realpath(join(directory, "postgres"));
    await first.stop();
    const second = await start({ directory });
    await second.stop();
    await deleteEmbeddedPostgres(directory);

    expect(data.startsWith(closed)).toBe(false);
    expect(second.dsn).toBe(first.dsn);
    expect(existsSync(data)).toBe(false);
    expect(existsSync(directory)).toBe(false);
  },
  TIMEOUT_MS,
);

test("deleteEmbeddedPostgres() refuses while a living process uses the server", async () => {
  const directory = await tempFolder();
  const server = await start({ directory });

  const refused = await deleteEmbeddedPostgres(directory).catch((error) => error.message);
  await server.stop();
  await deleteEmbeddedPostgres(directory);

  expect(refused).toMatch(/as process \d+ uses it$/);
  expect(existsSync(directory)).toBe(false);
}, TIMEOUT_MS);

/** A folder that the server's user may enter, as `mkdtemp` makes closed ones. */
async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgqueuer-embedded-"));
  await chmod(folder, 0o711);
  return folder;
}

async function tempFolder(): Promise<string> {
  const folder = await makeFolder();
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Without fsync unless asked for, as each start would take a second longer. */
async function start(options: Partial<EmbeddedPostgresOptions>): Promise<EmbeddedPostgres> {
  const directory = options.directory ?? await tempFolder();
  await mkdir(directory, { recursive: true });
  const settings = { fsync: "off", ...options.settings };
  const server = await startEmbeddedPostgres({ ...options, directory, settings });
  cleanups.push(() => server.stop("immediate"));
  return server;
}

async function failure(options: EmbeddedPostgresOptions): Promise<string> {
  return await start(options).then(() => "no error", (error) => error.message);
}

async function query(dsn: string, text: string): Promise<unknown[]> {
  const sql = postgres(dsn, { max: 1 });
  try {
    return [...await sql.unsafe(text)];
  } finally {
    await sql.end();
  }
}

/** Starts the fixture on the runtime that runs this file. */
function spawnChild(directory: string, ...args: string[]): ChildProcess {
  const how = "Deno" in globalThis ? ["run", "-A"] : "Bun" in globalThis ? [] : ["--import", "tsx"];
  const child = spawn(process.execPath, [...how, FIXTURE, directory, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  cleanups.push(() => kill(child));
  return child;
}

async function startInChild(
  directory: string,
  ...args: string[]
): Promise<ChildStarted & { process: ChildProcess }> {
  const child = spawnChild(directory, ...args);
  let printed = "";
  for await (const chunk of child.stdout!) {
    printed += chunk;
    if (printed.includes("\n")) break;
  }
  return { ...JSON.parse(printed), process: child };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exited;
}
