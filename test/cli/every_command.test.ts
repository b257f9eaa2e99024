/**
 * What holds for every command. The table must name each of them, so that a new one cannot miss it; what a command
 * does on a database that is fine is tested in files of its own.
 */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GLOBAL_FLAGS } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/main.ts";
import { repeat } from "../support/repeat.ts";
import {
  aTerminal,
  callPgq,
  type Finished,
  PgqProcess,
  TEST_DSN,
  TestQueue,
} from "./fixtures/pgq.ts";

const WORKER = fileURLToPath(new URL("./fixtures/factories/worker.ts", import.meta.url));
const PASSWORD = "hunter2";
const UNREACHABLE = `postgresql://app:${PASSWORD}@127.0.0.1:1/shop`;

/** One way to call a command, and what becomes of it. */
interface Row {
  /** What stands behind its name. */
  readonly args: readonly string[];
  /** `no database`: it needs none. `factory`: the factory opens it. `own`: it starts one. */
  readonly asks: "database" | "no database" | "factory" | "own";
  /** Exit code and words where nothing is installed. */
  readonly absent?: readonly [code: number, words: string];
  /** Exit code and words where the role has no right. Without it nothing is tried. */
  readonly denied?: readonly [code: number, words: string];
  /** Exit code on a queue that is fine and empty, where it ends by itself. */
  readonly fine?: number;
}

const NOT_INSTALLED: readonly [number, string] = [1, 'run "pgq install'];
const DENIED: readonly [number, string] = [1, "permission denied for "];

const TABLE: Readonly<Record<string, Row>> = {
  install: { args: [], asks: "database", absent: [0, "Installed"], fine: 0 },
  upgrade: { args: [], asks: "database", absent: [1, "pgq install"], fine: 0 },
  uninstall: { args: [], asks: "database", absent: [0, ""] },
  verify: { args: [], asks: "database", absent: [1, "missing: "], fine: 0 },
  durability: {
    args: ["durable"],
    asks: "database",
    absent: NOT_INSTALLED,
    denied: DENIED,
    fine: 0,
  },
  autovac: { args: [], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  grants: { args: ["read"], asks: "no database", fine: 0 },
  sql: { args: ["install"], asks: "no database", fine: 0 },
  run: { args: [`${WORKER}:generator`, "--mode", "drain"], asks: "factory" },
  dev: { args: ["./main.ts"], asks: "own" },
  queue: { args: ["work"], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  status: { args: [], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  dashboard: { args: [], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  doctor: { args: [], asks: "database", absent: [1, "pgq install"], fine: 0 },
  ls: { args: [], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  show: { args: ["4711"], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 1 },
  failed: { args: [], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  requeue: { args: ["4711"], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 1 },
  cancel: { args: ["4711"], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 1 },
  bench: { args: ["--jobs", "1"], asks: "database", denied: [1, "may not create it"] },
  schedules: { args: [], asks: "database", absent: NOT_INSTALLED, denied: DENIED, fine: 0 },
  // Whoever may connect may listen, to any channel.
  listen: { args: [], asks: "database" },
};

const queue = new TestQueue();
const role = `nobody_${randomBytes(4).toString("hex")}`;
const names = Object.keys(TABLE);

beforeAll(async () => {
  await callPgq(["install"], { env: queue.env });
  await queue.sql.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`);
});
afterAll(async () => {
  await queue.sql.unsafe(`DROP ROLE ${role}`);
  await queue.drop();
});

/** Calls a command as the table says. */
function call(
  name: string,
  env: Record<string, string>,
  ...more: readonly string[]
): Promise<Finished> {
  return callPgq([name, ...TABLE[name]!.args, ...more], { env: { ...queue.env, ...env } });
}

function asRole(change: (dsn: URL) => void = () => {}): Record<string, string> {
  const dsn = new URL(TEST_DSN);
  [dsn.username, dsn.password] = [role, PASSWORD];
  change(dsn);
  return { PGQUEUER_DSN: dsn.href };
}

/** One line for the user, without a stack, colours or a password. */
function expectOneLine({ code, stdout, stderr }: Finished, expected: number, words: string): void {
  expect(stderr).toContain(words);
  expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(stderr).not.toContain(PASSWORD);
}

test("the table names every command", () => {
  expect([...names].sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
});

describe.each(COMMANDS.map((command) => ({ name: command.name, command })))(
  "pgq $name",
  ({ name, command }) => {
    const row = TABLE[name]!;

    test("has a help with each flag and an example that is its own", async () => {
      const { code, stdout, stderr } = await callPgq([name, "--help"]);

      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain(`Usage: pgq ${name}`);
      expect(stdout).toMatch(new RegExp(`Example:\\n(.*\\n)*?  (.*\\| )?pgq ${name}`));
      for (const { flags } of [...command.flags, ...GLOBAL_FLAGS]) expect(stdout).toContain(flags);
      expect(stdout).not.toContain("\x1b");
    });

    test("refuses an unknown flag and says which was meant", async () => {
      for (const { flags } of [...command.flags, ...GLOBAL_FLAGS]) {
        const flag = /--[a-z-]+/.exec(flags)![0];
        const finished = await call(name, {}, `${flag}x`);

        // It may be nearer to another one.
        expectOneLine(finished, 2, `unknown option "${flag}x"`);
        expect(finished.stderr).toMatch(/, did you mean "--[a-z-]+"\?|did you mean one of /);
      }
    });

    test("refuses a name of tables that is none, before it asks anybody", async () => {
      if (["dev", "bench"].includes(name)) return;
      const finished = await call(name, { PGQUEUER_DSN: UNREACHABLE }, "--prefix", "no-name");

      expectOneLine(finished, 2, 'Cannot use "prefix"');
    });

    test.skipIf(row.asks !== "database")("says that no database is named", async () => {
      expectOneLine(await call(name, { PGQUEUER_DSN: "" }), 2, "as no database is named");
    });

    test.skipIf(row.asks === "no database" || row.asks === "own")(
      "says that the DSN has a mistake, and in which variable",
      async () => {
        const finished = await call(name, { PGQUEUER_DSN: `postgres//app:${PASSWORD}@db/shop` });

        expectOneLine(finished, 1, "(from PGQUEUER_DSN)");
      },
    );

    test.skipIf(row.asks !== "database")("says that the server is down", async () => {
      const plain = await call(name, { PGQUEUER_DSN: UNREACHABLE });
      const debug = await call(name, { PGQUEUER_DSN: UNREACHABLE, PGQ_DEBUG: "1" });
      const json = await call(name, { PGQUEUER_DSN: UNREACHABLE }, "--json");

      for (const finished of [plain, json]) {
        expectOneLine(finished, 1, "at 127.0.0.1:1 as the connection is refused");
      }
      expect(debug.stderr).toContain("    at ");
      expect(debug.stderr).not.toContain(PASSWORD);
    });

    test.skipIf(row.asks !== "database")("says that password or database is wrong", async () => {
      const wrongPassword = await call(name, asRole((dsn) => dsn.password = `${PASSWORD}x`));
      const wrongDatabase = await call(name, asRole((dsn) => dsn.pathname = "/nosuch"));

      // A server that trusts every local user does not look at the password.
      if (
        !/permission denied|Verified|Listening/.test(wrongPassword.stderr + wrongPassword.stdout)
      ) {
        expect(wrongPassword.stderr).not.toContain(PASSWORD);
        expect(wrongPassword.code).toBe(1);
      }
      expectOneLine(wrongDatabase, 1, 'database "nosuch" does not exist');
    });

    test.skipIf(row.absent === undefined)("says that nothing is installed", async () => {
      const [expected, words] = row.absent!;
      const env = { PGQUEUER_SCHEMA: `${queue.schema}_none` };

      const { code, stdout, stderr } = await call(name, env);
      await queue.sql.unsafe(`DROP SCHEMA IF EXISTS ${env.PGQUEUER_SCHEMA} CASCADE`);

      expect(stdout + stderr).toContain(words);
      expect(code).toBe(expected);
    });

    test.skipIf(row.denied === undefined)("says which right is missing", async () => {
      const [code, words] = row.denied!;

      expectOneLine(await call(name, asRole()), code, words);
    });

    test.skipIf(row.fine === undefined)(
      "prints text or one JSON value, without colours",
      async () => {
        const plain = await call(name, {});
        const json = await call(name, {}, "--json");

        expect([plain.code, json.code]).toEqual([row.fine, row.fine]);
        expect(plain.stdout + plain.stderr + json.stderr).not.toContain("\x1b");
        if (json.stdout !== "" || row.fine === 0) JSON.parse(json.stdout);
      },
    );

    test.skipIf(row.fine !== 0)(
      "prints JSON on a terminal too, and draws nothing there",
      async () => {
        let drawn = "";
        const terminal = aTerminal({ colors: true, write: (text) => drawn += text });

        const { code, stdout } = await callPgq([name, ...row.args, "--json"], {
          env: queue.env,
          terminal,
        });

        expect({ code, drawn }).toEqual({ code: 0, drawn: "" });
        expect(typeof JSON.parse(stdout)).toBe("object");
        expect(stdout).not.toContain("\x1b");
      },
      10_000,
    );
  },
);

test("colours are on a terminal only, and none where it has none", async () => {
  const calls = [true, false].map((colors) =>
    callPgq(["doctor"], { env: queue.env, terminal: aTerminal({ colors }) })
  );
  const [colored, plain] = await Promise.all(calls);

  expect(colored!.stdout).toContain("\x1b[");
  expect(plain!.stdout).not.toContain("\x1b");
});

describe("as a process", () => {
  test("a reader that has seen enough ends nothing with an error", async () => {
    await queue.sql.unsafe(
      `INSERT INTO ${queue.table} (priority, status, entrypoint)
       SELECT 0, 'queued', 'many' FROM generate_series(1, 5000)`,
    );
    const process = new PgqProcess(["ls", "--limit", "6000"], { env: queue.env });

    await process.closeStdoutAfter("\n");
    const { code, stderr } = await process.ended;
    await queue.sql.unsafe(`TRUNCATE ${queue.table}`);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }, 60_000);

  test.each([
    ["listen", []],
    ["dashboard", ["--interval", "0.05"]],
  ])("pgq %s ends when its reader has gone", async (name, flags) => {
    const process = new PgqProcess([name, ...flags], { env: queue.env });
    const stop = repeat(() => callPgq(["queue", "work"], { env: queue.env }), 100);

    await process.closeStdoutAfter(name === "listen" ? "insert" : "CREATED");
    const { code } = await process.ended;
    await stop();

    expect(code).toBe(0);
  }, 60_000);

  test("Ctrl-C ends a command that waits for a lock, and its statement", async () => {
    let release = (): void => {};
    const locked = queue.sql.begin(async (tx) => {
      await tx.unsafe(`LOCK TABLE ${queue.table}`);
      await new Promise<void>((resolve) => release = resolve);
    });
    const watch = new TestQueue();
    const env = { ...queue.env, PGQUEUER_APPLICATION_NAME: queue.prefix };
    const waiting = async (): Promise<number> => {
      const [row] = await watch.sql`
        select count(*)::int as count from pg_stat_activity
        where application_name = ${queue.prefix} and wait_event_type = 'Lock'`;
      return row!["count"];
    };
    const process = new PgqProcess(["ls"], { env });
    while (await waiting() === 0) await new Promise((resolve) => setTimeout(resolve, 50));

    process.signal("SIGINT");
    const { stdout } = await process.ended;
    release();
    await locked;
    while (await waiting() > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    await watch.sql.end();

    expect(stdout).toBe("");
  }, 60_000);
});
