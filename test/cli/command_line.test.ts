import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CliError, UsageError } from "../../src/cli/command.ts";
import { chooseDsn, chooseSettings } from "../../src/cli/connection.ts";
import { callPgq, runPgq } from "./fixtures/pgq.ts";

const COMMANDS = [
  "install",
  "uninstall",
  "verify",
  "run",
  "dev",
  "queue",
  "ls",
  "show",
  "failed",
  "requeue",
  "cancel",
  "bench",
  "status",
  "schedules",
  "listen",
  "sql",
  "upgrade",
  "durability",
  "autovac",
  "doctor",
  "grants",
  "dashboard",
];

const DSN = "postgresql://app:hunter2@127.0.0.1:1/shop";

test("--version, --help and mistakes, as processes", async () => {
  const { version } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  const [printed, help, nothing, debugged] = await Promise.all([
    runPgq(["--version"]),
    runPgq(["--help"]),
    runPgq([]),
    runPgq(["verify"], { env: { PGQUEUER_DSN: DSN, PGQ_DEBUG: "1" } }),
  ]);

  expect(printed).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  expect(help.code).toBe(0);
  for (const name of COMMANDS) {
    expect(help.stdout).toContain(`\n  ${name}`);
  }
  expect(nothing).toMatchObject({ code: 2, stdout: "" });
  expect(nothing.stderr).toContain("no command is given");
  expect(debugged.code).toBe(1);
  expect(debugged.stderr).toContain("    at ");
  expect(debugged.stderr).not.toContain("hunter2");
}, 60_000);

describe("--help of each command", () => {
  for (const name of COMMANDS) {
    test(name, async () => {
      const { code, stdout, stderr } = await callPgq([name, "--help"]);

      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain(`Usage: pgq ${name}`);
      expect(stdout).toContain("Example:\n");
      expect(stdout).toContain("--pg-dsn <dsn>");
    });
  }
});

describe("a wrong command line ends with code 2 and says", () => {
  const cases: [args: string[], message: string][] = [
    [["instal"], 'unknown command "instal", did you mean "install"?'],
    [["install", "--prefx", "a"], 'unknown option "--prefx", did you mean "--prefix"?'],
    [["run", "a", "--batchsize", "1"], 'did you mean "--batch-size"?'],
    [["queue"], 'missing required argument "entrypoint", see "pgq queue --help"'],
    [["verify", "more"], 'too many arguments for "verify"'],
    [["install", "--pg-dsn"], 'option "--pg-dsn <dsn>" argument missing'],
    [["install"], "as no database is named: give --pg-dsn"],
    [
      ["install", "--pg-dsn", "mysql://app:hunter2@h/x"],
      'it starts with "mysql://" (from --pg-dsn)',
    ],
    [["install", `--pg_dsn=${DSN}`], "unknown option"],
    [[DSN], "unknown command"],
    [["install", "--pg-dsn", DSN, "--prefix", "1a"], 'Cannot use "prefix"'],
    [["install", "--pg-dsn", DSN, "--prefix", "Upper"], "must be in lower case"],
    [["install", "--pg-dsn", DSN, "-d", "x"], "one of volatile, balanced, durable"],
    [["verify", "--expect", "x"], 'Cannot use "--expect" as it must be one of present, absent'],
    [["queue", "a", "--priority", "1.5"], '"--priority" as it must be a whole number'],
    [["queue", "a", "--delay", "-1"], "must be a number of seconds >= 0"],
    [["queue", "a", "--headers", "[]"], "must be a JSON object"],
    [["run", "a", "--dequeue-timeout", "0"], "must be a number of seconds > 0"],
    [["run", "a", "--log-level", "loud"], "one of debug, info, warning, error"],
    [["run", "a:b.c"], '"b.c" is not the name of an export'],
    [["ls", "--status", "queued,running"], '"--status" as it must be made of queued, picked'],
    [["ls", "--limit", "0"], '"--limit" as it must be a whole number >= 1'],
    [["ls", "--limit", "3000000000"], '"--limit" as it must be a whole number >= 1'],
    [["ls", "--newer-than", "0"], "must be a number of seconds > 0"],
    [["ls", "--older-than", "9", "--newer-than", "9"], 'must be less than "--newer-than"'],
    [["ls", "--entrypoint", ""], '"--entrypoint" as it must be not empty'],
    [["failed", "--limt", "1"], 'did you mean "--limit"?'],
    [["show"], 'missing required argument "id"'],
    [["show", "1", "2"], 'too many arguments for "show"'],
    [["show", "0x10"], 'Cannot use "0x10" as a job id'],
    [["cancel"], 'missing required argument "ids"'],
    [["cancel", "1", "0"], 'Cannot use "0" as a job id'],
    [["requeue", "9007199254740993"], 'Cannot use "9007199254740993" as a job id'],
    [["requeue", "abc"], "as it must be a whole number from 1 to 2^53 - 1"],
    [["status", "--last", "0"], "must be a number of seconds > 0"],
    [["schedules", "-r"], 'option "-r, --remove <names...>" argument missing'],
    [["listen", "--channel", "x".repeat(64)], "must be from 1 to 63 bytes long"],
    [["sql"], 'missing required argument "command"'],
    [["sql", "instal"], "must be one of install, upgrade, uninstall, durability, autovac"],
    [["sql", "uninstall", "--rollback"], 'Cannot use "--rollback" with pgq sql uninstall'],
    [["sql", "upgrade", "--no-create-schema"], 'Cannot use "--create-schema" with'],
    [["sql", "install", "durable"], "pgq sql install takes no level"],
    [["sql", "durability"], "one of volatile, balanced, durable: it is missing"],
    [["grants", "admin"], 'one of migrate, produce, work, read: current value is "admin"'],
    [["grants", "--role", "web"], 'Cannot use "--role" as 4 tasks need a role each'],
    [["grants", "read", "--role", "a b"], "a plain SQL identifier in lower case"],
    [["grants", "read", "--role", "pg_me"], "does not begin with pg_"],
    [["dashboard", "--interval", "0"], "must be a number of seconds > 0"],
    [["dashboard", "-i", "9999999"], "a number of seconds > 0, at most 24 days"],
    [["durability", "fast"], 'durable: current value is "fast"'],
    [["durability"], 'missing required argument "level"'],
    [["autovac", "--rolback"], 'did you mean "--rollback"?'],
    [["dev", "a", "--pg-dsn", DSN], "pgq dev starts a PostgreSQL of its own"],
  ];
  for (const [args, message] of cases) {
    test(args.join(" "), async () => {
      const { code, stdout, stderr } = await callPgq(args);

      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toContain(message);
      expect(stderr.trim().split("\n").length).toBe(1);
      expect(stderr).not.toContain("hunter2");
    });
  }
});

describe("the database is named", () => {
  const at = (host: string) => `postgresql://app@${host}/shop`;
  const all = {
    PGQUEUER_DSN: at("first"),
    PGDSN: at("second"),
    DATABASE_URL: at("third"),
    PGHOST: "fourth",
    PGUSER: "me",
    PGPASSWORD: "pass word",
    PGSSLMODE: "require",
  };
  const cases: [title: string, flags: object, env: Record<string, string>, expected: unknown][] = [
    ["by the flag", { pgDsn: "postgresql+asyncpg://app@flag/shop" }, all, at("flag")],
    ["by PGQUEUER_DSN", {}, all, at("first")],
    ["by PGDSN", {}, { ...all, PGQUEUER_DSN: "" }, at("second")],
    ["by DATABASE_URL", {}, { ...all, PGQUEUER_DSN: "", PGDSN: "" }, at("third")],
    [
      "by the variables of libpq",
      {},
      { ...all, PGQUEUER_DSN: "", PGDSN: "", DATABASE_URL: "" },
      "postgresql://me:pass%20word@fourth?sslmode=require",
    ],
    ["by nothing", {}, { PGPASSWORD: "x" }, undefined],
  ];
  for (const [title, flags, env, expected] of cases) {
    test(title, () => {
      expect(chooseDsn({ ...flags }, env)?.dsn).toBe(expected as string);
    });
  }
});

test("a mistake in the environment is not one of the command line", () => {
  const dsn = () => chooseDsn({}, { DATABASE_URL: "mysql://app:hunter2@h/x" });
  const prefix = () => chooseSettings({}, { PGQUEUER_PREFIX: "1a" });
  const flag = () => chooseSettings({ prefix: "1a" }, { PGQUEUER_PREFIX: "ok" });

  expect(dsn).toThrow(CliError);
  expect(dsn).toThrow("(from DATABASE_URL)");
  expect(prefix).toThrow(CliError);
  expect(flag).toThrow(UsageError);
});

test("PGDSN of another database is said to be ignored, since Python's pgq takes that one", () => {
  const [one, other] = ["postgresql://h/one", "postgresql://h/other"];
  const notes = (env: Record<string, string>) => chooseDsn({}, env)?.dropped;

  expect(notes({ PGQUEUER_DSN: one, PGDSN: other })).toEqual([
    "Ignoring PGDSN as PGQUEUER_DSN names another database",
  ]);
  expect(notes({ PGQUEUER_DSN: one, PGDSN: one })).toEqual([]);
  expect(notes({ PGQUEUER_DSN: one, DATABASE_URL: other })).toEqual([]);
});

test("PGQUEUER_CONNECT_TIMEOUT must be a number of seconds", async () => {
  const { code, stderr } = await callPgq(["verify", "--pg-dsn", DSN], {
    env: { PGQUEUER_CONNECT_TIMEOUT: "soon" },
  });

  expect(code).toBe(1);
  expect(stderr).toContain(
    'Cannot use "PGQUEUER_CONNECT_TIMEOUT" as it must be a number of seconds',
  );
});

test("a flag wins over its variable, and parameters that are dropped are said", async () => {
  const settings = chooseSettings({ prefix: "a_" }, {
    PGQUEUER_PREFIX: "b_",
    PGQUEUER_SCHEMA: "s",
  });
  const { stderr, code } = await callPgq(["verify", "--pg-dsn", `${DSN}?pool_timeout=5`]);

  expect([settings.prefix, settings.schema]).toEqual(["a_", "s"]);
  expect(code).toBe(1);
  expect(stderr).toContain('Ignoring "pool_timeout" of --pg-dsn: ');
  expect(stderr).toContain(
    "Cannot reach PostgreSQL at 127.0.0.1:1 as the connection is refused: is PostgreSQL running there?",
  );
  expect(stderr).not.toContain("hunter2");
});
