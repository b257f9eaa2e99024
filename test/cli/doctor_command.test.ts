import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { withDatabase } from "../../src/cli/connection.ts";
import type { Finding } from "../../src/cli/finding.ts";
import { Doctor } from "../../src/queries/doctor.ts";
import { olderSchemas } from "../support/older_schemas.ts";
import { until } from "../support/queue.ts";
import { aTerminal, callPgq, TEST_DSN, TestQueue } from "./fixtures/pgq.ts";

/** A database of its own: to build an index concurrently is to wait for every transaction of the database. */
const database = `doctor_${randomBytes(4).toString("hex")}`;
const dsn = new URL(TEST_DSN);
dsn.pathname = database;
const queue = new TestQueue(dsn.href);
const { env, sql, prefix, schema, table } = queue;
const WORKER = "11111111-1111-4111-8111-111111111111";

beforeAll(async () => {
  await inTestDatabase(`CREATE DATABASE ${database}`);
  await callPgq(["install"], { env });
});
beforeEach(async () => {
  await sql.unsafe(`TRUNCATE ${table}; TRUNCATE ${table}_log; TRUNCATE ${table}_schedules`);
});
afterAll(async () => {
  await queue.drop();
  await inTestDatabase(`DROP DATABASE ${database}`);
});

async function inTestDatabase(statement: string): Promise<void> {
  const session = postgres(TEST_DSN, { max: 1, onnotice: () => {} });
  await session.unsafe(statement);
  await session.end();
}

/** What a check finds, apart from what is well. */
async function bad(check: string, place: Parameters<typeof callPgq>[1] = { env }) {
  const { stdout } = await callPgq(["doctor", "--json"], place);
  return (JSON.parse(stdout).findings as Finding[])
    .filter((finding) => finding.check === check && finding.level !== "ok");
}

/** Runs what the doctor prescribes. */
async function mend(found: readonly Finding[]): Promise<void> {
  for (const { fix } of found) {
    if (fix === "pgq upgrade") await callPgq(["upgrade"], { env });
    else for (const statement of fix!.split(/; */)) if (statement) await sql.unsafe(statement);
  }
}

describe("pgq doctor prescribes what mends", () => {
  const cases: [title: string, damage: string, parts: string[]][] = [
    ["an index", `DROP INDEX ${table}_ready_idx`, [`index ${prefix}pgqueuer_ready_idx`]],
    [
      "every index of the queue",
      `DO $$ DECLARE name text; BEGIN
         FOR name IN SELECT indexname FROM pg_indexes WHERE schemaname = '${schema}' AND tablename = '${prefix}pgqueuer'
           AND indexname NOT LIKE '%_pkey'
         LOOP EXECUTE format('DROP INDEX ${schema}.%I', name); END LOOP;
       END $$`,
      [`index ${prefix}pgqueuer_unique_dedupe_key`],
    ],
    [
      "a column and the index on it",
      `ALTER TABLE ${table} DROP COLUMN slot`,
      [`column ${prefix}pgqueuer.slot`, `index ${prefix}pgqueuer_picked_slot_idx`],
    ],
    [
      "a column that is too narrow",
      `ALTER TABLE ${table}_log ALTER COLUMN job_id TYPE int4`,
      [`column ${prefix}pgqueuer_log.job_id as bigint`],
    ],
    [
      "the trigger",
      `DROP TRIGGER ${prefix}tg_pgqueuer_changed ON ${table}`,
      [`trigger ${prefix}tg_pgqueuer_changed`],
    ],
    ["a table", `DROP TABLE ${table}_limits`, [`table ${prefix}pgqueuer_limits`]],
  ];
  test.each(cases)("%s", async (_, damage, parts) => {
    await sql.unsafe(damage);

    const found = await bad("schema");
    await mend(found);

    for (const part of parts) {
      expect(found.some(({ message }) => message.includes(part))).toBe(true);
    }
    expect(await bad("schema")).toEqual([]);
  });

  test("an index whose build has failed", async () => {
    await sql.unsafe(`DROP INDEX ${table}_unique_dedupe_key`);
    await sql.unsafe(`
      INSERT INTO ${table} (priority, status, entrypoint, dedupe_key)
      SELECT 0, 'queued', 'work', 'k' FROM generate_series(1, 2)`);
    const build = sql.unsafe(`
      CREATE UNIQUE INDEX CONCURRENTLY ${prefix}pgqueuer_unique_dedupe_key ON ${table} (dedupe_key)
      WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL`);
    await expect(build.then(() => {})).rejects.toThrow("could not create unique index");
    await sql.unsafe(`DELETE FROM ${table}`);

    const found = await bad("schema");
    await mend(found);

    expect(found).toMatchObject([
      { level: "error", message: expect.stringContaining("is invalid: its build has failed") },
    ]);
    expect(await bad("schema")).toEqual([]);
  });

  test("a trigger that is turned off", async () => {
    await sql.unsafe(`ALTER TABLE ${table} DISABLE TRIGGER ${prefix}tg_pgqueuer_changed`);

    const found = await bad("schema");
    await mend(found);

    expect(found).toHaveLength(1);
    expect(await bad("schema")).toEqual([]);
  });

  test("dead rows, and a table without autovacuum", async () => {
    // The server is told of them when the session ends, and up to ten seconds later while it goes on.
    const session = postgres(dsn.href, { max: 1, onnotice: () => {} });
    await session.unsafe(`
      ALTER TABLE ${table} SET (autovacuum_enabled = false);
      INSERT INTO ${table} (priority, status, entrypoint) SELECT 0, 'failed', 'work' FROM generate_series(1, 10500);
      DELETE FROM ${table}`);
    await session.end();
    const found = await until("they are counted", async () => {
      const now = await bad("tables");
      return now.length === 2 ? now : null;
    });
    await mend(found);

    expect(found.map(({ level }) => level)).toEqual(["error", "warning"]);
    expect(found[1]!.message).toMatch(/has 10,5\d\d dead rows beside 0 live ones/);
    await until("it is mended", async () => (await bad("tables")).length === 0);
  });
});

test("pgq doctor finds silent workers, deserted entrypoints, held jobs and late schedules", async () => {
  await sql.unsafe(`
    INSERT INTO ${table} (priority, status, entrypoint, created, execute_after, heartbeat, queue_manager_id) VALUES
      (0, 'picked', 'mail', now(), now(), now() - interval '40 s', '${WORKER}'),
      (0, 'queued', 'report', now() - interval '2 min', now() - interval '2 min', now(), NULL),
      (0, 'failed', 'mail', now(), now(), now(), NULL)`);
  await sql.unsafe(`
    INSERT INTO ${table}_schedules (expression, entrypoint, next_run) VALUES ('0 3 * * *', 'nightly', now() - interval '2 min')`);

  const { code, stdout } = await callPgq(["doctor"], { env });
  const patient = await bad("workers", { env });
  const { stdout: late } = await callPgq(["doctor", "--silent-after", "60", "--json"], { env });

  expect(code).toBe(1);
  const lines = stdout.split("\n");
  expect(lines[0]).toBe("LEVEL\tCHECK\tFINDING\tFIX");
  const of = (check: string) => lines.filter((line) => line.split("\t")[1] === check).join("\n");
  // A slow machine comes some seconds later.
  expect(of("workers")).toMatch(
    new RegExp(`error\tworkers\t${WORKER} holds 1 job of mail and is silent for 4\\ds`),
  );
  expect(of("entrypoints")).toMatch('error\tentrypoints\tnobody works on "report": 1 ready');
  expect(of("held jobs")).toBe(
    "note\theld jobs\t1 waits for somebody to look\tpgq failed",
  );
  expect(of("schedules")).toMatch(
    /warning\tschedules\t"nightly" \(0 3 \* \* \*\) is 2m( \ds)? late/,
  );
  expect(patient).toHaveLength(1);
  expect(JSON.parse(late).findings).toContainEqual(
    expect.objectContaining({ check: "workers", level: "ok" }),
  );
});

test("pgq doctor finds that the trigger sends to another channel", async () => {
  const found = await bad("notifications", { env: { ...env, PGQUEUER_CHANNEL: "elsewhere" } });

  expect(found).toMatchObject([{ level: "error" }]);
  expect(await bad("notifications")).toEqual([]);
});

test("pgq doctor finds a log that nobody counts", async () => {
  await sql.unsafe(`
    INSERT INTO ${table}_log (job_id, status, entrypoint, priority)
    SELECT n, 'queued', 'work', 0 FROM generate_series(1, 100001) n`);

  expect(await bad("log")).toMatchObject([{ level: "warning", fix: "pgq run" }]);
});

test("pgq doctor finds whoever holds a snapshot", async () => {
  const session = await sql.reserve();
  await session.unsafe("BEGIN ISOLATION LEVEL REPEATABLE READ");
  const [backend] = await session.unsafe("SELECT pg_backend_pid() AS pid, count(*) FROM pg_class");

  const seen = await until("it is among the oldest", () =>
    withDatabase(
      { args: [], flags: {} },
      { env, cwd: "", entry: "", print() {}, say() {} },
      async ({ driver, settings }) => {
        const { snapshots } = await new Doctor(driver, settings).examine(1_000);
        if (!("found" in snapshots)) throw snapshots.error;
        return snapshots.found.find(({ name }) => name === String(backend!.pid));
      },
    ));
  await session.unsafe("ROLLBACK");
  session.release();

  expect(seen).toMatchObject({ kind: "session", age: expect.any(Number) });
  expect(seen.about).toContain("idle in transaction");
});

test("pgq doctor says what an old schema lacks, and looks at the rest", async () => {
  const name = `${schema}_old`;
  const [, script] = olderSchemas[0]!;
  await sql.unsafe(
    `CREATE SCHEMA ${name}; SET search_path = ${name}; ${script}; RESET search_path`,
  );

  const { code, stdout, stderr } = await callPgq(["doctor", "--schema", name, "--prefix", ""], {
    env: { PGQUEUER_DSN: env.PGQUEUER_DSN },
  });
  await sql.unsafe(`DROP SCHEMA ${name} CASCADE`);

  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(stdout).toContain("error\tschema\tcolumn pgqueuer.dedupe_key is missing\tALTER TABLE");
  expect(stdout).toContain("ok\tserver\t");
});

test("pgq doctor as a role that may not read tells which right that needs, and looks at the rest", async () => {
  const role = `${prefix}blind`;
  await sql.unsafe(
    `CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'; GRANT USAGE ON SCHEMA ${schema} TO ${role}`,
  );
  const asRole = new URL(dsn.href);
  [asRole.username, asRole.password] = [role, "hunter2"];

  const { code, stdout, stderr } = await callPgq(["doctor"], {
    env: { ...env, PGQUEUER_DSN: asRole.href },
  });
  await sql.unsafe(`REVOKE ALL ON SCHEMA ${schema} FROM ${role}; DROP ROLE ${role}`);

  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(stdout).toContain("ok\tserver\t");
  // PostgreSQL 10 calls it a relation.
  expect(stdout.replaceAll("for relation", "for table")).toContain(
    `error\tworkers\tnot examined: Cannot read the queue as permission denied for table ${prefix}pgqueuer\t` +
      `GRANT SELECT ON ${schema}.${prefix}pgqueuer TO <role>;\n`,
  );
});

test("pgq doctor says that nothing is installed", async () => {
  const { code, stdout } = await callPgq(["doctor", "--prefix", "nosuch_"], { env });

  expect(code).toBe(1);
  expect(stdout).toBe(
    "LEVEL\tCHECK\tFINDING\tFIX\nerror\tschema\tnothing is installed\tpgq install\n",
  );
});

test("pgq doctor on a terminal gives each fix a line of its own, whole", async () => {
  await sql.unsafe(`DROP INDEX ${table}_ready_idx`);

  const { stdout } = await callPgq(["doctor"], {
    env,
    terminal: aTerminal({ columns: 40, colors: true }),
  });
  await callPgq(["upgrade"], { env });

  expect(stdout).toContain(
    `\x1b[33mwarning \x1b[39mschema        index ${prefix}pgqueuer_ready_idx is missing\n`,
  );
  expect(stdout).toContain(
    `\n${" ".repeat(22)}\x1b[1mCREATE INDEX CONCURRENTLY IF NOT EXISTS ${prefix}pgqueuer_ready_idx`,
  );
  expect(stdout).toContain("\x1b[32mok      \x1b[39mserver");
});
