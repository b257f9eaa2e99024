import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deleteEmbeddedPostgres } from "../../src/cli/embedded_postgres.ts";
import { callPgq, PgqProcess } from "./fixtures/pgq.ts";

const TIMEOUT_MS = 90_000;
const MOD = new URL("../../mod.ts", import.meta.url).href;

let folder = "";
const running: PgqProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pgq-dev-"));
  // The server's user may not enter what mkdtemp makes.
  await chmod(folder, 0o711);
});

afterAll(async () => {
  for (const dev of running) dev.signal("SIGKILL");
  await Promise.all(running.map((dev) => dev.ended));
  await deleteEmbeddedPostgres(join(folder, ".pgq"));
  await rm(folder, { recursive: true, force: true });
}, TIMEOUT_MS);

test(
  "pgq dev runs jobs, and restarts the worker when a file changes or it has crashed",
  async () => {
    await writeWorker("first");
    const dev = start();
    await dev.waitFor("Running ./worker.mts:main");
    const dsn = dsnOf(dev);
    await callPgq(["queue", "echo", "--pg-dsn", dsn]);
    await dev.waitFor("first job");

    await writeFile(join(folder, "data.json"), "{}");
    await writeFile(join(folder, "worker.mts"), "const x = ;\n");
    await dev.waitFor("has a syntax error");
    await dev.waitFor("it starts again when a source file changes");
    await writeWorker("second");
    await dev.waitFor("Running ./worker.mts:main", 2);
    await callPgq(["queue", "echo", "--pg-dsn", dsn]);
    await dev.waitFor("second job");

    dev.signal("SIGINT");
    const { code, stderr } = await dev.ended;

    expect(code).toBe(0);
    expect(stderr).toContain("Created the tables\n");
    expect(stderr).toContain("as worker.mts changed");
    expect(stderr).not.toContain("data.json");
    expect(await serverPid()).toBe(undefined);
    expect(await readFile(join(folder, ".pgq", ".gitignore"), "utf8")).toBe("*\n");
  },
  TIMEOUT_MS,
);

test(
  "pgq dev takes over from one that was killed, and the last of two stops the server",
  async () => {
    await writeWorker("third");
    const killed = start();
    await killed.waitFor("Running ./worker.mts:main");
    const dsn = dsnOf(killed);
    const server = await serverPid();
    killed.signal("SIGKILL");
    // Its worker holds the outputs open: it ends, too, as it sees the end of its parent.
    const { stderr } = await killed.ended;
    expect(stderr).toContain("Stopping on the request of pgq dev");

    const owner = start();
    await owner.waitFor("Running ./worker.mts:main");
    // Its worker gets the flags, also those without a value.
    const second = start("--json", "--restart-on-failure", "--restart-delay", "1");
    await second.waitFor("Running ./worker.mts:main");

    expect(owner.stderr).toContain("Attached to the PostgreSQL that runs there");
    expect(dsnOf(owner)).toBe(dsn);
    // The worker's lines, too.
    const messages = second.stderr.trim().split("\n").map((line) => JSON.parse(line).message);
    expect(messages).toContain(`psql "${dsn}"`);
    expect(messages).toContain("Running ./worker.mts:main");
    expect(await serverPid()).toBe(server);
    second.signal("SIGTERM");
    expect((await second.ended).code).toBe(0);
    expect(await serverPid()).toBe(server);
    owner.signal("SIGINT");
    expect((await owner.ended).code).toBe(0);
    expect(await serverPid()).toBe(undefined);
  },
  TIMEOUT_MS,
);

test("pgq dev says that a file is missing before it starts a server", async () => {
  const { code, stderr } = await callPgq(["dev", "./nope.ts"], { cwd: folder });

  expect(code).toBe(1);
  expect(stderr).toContain("there is no file");
});

function start(...flags: string[]): PgqProcess {
  const dev = new PgqProcess(["dev", "./worker.mts:main", ...flags], { cwd: folder });
  running.push(dev);
  return dev;
}

async function writeWorker(name: string): Promise<void> {
  await writeFile(
    join(folder, "worker.mts"),
    `import { openWorkerDriver, PgQueuer } from ${JSON.stringify(MOD)};

export async function main({ dsn }: { dsn: string }): Promise<PgQueuer> {
  const pgq = new PgQueuer(await openWorkerDriver(dsn));
  pgq.entrypoint("echo", () => console.log("${name} job"));
  return pgq;
}
`,
  );
}

function dsnOf(dev: PgqProcess): string {
  return /^psql "(.*)"$/m.exec(dev.stderr)![1]!;
}

/** The process id of the server, or `undefined` if none runs. */
async function serverPid(): Promise<number | undefined> {
  const file = join(folder, ".pgq", "postgres", "data", "postmaster.pid");
  if (!existsSync(file)) return undefined;
  const pid = parseInt(await readFile(file, "utf8"));
  try {
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}
