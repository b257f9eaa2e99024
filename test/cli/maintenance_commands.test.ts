import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { olderSchemas } from "../support/older_schemas.ts";
import { callPgq, TestQueue } from "./fixtures/pgq.ts";

const queue = new TestQueue();
const { env, sql, prefix, schema, table } = queue;

beforeAll(async () => {
  await callPgq(["install"], { env });
});
afterAll(() => queue.drop());

const pgq = (...args: string[]) => callPgq(args, { env });
const json = async (...args: string[]) => JSON.parse((await pgq(...args, "--json")).stdout);

/** `p` for a table that survives a crash, `u` for one that does not, by name. */
async function persistence(): Promise<Record<string, string>> {
  const rows = await sql`
    SELECT relname, relpersistence FROM pg_class
    WHERE relnamespace = ${schema}::regnamespace AND relkind = 'r' ORDER BY relname`;
  return Object.fromEntries(
    rows.map((row) => [row.relname.slice(prefix.length), row.relpersistence]),
  );
}

/** Storage parameters of the tables that have any. */
async function parameters(): Promise<Record<string, string[]>> {
  const rows = await sql`
    SELECT relname, reloptions FROM pg_class
    WHERE relnamespace = ${schema}::regnamespace AND relkind = 'r' AND reloptions IS NOT NULL`;
  return Object.fromEntries(rows.map((row) => [row.relname.slice(prefix.length), row.reloptions]));
}

describe("pgq durability", () => {
  test("changes which tables survive a crash, and keeps what they hold", async () => {
    await pgq("queue", "work");

    const balanced = await pgq("durability", "balanced");
    const afterBalanced = await persistence();
    const volatile = await json("durability", "VOLATILE");
    const afterVolatile = await persistence();
    await pgq("durability", "durable");

    expect(balanced).toEqual({ code: 0, stdout: "Set durability to balanced\n", stderr: "" });
    expect(afterBalanced).toEqual({
      pgqueuer: "p",
      pgqueuer_limits: "p",
      pgqueuer_log: "u",
      pgqueuer_schedules: "p",
      pgqueuer_statistics: "u",
    });
    expect(volatile).toEqual({ durability: "volatile" });
    expect(new Set(Object.values(afterVolatile))).toEqual(new Set(["u"]));
    expect(new Set(Object.values(await persistence()))).toEqual(new Set(["p"]));
    expect(await json("ls")).toHaveLength(1);
  });

  test("gives up where another session holds the table, and changes nothing", async () => {
    const rival = await sql.reserve();
    await rival.unsafe(`BEGIN; LOCK TABLE ${table}_statistics IN ACCESS SHARE MODE`);

    const dsn = new URL(env.PGQUEUER_DSN!);
    // Else ten seconds.
    dsn.searchParams.set("lock_timeout", "100");
    const refused = await callPgq(["durability", "balanced", "--pg-dsn", dsn.href], { env });
    await rival.unsafe("ROLLBACK");
    rival.release();

    expect(refused).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "Cannot change durability as another session holds a lock on the tables: nothing was changed, try again in a moment\n",
    });
    expect(new Set(Object.values(await persistence()))).toEqual(new Set(["p"]));
  }, 60_000);
});

test("pgq autovac sets storage parameters, and takes them back", async () => {
  const before = await parameters();

  const tuned = await pgq("autovac");
  const after = await parameters();
  const reset = await pgq("autovac", "--rollback");

  expect(tuned).toMatchObject({ code: 0, stderr: "" });
  expect(after.pgqueuer).toContain("autovacuum_vacuum_scale_factor=0.01");
  expect(after.pgqueuer).toContain("fillfactor=70");
  expect(after.pgqueuer_schedules).toContain("autovacuum_vacuum_cost_delay=0");
  expect(after.pgqueuer_log).toContain("autovacuum_analyze_scale_factor=0.05");
  expect(after.pgqueuer_statistics).toContain("autovacuum_vacuum_threshold=1000000");
  expect(reset.code).toBe(0);
  expect(await parameters()).toEqual(before);
  expect(await json("autovac")).toEqual({ autovacuum: "tuned" });
  expect(await json("autovac", "--rollback")).toEqual({ autovacuum: "default" });
});

describe("pgq upgrade", () => {
  test("prints its plan as a script, with the locks, and takes no step", async () => {
    await sql.unsafe(`DROP INDEX ${table}_ready_idx`);
    await sql.unsafe(`ALTER TABLE ${table} ALTER COLUMN id TYPE int4`);

    const plan = await pgq("upgrade", "--plan");
    const { steps } = await json("upgrade", "--plan", "--no-widen-id");
    const byVariable = await callPgq(["upgrade", "--plan", "--json"], {
      env: { ...env, PGQUEUER_WIDEN_ID: "false" },
    });
    const wrong = await callPgq(["upgrade"], { env: { ...env, PGQUEUER_WIDEN_ID: "perhaps" } });
    const narrow = await json("upgrade", "--no-widen-id");
    const wide = await json("upgrade");
    const nothing = await pgq("upgrade", "--plan");

    expect(plan.stdout).toContain(
      `-- 1. Widen ${prefix}pgqueuer.id to eight bytes (0001.15)\n` +
        `-- Locks ${prefix}pgqueuer in ACCESS EXCLUSIVE mode for a rewrite of it, which holds up reads and writes\n`,
    );
    expect(plan.stdout).toContain(`CREATE INDEX IF NOT EXISTS ${prefix}pgqueuer_ready_idx ON `);
    expect(steps).toEqual([{
      step: "indexes",
      what: `Build the index ${prefix}pgqueuer_ready_idx`,
      mends: [`index ${prefix}pgqueuer_ready_idx`],
      sql: expect.stringMatching(/^CREATE INDEX IF NOT EXISTS /),
      lock: "SHARE",
      on: `${prefix}pgqueuer`,
      blocks: "writes",
      duration: "scan",
    }]);
    expect(JSON.parse(byVariable.stdout).steps).toEqual(steps);
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.stderr).toContain('Cannot use "PGQUEUER_WIDEN_ID"');
    expect(narrow).toEqual({
      outcome: "upgraded",
      added: [`index ${prefix}pgqueuer_ready_idx`],
      changed: [],
    });
    expect(wide.changed).toEqual([`column ${prefix}pgqueuer.id as bigint`]);
    expect(nothing).toEqual({ code: 0, stdout: "", stderr: "Nothing has to change\n" });
  });

  test("adds what is missing, and then changes nothing", async () => {
    await sql.unsafe(`DROP INDEX ${table}_unique_dedupe_key`);

    const upgraded = await pgq("upgrade");
    const again = await json("upgrade");

    expect(upgraded).toEqual({
      code: 0,
      stdout: `Upgraded, added index ${prefix}pgqueuer_unique_dedupe_key\n`,
      stderr: "",
    });
    expect(again).toEqual({ outcome: "unchanged", added: [], changed: [] });
  });

  test("installs nothing where nothing is", async () => {
    const { code, stdout, stderr } = await callPgq(["upgrade", "--prefix", "nosuch_"], { env });

    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toBe('Cannot upgrade as nothing is installed: run "pgq install"\n');
  });
});

test("the commands of docs/upgrade.md run as they stand", async () => {
  const page = await readFile(new URL("../../docs/upgrade.md", import.meta.url), "utf8");
  const [, block = ""] = /^```bash\n([^]*?)^```$/m.exec(page) ?? [];
  const commands = block.trim().split("\n").map((line) => line.replace(/\s*#.*/, "").split(" "));

  for (const [program, ...args] of commands) {
    expect(program).toBe("pgq");
    expect(await pgq(...args)).toMatchObject({ code: 0 });
  }
  expect(commands).toHaveLength(3);
});

describe("pgq sql", () => {
  const flags = ["--schema", `${schema}_sql`, "--prefix", "s_"];
  const print = async (...args: string[]) => {
    const { code, stdout, stderr } = await callPgq(["sql", ...args, ...flags]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  const there = { env: { ...env, PGQUEUER_SCHEMA: `${schema}_sql`, PGQUEUER_PREFIX: "s_" } };
  afterAll(async () => {
    await sql.unsafe(`DROP SCHEMA IF EXISTS ${schema}_sql CASCADE`);
  });

  test("prints what install, durability, autovac and uninstall send", async () => {
    await sql.unsafe(await print("install", "-d", "balanced"));
    const verified = await callPgq(["verify"], there);
    const [log] = await sql`
      SELECT relpersistence FROM pg_class WHERE oid = ${`${schema}_sql.s_pgqueuer_log`}::regclass`;
    await sql.unsafe(await print("durability", "durable"));
    await sql.unsafe(await print("autovac"));
    await sql.unsafe(await print("autovac", "--rollback"));
    const [relation] = await sql`
      SELECT relpersistence, reloptions FROM pg_class WHERE oid = ${`${schema}_sql.s_pgqueuer_log`}::regclass`;
    await sql.unsafe(await print("uninstall"));
    const absent = await callPgq(["verify", "--expect", "absent"], there);

    expect(verified).toMatchObject({ code: 0 });
    expect(log!.relpersistence).toBe("u");
    // As `install` has set it.
    expect(relation).toEqual({
      relpersistence: "p",
      reloptions: ["autovacuum_vacuum_cost_delay=0"],
    });
    expect(absent).toMatchObject({ code: 0 });
  });

  test("leaves the schema out where asked, and is the same each time", async () => {
    const [first, second, without, json] = [
      await print("install"),
      await print("install"),
      await print("install", "--no-create-schema"),
      await print("install", "--json"),
    ];

    expect(first).toBe(second);
    expect(first).toContain(`CREATE SCHEMA IF NOT EXISTS ${schema}_sql;\n`);
    expect(without).not.toContain("CREATE SCHEMA");
    expect(JSON.parse(json).sql + "\n").toBe(first);
    expect(first).toMatch(/;\n$/);
    expect(first).not.toContain("{");
  });

  // A script adds what is missing. What is there in another form needs a look at the catalog, which pgq upgrade takes.
  const python = olderSchemas.filter(([release]) => release.startsWith("Python"));

  test.each(python)("upgrade brings %s up to date", async (_, script) => {
    const name = `${schema}_old`;
    const old = ["--schema", name, "--prefix", ""];
    await sql.unsafe(
      `CREATE SCHEMA ${name}; SET search_path = ${name}; ${script}; RESET search_path`,
    );

    const { stdout } = await callPgq(["sql", "upgrade", ...old]);
    // As psql does it, statement by statement: a new label must be committed before an index may name it.
    const labels = stdout.match(/^ALTER TYPE .* ADD VALUE .*;$/gm)!;
    for (const statement of labels) await sql.unsafe(statement);
    await sql.unsafe(labels.reduce((rest, statement) => rest.replace(statement, ""), stdout));
    const verified = await callPgq(["verify", ...old], {
      env: { PGQUEUER_DSN: env.PGQUEUER_DSN },
    });
    await sql.unsafe(`DROP SCHEMA ${name} CASCADE`);

    expect(verified).toMatchObject({ code: 0, stdout: "" });
  });
});
