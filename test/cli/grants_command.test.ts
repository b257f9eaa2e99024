/** The roles of `pgq grants`, each used for its task and for what is not its task. */
import { readFileSync } from "node:fs";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openWorkerDriver, PgQueuer, Queries, SchemaError } from "../../mod.ts";
import { COMMANDS } from "../../src/cli/main.ts";
import { aTerminal, callPgq, TEST_DSN, TestQueue } from "./fixtures/pgq.ts";

const queue = new TestQueue();
const { env, sql, prefix, schema, table } = queue;
const TASKS = ["migrate", "produce", "work", "read"] as const;
const roleOf = (task: string) => `${prefix}pgqueuer_${task}`;

/** The database as one of the roles. */
function dsnOf(task: typeof TASKS[number]): string {
  const dsn = new URL(TEST_DSN);
  [dsn.username, dsn.password] = [roleOf(task), "secret"];
  return dsn.href;
}

const as = (task: typeof TASKS[number], ...args: string[]) =>
  callPgq(args, { env: { ...env, PGQUEUER_DSN: dsnOf(task) } });

async function grant(...args: string[]): Promise<void> {
  const { stdout } = await callPgq(["grants", ...args], { env });
  await sql.unsafe(stdout);
}

beforeAll(async () => {
  await sql.unsafe(`CREATE SCHEMA ${schema}`);
  await grant("migrate");
  for (const task of ["produce", "work", "read"]) await sql.unsafe(`CREATE ROLE ${roleOf(task)}`);
  for (const task of TASKS) {
    await sql.unsafe(`ALTER ROLE ${roleOf(task)} LOGIN PASSWORD 'secret'`);
  }
});
afterAll(async () => {
  for (const task of TASKS) {
    await sql.unsafe(`DROP OWNED BY ${roleOf(task)} CASCADE; DROP ROLE ${roleOf(task)}`);
  }
  await queue.drop();
});

describe("migrate", () => {
  test("installs, verifies, upgrades and sets what the tables have", async () => {
    const steps = [
      await as("migrate", "install"),
      await as("migrate", "verify"),
      await as("migrate", "durability", "balanced"),
      await as("migrate", "durability", "durable"),
      await as("migrate", "autovac"),
      await as("migrate", "autovac", "--rollback"),
    ];

    expect(steps.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ""],
      [0, "Verified: everything is present\n"],
      ...Array(4).fill([0, ""]),
    ]);
  });

  test("takes over what another role has installed", async () => {
    const other = ["--schema", `${schema}_other`, "--prefix", prefix];
    await callPgq(["install", ...other], { env });
    await sql.unsafe(`DROP INDEX ${schema}_other.${prefix}pgqueuer_ready_idx`);
    const refused = await as("migrate", "upgrade", ...other);

    await grant("migrate", ...other);
    const upgraded = await as("migrate", "upgrade", ...other);
    const removed = await as("migrate", "uninstall", ...other);
    await sql.unsafe(`DROP SCHEMA ${schema}_other`);

    expect(refused.code).toBe(1);
    expect(upgraded).toMatchObject({ code: 0, stderr: "" });
    expect(removed).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("the others, once the tables are there", () => {
  // Both again, as after an upgrade.
  beforeAll(async () => {
    // As where the owner of a database lets nobody call functions by default.
    await sql.unsafe(`REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} FROM PUBLIC`);
    await grant("produce", "work", "read");
    await grant();
  });

  test("produce enqueues in every way", async () => {
    const driver = await openWorkerDriver(dsnOf("produce"));
    const queries = new Queries(driver, { schema, prefix });

    const one = await queries.enqueue("mail", new Uint8Array([1]), {
      priority: 3,
      executeAfter: { hours: 1 },
      headers: { a: 1 },
      dedupeKey: "k",
    });
    const raised = queries.enqueue("mail", null, { dedupeKey: "k", onConflict: "raise" });
    await expect(raised).rejects.toThrow('offered "k"');
    const many = await queries.enqueue("mail", [null, null, null], {
      dedupeKey: ["k", null, "l"],
      executeAfter: new Date(),
    });
    const slices = await queries.enqueue("bulk", Array(3_000).fill(null));
    const typed = await as("produce", "queue", "mail", "hello");
    await driver.close();

    expect(one).toBeGreaterThan(0);
    expect(many.map((id) => id === null)).toEqual([true, false, false]);
    expect(new Set(slices).size).toBe(3_000);
    expect(typed).toMatchObject({ code: 0, stderr: "" });
  });

  test("produce raises a priority only with the right that is printed apart", async () => {
    const driver = await openWorkerDriver(dsnOf("produce"));
    const queries = new Queries(driver, { schema, prefix });
    const raise = () =>
      queries.enqueue("mail", null, {
        dedupeKey: "p",
        priority: 9,
        onConflict: "update_priority",
      });

    await expect(raise()).rejects.toThrow(SchemaError);
    const { stdout } = await callPgq(["grants", "produce"], { env });
    await sql.unsafe(/^-- (GRANT UPDATE .*;)$/m.exec(stdout)![1]!);
    const id = await raise();
    await sql.unsafe(
      `REVOKE UPDATE (priority, updated), SELECT (updated) ON ${table} FROM ${roleOf("produce")}`,
    );
    await driver.close();

    expect(id).toBeGreaterThan(0);
  });

  test.each(["produce", "work"] as const)("%s enqueues by the function in SQL", async (task) => {
    const client = postgres(dsnOf(task), { max: 1 });
    const calls = [
      "'mail', '\\x00'::bytea",
      "'mail', 'text', delay => '1 hour', on_conflict => 'raise'",
      "'mail', '{}'::jsonb, headers => '{}', dedupe_key => 'by ' || current_user",
    ];

    const ids: unknown[] = [];
    for (const call of calls) {
      const [row] = await client.unsafe(`SELECT ${table}_enqueue(${call}) AS id`);
      ids.push(row!["id"]);
    }
    const raised = client.unsafe(
      `SELECT ${table}_enqueue('mail', dedupe_key => 'r', on_conflict => 'update_priority')`,
    ).then(() => "done", (error) => error.code);

    expect(ids.every((id) => Number(id) > 0)).toBe(true);
    // The right that is printed apart.
    expect(await raised).toBe(task === "work" ? "done" : "42501");
    await client.end();
  });

  test("read may not call it", async () => {
    const client = postgres(dsnOf("read"), { max: 1 });

    await expect(client.unsafe(`SELECT ${table}_enqueue('mail')`).then(() => {})).rejects.toThrow(
      "permission denied for function",
    );
    await client.end();
  });

  test.each([
    `SELECT payload FROM ${table}`,
    `SELECT count(headers) FROM ${table}`,
    `UPDATE ${table} SET priority = 9`,
    `UPDATE ${table} SET status = 'picked'`,
    `DELETE FROM ${table}`,
    `TRUNCATE ${table}`,
    `INSERT INTO ${table} (priority, status, entrypoint, queue_manager_id) VALUES (0, 'picked', 'x', '00000000-0000-0000-0000-000000000001')`,
    `SELECT id FROM ${table} FOR UPDATE`,
    `SELECT * FROM ${table}_log`,
    `DELETE FROM ${table}_log`,
    `INSERT INTO ${table}_statistics (count, priority, status, entrypoint) VALUES (1, 0, 'queued', 'x')`,
    `SELECT * FROM ${table}_schedules`,
    `SELECT * FROM ${table}_limits`,
    `ALTER TABLE ${table} DISABLE TRIGGER ALL`,
    `CREATE TABLE ${schema}.mine (id int)`,
  ])("produce may not %s", async (statement) => {
    await sql.unsafe(`SET ROLE ${roleOf("produce")}`);
    try {
      await expect(sql.unsafe(statement).then(() => {})).rejects.toThrow(
        /permission denied|must be owner/,
      );
    } finally {
      await sql.unsafe("RESET ROLE");
    }
  });

  test("produce is told so by the commands of others", async () => {
    for (const args of [["ls"], ["show", "1"], ["cancel", "1"], ["requeue", "1"], ["status"]]) {
      const { code, stderr } = await as("produce", ...args);

      expect(code).toBe(1);
      expect(stderr).toMatch(/permission denied for (table|relation|function)/);
    }
  });

  test("work runs a worker with limits, retries, held jobs, schedules, statistics and retention", async () => {
    await sql.unsafe(`TRUNCATE ${table}; TRUNCATE ${table}_log; TRUNCATE ${table}_statistics`);
    await sql.unsafe(`
      INSERT INTO ${table}_log (created, job_id, status, entrypoint, priority, aggregated)
      VALUES (now() - interval '40 d', 1, 'successful', 'old', 0, true)`);
    await sql.unsafe(`
      INSERT INTO ${table}_schedules (expression, entrypoint, next_run)
      VALUES ('0 * * * *', 'tick', date_trunc('hour', now())), ('0 4 * * *', 'tick', now())`);
    const warnings: string[] = [];
    const logger = {
      debug() {},
      info() {},
      warn: (line: string) => void warnings.push(line),
      error: (line: string) => void warnings.push(line),
    };
    const pgq = new PgQueuer(await openWorkerDriver(dsnOf("work")), { schema, prefix, logger });
    const ran: string[] = [];
    pgq.entrypoint("plain", async () => {
      ran.push("plain");
      await pgq.queries.enqueue("limited", null);
    });
    pgq.entrypoint(
      "limited",
      { concurrencyLimit: 1, requestsPerSecond: 1_000, retry: { maxAttempts: 2, initialDelay: 0 } },
      (job) => {
        ran.push(`limited ${job.attempts}`);
        if (job.attempts === 0) throw new Error("again");
      },
    );
    pgq.entrypoint("held", { onFailure: "hold" }, () => {
      throw new Error("no");
    });
    pgq.entrypoint("tick", () => void ran.push("tick"));
    pgq.schedule("tick", "0 * * * *", { enqueue: true, cleanOld: true });
    pgq.schedule("new", "0 0 29 2 *", { enqueue: true });
    const { queries } = pgq;
    await queries.enqueueMany([{ entrypoint: "plain" }, { entrypoint: "held" }]);
    await queries.enqueue("unknown", null);
    await pgq.run({ mode: "drain" });

    const held = JSON.parse((await as("work", "failed", "--json")).stdout);
    const [counted] = await sql.unsafe(`
      SELECT (SELECT sum(count)::int FROM ${table}_statistics WHERE status = 'successful') AS successes,
        (SELECT count(*)::int FROM ${table}_log WHERE entrypoint = 'old') AS old,
        (SELECT count(*)::int FROM ${table}_schedules) AS schedules`);
    const changed = [
      await as("work", "requeue", String(held[0].id)),
      await as("work", "cancel", String(held[0].id)),
      await as("work", "schedules", "--remove", "tick"),
    ];

    // What is claimed anyway is not what is asked here.
    expect(warnings.filter((line) => /permission|denied/.test(line))).toEqual([]);
    expect(ran.sort()).toEqual(["limited 0", "limited 1", "plain", "tick"]);
    expect(held).toMatchObject([{ entrypoint: "held" }]);
    expect(counted).toEqual({ successes: 3, old: 0, schedules: 2 });
    expect(changed.map(({ code, stderr }) => [code, stderr])).toEqual(Array(3).fill([0, ""]));
  });

  test.each([
    `TRUNCATE ${table}`,
    `DROP TABLE ${table}`,
    `ALTER TABLE ${table} ADD COLUMN mine int`,
    `CREATE TABLE ${schema}.mine (id int)`,
  ])("work may not %s", async (statement) => {
    await sql.unsafe(`SET ROLE ${roleOf("work")}`);
    try {
      await expect(sql.unsafe(statement).then(() => {})).rejects.toThrow(
        /permission denied|must be owner/,
      );
    } finally {
      await sql.unsafe("RESET ROLE");
    }
  });

  test("read looks at everything", async () => {
    const id = (await callPgq(["queue", "mail", "hello"], { env })).stdout.trim();

    const looks = await Promise.all(
      [
        ["ls"],
        ["ls", "--status", "exception,successful"],
        ["show", id, "--payload"],
        ["failed"],
        ["status"],
        ["schedules"],
        ["verify"],
      ].map((args) => as("read", ...args)),
    );
    const doctor = await as("read", "doctor", "--json");

    expect(looks.map(({ code }) => code)).toEqual(Array(7).fill(0));
    expect(looks[2]!.stdout).toContain("payload is   hello");
    expect(doctor.stderr).toBe("");
    const levels = JSON.parse(doctor.stdout).findings.map(
      ({ check, level }: Record<string, string>) => `${check} ${level}`,
    );
    expect(levels).toContain("schema ok");
    expect(levels).toContain("tables ok");
  });

  test("read sees the sessions of others only with the right that is printed apart", async () => {
    const sessions = async () =>
      JSON.parse((await as("read", "status", "--json")).stdout).workers.listening_sessions;

    const without = await sessions();
    const text = (await as("read", "status")).stdout;
    const { stdout } = await callPgq(["grants", "read"], { env });
    await sql.unsafe(/^-- (GRANT pg_read_all_stats .*;)$/m.exec(stdout)![1]!);
    const granted = await sessions();

    expect(without).toBe(null);
    expect(text).toContain("idle ones not seen (needs pg_read_all_stats)");
    expect(granted).toBeGreaterThanOrEqual(0);
  });

  test("read changes nothing", async () => {
    const commands = [
      ["queue", "mail"],
      ["cancel", "1"],
      ["requeue", "1"],
      ["schedules", "--remove", "tick"],
      ["durability", "volatile"],
      ["autovac"],
      ["uninstall"],
    ];
    for (const args of commands) {
      const { code, stderr } = await as("read", ...args);

      expect(code).toBe(1);
      expect(stderr).toMatch(/permission denied|must be owner|belongs to role/);
    }
  });
});

test("pgq grants prints what is asked for, with the names that are asked for", async () => {
  const print = async (...args: string[]) =>
    (await callPgq(["grants", ...args], { env: {} })).stdout;
  const [all, one, json] = [
    await print(),
    await print("read", "--role", "analyst", "--schema", "jobs", "--prefix", "a_"),
    await print("read", "produce", "read", "--json"),
  ];

  expect(all.match(/CREATE ROLE \w+/g)).toEqual(
    TASKS.map((task) => `CREATE ROLE pgqueuer_${task}`),
  );
  expect(all).toContain("ON SCHEMA public TO pgqueuer_read;");
  expect(one).toContain("GRANT USAGE ON SCHEMA jobs TO analyst;\n");
  expect(one).toContain("GRANT SELECT ON jobs.a_pgqueuer, jobs.a_pgqueuer_log, ");
  expect(JSON.parse(json).map(({ task, role }: Record<string, string>) => [task, role])).toEqual([
    ["read", "pgqueuer_read"],
    ["produce", "pgqueuer_produce"],
  ]);
  expect((await callPgq(["grants"], { env: {}, terminal: aTerminal() })).stdout).toBe(all);
});

describe("docs/permissions.md", () => {
  const document = readFileSync(new URL("../../docs/permissions.md", import.meta.url), "utf8");
  const table = [...document.matchAll(/^\| `pgq ([^`]+)`\s+\|(.*)\|$/gm)].map((
    [, line, cells],
  ) => ({
    line: line!,
    may: cells!.split("|").map((cell) => cell.trim() === "yes"),
  }));

  test("names every command that asks the database about jobs or changes tables", () => {
    const named = table.map(({ line }) => line.split(" ")[0]!);
    const others = ["upgrade", "uninstall", "grants", "sql", "run", "dev", "bench", "listen"];

    expect([...new Set([...named, ...others])].sort())
      .toEqual(COMMANDS.map(({ name }) => name).sort());
  });

  for (const { line, may } of table) {
    test(`says who may run pgq ${line}`, async () => {
      const found: boolean[] = [];
      for (const task of TASKS) {
        const { stdout, stderr } = await as(task, ...line.split(" "));
        // The doctor prints what it may not examine.
        found.push(!/permission denied|must be owner|has no right/.test(stdout + stderr));
      }

      expect(found).toEqual(may);
    });
  }
});
