import { afterAll, expect, test } from "vitest";
import { callPgq, runPgq, TestQueue } from "./fixtures/pgq.ts";

const queue = new TestQueue();

afterAll(() => queue.drop());

test("install, verify, queue and uninstall say what they did, as processes", async () => {
  const { flags, env, prefix, schema, table } = queue;

  const absent = await runPgq(["verify", "--expect", "present"], { env });
  const installed = await runPgq([...flags, "install"]);
  const again = await runPgq(["install"], { env });
  const queued = await runPgq(["queue", "echo", "grüße", ...flags]);
  const [job] = await queue.sql`SELECT * FROM ${queue.sql(`${schema}.${prefix}pgqueuer`)}`;
  const removed = await runPgq(["uninstall", ...flags]);
  const tables = ["", "_log", "_statistics", "_schedules", "_limits"].map((end) => table + end);

  expect(absent.code).toBe(1);
  expect(absent.stdout).toContain(`missing: table ${prefix}pgqueuer\n`);
  expect(absent.stderr).toContain('run "pgq install"');
  expect(installed).toEqual({
    code: 0,
    stdout: `Installed 5 tables: ${tables.join(", ")}\n`,
    stderr: "",
  });
  expect(again).toEqual({ code: 0, stdout: "Nothing had to change\n", stderr: "" });
  expect(queued).toEqual({ code: 0, stdout: `${job!.id}\n`, stderr: "" });
  expect(new TextDecoder().decode(job!.payload)).toBe("grüße");
  expect(removed).toEqual({
    code: 0,
    stdout: `Removed 5 tables: ${tables.join(", ")}\n`,
    stderr: "",
  });
}, 60_000);

test("install and uninstall name the same tables in JSON, all that the database has then", async () => {
  const { env, sql, schema } = queue;

  const installed = await callPgq(["install", "--json"], { env });
  const there = await sql<{ name: string }[]>`
    select schemaname || '.' || tablename as name from pg_tables where schemaname = ${schema}`;
  const removed = await callPgq(["uninstall", "--json"], { env });
  const nothing = await callPgq(["uninstall", "--json"], { env });
  const nothingMore = await callPgq(["uninstall"], { env });

  const { tables, removed: parts } = JSON.parse(removed.stdout);
  expect(JSON.parse(installed.stdout).tables).toEqual(tables);
  expect([...tables].sort()).toEqual(there.map(({ name }) => name).sort());
  expect(parts).toContainEqual(expect.stringMatching(/^trigger /));
  expect(JSON.parse(nothing.stdout)).toEqual({ removed: [], tables: [] });
  expect(nothingMore).toEqual({ code: 0, stdout: "Nothing to remove\n", stderr: "" });
});

test("install adds what is missing and says what", async () => {
  const { env, table, prefix } = queue;
  await callPgq(["install", "--durability", "volatile"], { env });
  const [persistence] = await queue.sql`
    SELECT relpersistence FROM pg_class WHERE relname = ${`${prefix}pgqueuer`}`;
  await queue.sql.unsafe(`DROP INDEX ${table}_ready_idx`);

  const broken = await callPgq(["verify"], { env });
  const upgraded = await callPgq(["install", "-d", "durable"], { env });
  const whole = await callPgq(["verify"], { env });
  const present = await callPgq(["verify", "--expect", "absent"], { env });

  expect(persistence!.relpersistence).toBe("u");
  expect(broken).toMatchObject({ code: 1, stdout: `missing: index ${prefix}pgqueuer_ready_idx\n` });
  expect(upgraded.stdout).toBe(`Upgraded, added index ${prefix}pgqueuer_ready_idx\n`);
  expect(upgraded.stderr).toContain("those that exist keep theirs");
  expect(whole).toEqual({ code: 0, stdout: "", stderr: "Verified: everything is present\n" });
  expect(present.code).toBe(1);
  expect(present.stdout).toContain(`present: table ${prefix}pgqueuer_log\n`);
});

test("queue obeys its flags", async () => {
  const { env, table } = queue;
  await callPgq(["install"], { env });
  const flags = ["--dedupe-key", "k1", "--priority", "-3", "--delay", "0.5"];

  const first = await callPgq(["queue", "echo", ...flags, "--headers", '{"a":[1]}'], { env });
  const raised = await callPgq(["queue", "echo", ...flags], { env });
  const skipped = await callPgq(["queue", "echo", ...flags, "--on-conflict", "skip"], { env });
  const dashed = await callPgq(["queue", "echo", "--", "-5"], { env });
  const [job] = await queue.sql.unsafe(`
    SELECT payload, priority, headers, extract(epoch FROM execute_after - created)::float8 AS delay
    FROM ${table} WHERE dedupe_key = 'k1'`);

  expect(first.code).toBe(0);
  expect(job).toEqual({ payload: null, priority: -3, headers: { a: [1] }, delay: 0.5 });
  expect(raised).toEqual({
    code: 1,
    stdout: "",
    stderr: 'Cannot enqueue as a dedupe key is in use: offered "k1"\n',
  });
  expect(skipped).toMatchObject({ code: 0, stdout: "" });
  expect(skipped.stderr).toContain('"k1" is in use');
  expect(dashed.code).toBe(0);
});

test("uninstall with nothing to remove is done", async () => {
  const { env } = queue;
  await callPgq(["install"], { env });

  await callPgq(["uninstall"], { env });
  const nothing = await callPgq(["uninstall"], { env });
  const missing = await callPgq(["queue", "echo"], { env });

  expect(nothing).toEqual({ code: 0, stdout: "Nothing to remove\n", stderr: "" });
  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/^Cannot enqueue as .* does not exist: run "pgq install"\n$/);
});

test("install --no-create-schema refuses a schema that is not there", async () => {
  const schema = ["--schema", `${queue.schema}x`];

  const refused = await callPgq(["install", "--no-create-schema", ...schema], { env: queue.env });

  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`run "CREATE SCHEMA ${queue.schema}x"`);
});
