import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callPgq, type Finished, PgqProcess, runPgq, TestQueue } from "./fixtures/pgq.ts";

const WORKER = fileURLToPath(new URL("./fixtures/factories/worker.ts", import.meta.url));
const INSTANCE = fileURLToPath(new URL("./fixtures/factories/instance", import.meta.url));
const TIMEOUT_MS = 60_000;

const queue = new TestQueue();
let folder = "";

beforeAll(async () => {
  await callPgq(["install"], { env: queue.env });
  folder = await mkdtemp(join(tmpdir(), "pgq-run-"));
  await write("node_modules/@acme/jobs/package.json", '{ "exports": { "./*": "./*.mjs" } }');
  // A worker by its shape only, as that of another copy of this package.
  await write(
    "node_modules/@acme/jobs/worker.mjs",
    `export const main = ({ args }) => ({
      run: async (options) => console.log(JSON.stringify({ args, options })),
      stop: async () => {},
      entrypoint() {},
    });`,
  );
  await write("syntax.mjs", "export const main = 1;\nexport const x = ;\n");
  await write("syntax.ts", "export const main: number = 1;\nexport const x: number = ;\n");
  await write("import.mjs", 'import "no-such-package";\n');
  await write("top.ts", 'throw new Error("thrown at the top" as string);\n');
  await write("empty.mjs", "");
}, TIMEOUT_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await queue.drop();
}, TIMEOUT_MS);

test("a factory gets arguments, DSN and settings, also by the environment", async () => {
  await callPgq(["queue", "echo", "hello"], { env: queue.env });

  const { code, stdout, stderr } = await runPgq(
    ["run", "--mode", "drain", ...queue.flags, `${WORKER}:main`, "--", "a", "--mode", "--", "b"],
    { env: { PGQUEUER_DSN: "postgresql://127.0.0.1:1/x", DATABASE_URL: "mysql://h/x" } },
  );

  const [given, ...rest] = stdout.trim().split("\n");
  expect(JSON.parse(given!)).toEqual({
    args: ["a", "--mode", "--", "b"],
    isSame: true,
    env: [queue.prefix, queue.schema],
    settings: [queue.prefix, queue.schema],
  });
  expect(rest).toEqual(["echo hello"]);
  expect(stderr).toContain(` INFO    Running ${WORKER}:main\n`);
  expect(code).toBe(0);
}, TIMEOUT_MS);

describe("pgq run takes", () => {
  const cases: [title: string, factory: string, ...stdout: string[]][] = [
    ["a default export", WORKER.replace(/\.ts$/, ""), "default export"],
    ["a default export that is the worker", INSTANCE],
    ["an async generator, which cleans up after its yield", `${WORKER}:generator`, "cleaned up"],
    ["a holder, which is disposed", `file://${WORKER}:holder`, "disposed"],
    ["a package", "@acme/jobs/worker:main", '{"args":[],"options":{"mode":"drain",'],
  ];
  for (const [title, factory, ...expected] of cases) {
    test(title, async () => {
      const { code, stdout, stderr } = await runPgq(
        ["run", factory, "--mode", "drain", "--log-level", "WARNING"],
        { env: queue.env, cwd: folder },
      );

      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      for (const text of expected) expect(stdout).toContain(text);
    }, TIMEOUT_MS);
  }
});

test("pgq run hands its flags to the run, durations in milliseconds", async () => {
  const { code, stdout } = await runPgq([
    ...["run", "@acme/jobs/worker:main", "--dequeue-timeout", "2.5", "--batch-size", "5"],
    ...["--heartbeat-timeout", "20", "--max-concurrent-tasks", "7", "--retention", "0"],
    ...["--shutdown-timeout", "3", "--mode", "Drain", "--shutdown-on-listener-failure"],
  ], { env: queue.env, cwd: folder });

  const { options } = JSON.parse(stdout);
  expect({ code, ...options, signal: undefined, logger: undefined }).toEqual({
    code: 0,
    dequeueTimeout: 2_500,
    batchSize: 5,
    heartbeatTimeout: 20_000,
    maxConcurrentTasks: 7,
    retention: 0,
    shutdownTimeout: 3_000,
    mode: "drain",
    shutdownOnListenerFailure: true,
  });
}, TIMEOUT_MS);

describe("pgq run says in one line", () => {
  const run = (factory: string, env: Record<string, string> = {}): Promise<Finished> =>
    runPgq(["run", factory, "--log-level", "error"], {
      env: { ...queue.env, ...env },
      cwd: folder,
    });
  const noDatabase = { PGQUEUER_DSN: "postgresql://postgres:hunter2@127.0.0.1:1/x" };
  const cases: [title: string, factory: string, env: Record<string, string>, ...words: string[]][] =
    [
      ["that a file is missing", "./nope.ts:main", {}, "there is no file", "nope.ts"],
      ["which exports there are", `${WORKER}:nope`, {}, 'no "nope"', '"generator"', '"main"'],
      ["that there are no exports", "./empty.mjs", {}, "it exports nothing"],
      ["where JavaScript is wrong", "./syntax.mjs", {}, "has a syntax error", "syntax.mjs:2"],
      ["where TypeScript is wrong", "./syntax.ts", {}, "has a syntax error", "syntax.ts:2"],
      ["which import is missing", "./import.mjs", {}, "no-such-package", "install the package"],
      [
        "that the schema is missing",
        `${WORKER}:generator`,
        { PGQUEUER_PREFIX: "nosuch_" },
        'table "nosuch_pgqueuer" is missing',
        'run "pgq install"',
      ],
      ["that the database is unreachable", `${WORKER}:generator`, noDatabase, "at 127.0.0.1:1"],
    ];
  for (const [title, factory, env, ...words] of cases) {
    test(title, async () => {
      const { code, stderr } = await run(factory, env);

      expect(code).toBe(1);
      expect(stderr.trim().split("\n").length).toBe(1);
      for (const word of words) expect(stderr).toContain(word);
      expect(stderr).not.toContain("hunter2");
    }, TIMEOUT_MS);
  }

  test("and shows the stack of the user's own code", async () => {
    const [atTop, inFactory, afterRun] = await Promise.all([
      run("./top.ts"),
      run(`${WORKER}:throwing`),
      run(`${WORKER}:failing`),
    ]);

    expect(atTop.code).toBe(1);
    expect(atTop.stderr).toMatch(/thrown at the top\n\s+at .*top\.ts:1/);
    expect(inFactory.code).toBe(1);
    expect(inFactory.stderr).toMatch(/the factory has a bug\n\s+at throwing .*worker\.ts/);
    expect(inFactory.stderr).not.toContain("src/cli/");
    // It has no entrypoint: the run fails, and the generator still cleans up.
    expect(afterRun).toMatchObject({ code: 1, stdout: "cleaned up\n" });
    expect(afterRun.stderr).toContain("no entrypoint is registered");
  }, TIMEOUT_MS);

  test("and more with --log-level debug, but no password", async () => {
    const { code, stderr } = await runPgq(["run", `${WORKER}:generator`, "--log-level", "Debug"], {
      env: noDatabase,
    });

    expect(code).toBe(1);
    expect(stderr).toContain("DEBUG   The factory gets postgresql://postgres:***@127.0.0.1:1/x");
    expect(stderr).toContain("\n    at ");
    expect(stderr).not.toContain("hunter2");
  }, TIMEOUT_MS);

  test("and shows the right form where a factory gives something else", async () => {
    const [wrong, stubborn] = await Promise.all([
      run(`${WORKER}:wrong`),
      runPgq(["run", `${WORKER}:stubborn`, "--mode", "drain"], { env: queue.env }),
    ]);

    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('its export "wrong" gives an object: it must give a PgQueuer\n');
    expect(wrong.stderr).toContain("export async function main({ args, dsn, settings }) {");
    expect(stubborn.code).toBe(1);
    expect(stubborn.stderr).toContain("no cleaning today");
  }, TIMEOUT_MS);
});

describe("on a signal pgq run", () => {
  const statuses = () => queue.sql.unsafe(`SELECT entrypoint, status FROM ${queue.table}`);
  const start = async (entrypoint: string): Promise<PgqProcess> => {
    await queue.sql.unsafe(`TRUNCATE ${queue.table}`);
    await callPgq(["queue", entrypoint], { env: queue.env });
    const worker = new PgqProcess(["run", `${WORKER}:slow`], { env: queue.env });
    await worker.waitFor("handler runs");
    return worker;
  };

  test("waits for running handlers and ends with code 0", async () => {
    const worker = await start("finishes");

    worker.signal("SIGTERM");
    const { code, stdout, stderr } = await worker.ended;

    expect(code).toBe(0);
    expect(stdout).toContain("handler ended");
    expect(stderr).toContain("Stopping on SIGTERM: running handlers end first");
    expect([...await statuses()]).toEqual([]);
  }, TIMEOUT_MS);

  test.each(["obeys", "never"])(
    "releases them on the second one, uncharged and within a second: a handler that %s",
    async (entrypoint) => {
      const worker = await start(entrypoint);
      await queue.sql.unsafe(`UPDATE ${queue.table} SET attempts = 2`);

      worker.signal("SIGINT");
      await worker.waitFor("Stopping on SIGINT");
      const [clock] = await queue.sql<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
      worker.signal("SIGINT");
      const { code, stderr } = await worker.ended;

      expect(code).toBe(0);
      expect(stderr).toContain("Stopping at once on SIGINT");
      const rows = await queue.sql.unsafe(
        `SELECT status, attempts, queue_manager_id FROM ${queue.table}`,
      );
      expect([...rows]).toEqual([{ status: "queued", attempts: 2, queue_manager_id: null }]);
      const log = await queue.sql.unsafe<{ status: string; created: Date }[]>(
        `SELECT status, created FROM ${queue.table}_log ORDER BY id DESC LIMIT 3`,
      );
      expect(log.map(({ status }) => status)).toEqual(["queued", "picked", "queued"]);
      // One second, and what a busy machine needs.
      expect(+log[0]!.created - +clock!.now).toBeLessThan(2_500);
    },
    TIMEOUT_MS,
  );

  test("ends at once on the third one", async () => {
    const worker = await start("never");

    worker.signal("SIGTERM");
    await worker.waitFor("Stopping on SIGTERM");
    worker.signal("SIGTERM");
    await worker.waitFor("Stopping at once");
    worker.signal("SIGTERM");
    const { code } = await worker.ended;

    expect(code).toBe(143);
  }, TIMEOUT_MS);

  test("ends soon on the second one, though the factory is still at work", async () => {
    const worker = new PgqProcess(["run", `${WORKER}:stuck`], { env: queue.env });
    await worker.waitFor("factory runs");

    worker.signal("SIGINT");
    await worker.waitFor("Stopping on SIGINT");
    worker.signal("SIGINT");
    const { code } = await worker.ended;

    expect(code).toBe(130);
  }, TIMEOUT_MS);

  test("waits for the factory, claims nothing and cleans up", async () => {
    await queue.sql.unsafe(`TRUNCATE ${queue.table}, ${queue.table}_log`);
    await callPgq(["queue", "echo", "too late"], { env: queue.env });
    const worker = new PgqProcess(["run", `${WORKER}:late`], { env: queue.env });
    await worker.waitFor("factory runs");

    worker.signal("SIGTERM");
    const { code, stdout } = await worker.ended;

    expect({ code, stdout }).toEqual({ code: 0, stdout: "factory runs\ncleaned up\n" });
    expect([...await statuses()]).toEqual([{ entrypoint: "echo", status: "queued" }]);
    const log = await queue.sql.unsafe(`SELECT status FROM ${queue.table}_log`);
    expect([...log]).toEqual([{ status: "queued" }]);
  }, TIMEOUT_MS);

  test("ends cleanly while the factory is still at work, if that heeds its signal", async () => {
    const worker = new PgqProcess(["run", `${WORKER}:heeding`], { env: queue.env });
    await worker.waitFor("factory runs");

    worker.signal("SIGTERM");
    const { code, stderr } = await worker.ended;

    expect(code).toBe(0);
    expect(stderr).toContain(" INFO    Stopped\n");
  }, TIMEOUT_MS);

  test("ends cleanly while it waits for a restart", async () => {
    const worker = new PgqProcess([
      ...["run", `${WORKER}:unlucky`, "--restart-on-failure", "--restart-delay", "3600"],
    ], { env: queue.env });
    await worker.waitFor("Starting the worker again in");

    worker.signal("SIGINT");
    const { code, stderr } = await worker.ended;

    expect(code).toBe(0);
    expect(stderr.split("no luck")).toHaveLength(2);
    expect(stderr).toContain(" INFO    Stopped\n");
  }, TIMEOUT_MS);
});

describe("pgq run --restart-on-failure", () => {
  const run = (factory: string, ...flags: string[]): Promise<Finished> =>
    runPgq(["run", factory, "--restart-on-failure", "--restart-delay", "0.01", ...flags], {
      env: queue.env,
    });

  test("makes and runs a new worker after each failure, and says why", async () => {
    await queue.sql.unsafe(`TRUNCATE ${queue.table}`);
    await callPgq(["queue", "echo", "third time"], { env: queue.env });

    const { code, stdout, stderr } = await run(`${WORKER}:flaky`, "--mode", "drain");

    expect(code).toBe(0);
    expect(stdout).toContain("echo third time");
    expect(stderr).toMatch(
      /ERROR {3}Cannot run ".*" as its export "flaky" throws:\nError: no luck 1/,
    );
    expect(stderr).toContain("no luck 2");
    expect(stderr).not.toContain("hunter2");
    expect(stderr.match(/WARNING Starting the worker again in 0\.\d s/g)).toHaveLength(2);
  }, TIMEOUT_MS);

  test("ends with what a restart cannot mend", async () => {
    const [mistake, instance] = await Promise.all([run(`${WORKER}:misconfigured`), run(INSTANCE)]);

    expect(mistake.code).toBe(1);
    expect(mistake.stderr).toContain('Cannot use "concurrencyLimit" as it must be');
    expect(mistake.stderr).not.toContain("again in");
    expect(instance.code).toBe(2);
    expect(instance.stderr).toContain(
      'Cannot use "--restart-on-failure" as the factory must be a function',
    );
  }, TIMEOUT_MS);
});

async function write(name: string, text: string): Promise<void> {
  await mkdir(join(folder, name, ".."), { recursive: true });
  await writeFile(join(folder, name), text);
}
