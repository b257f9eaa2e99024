import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import postgres, { type Sql } from "postgres";
import {
  fromPostgresJs,
  openWorkerDriver,
  PgQueuer,
  Queries,
  resolveSettings,
  SchemaError,
} from "../mod.ts";
import { upgradeSteps } from "../src/sql/generated.ts";
import { objectNames, render, workerFunctionsOf } from "../src/sql/render.ts";
import { olderSchemas } from "./support/older_schemas.ts";
import { testDsn } from "./support/queue.ts";

/** Roles and schemas are made here and dropped at the end. */
const run = randomBytes(4).toString("hex");
let sql: Sql;
const made: string[] = [];
beforeAll(() => {
  sql = postgres(testDsn(), { max: 4, onnotice: () => {} });
});
afterAll(async () => {
  for (const schema of made) await sql`drop schema if exists ${sql(schema)} cascade`;
  for (const role of [`reader_${run}`, `owner_${run}`]) {
    const known = await sql`select 1 from pg_roles where rolname = ${role}`;
    if (known.length === 0) continue;
    await sql`drop owned by ${sql(role)} cascade`;
    await sql`drop role ${sql(role)}`;
  }
  await sql.end();
});

/** A schema of its own, made by `install` or by a script of the test. */
function schema(): { name: string; queries: Queries } {
  const name = `schema_${randomBytes(4).toString("hex")}`;
  made.push(name);
  return { name, queries: new Queries(fromPostgresJs(sql), { schema: name }) };
}

/** What the catalog says of a schema's tables, without the schema's own name and the order of columns. */
async function catalog(name: string): Promise<unknown> {
  const columns = await sql`
    select table_name, column_name, data_type, is_nullable, column_default, is_identity
    from information_schema.columns where table_schema = ${name}
      and column_name <> 'time_in_queue' order by table_name, column_name`;
  const indexes =
    await sql`select indexname, indexdef from pg_indexes where schemaname = ${name} order by indexname`;
  const triggers = await sql`
    select pg_get_triggerdef(pg_trigger.oid) as text from pg_trigger join pg_class on pg_class.oid = tgrelid
    where relnamespace = ${name}::regnamespace and not tgisinternal`;
  const labels = await sql`
    select enumlabel from pg_enum join pg_type on pg_type.oid = enumtypid
    where typnamespace = ${name}::regnamespace and typname = 'pgqueuer_status' order by enumlabel`;
  const constraints = await sql`
    select conrelid::regclass::text as table, conname, pg_get_constraintdef(oid) as text from pg_constraint
    where connamespace = ${name}::regnamespace and contype <> 'n' order by 1, 2`;
  // The function of the trigger may be that of the Python project.
  const functions = await sql`
    select proname, pg_get_function_identity_arguments(oid) as arguments, prosrc from pg_proc
    where pronamespace = ${name}::regnamespace and proname <> 'fn_pgqueuer_changed' order by 1, 2`;
  const parameters = await sql`
    select relname, option from pg_class cross join lateral unnest(reloptions) as option
    where relnamespace = ${name}::regnamespace order by 1, 2`;
  const sequences = await sql`
    select sequencename, data_type::text from pg_sequences where schemaname = ${name} order by sequencename`;
  const parts = {
    columns,
    indexes,
    triggers,
    labels,
    constraints,
    functions,
    parameters,
    sequences,
  };
  const text = JSON.stringify(parts, null, 1);
  return JSON.parse(text.replaceAll(`${name}.`, ""));
}

test("install creates everything once, then changes nothing and says so", async () => {
  const { queries } = schema();

  const first = await queries.install();
  const second = await queries.install();

  expect(first).toEqual({ outcome: "installed", added: [], changed: [] });
  expect(second).toEqual({ outcome: "unchanged", added: [], changed: [] });
  expect(await queries.verify("present")).toEqual([]);
});

test("uninstall removes what install created and leaves the schema", async () => {
  const { name, queries } = schema();
  await queries.install();
  await sql`create table ${sql(name)}.mine (id int)`;

  const removed = await queries.uninstall();
  const again = await queries.uninstall();

  expect(removed).toHaveLength(5);
  expect(again).toEqual([]);
  expect(await queries.verify("absent")).toEqual([]);
  const left = await sql`
    select relname from pg_class where relnamespace = ${name}::regnamespace and relkind <> 'i'`;
  expect(left.map((row) => row["relname"])).toEqual(["mine"]);
  const types =
    await sql`select 1 from pg_type where typnamespace = ${name}::regnamespace and typtype = 'e'`;
  expect(types).toHaveLength(0);
});

test("uninstall removes functions of other releases, and none of a queue elsewhere in the search path", async () => {
  const [ours, theirs] = [schema(), schema()];
  for (const { name, queries } of [ours, theirs]) {
    await queries.install();
    await sql.unsafe(`
      create function ${name}.fn_pgqueuer_acknowledge_0(${name}.pgqueuer_status) returns void
        language plpgsql as 'begin end'`);
  }
  const client = postgres(testDsn(), {
    max: 1,
    onnotice: () => {},
    connection: { search_path: `${ours.name}, ${theirs.name}` },
  });

  await new Queries(fromPostgresJs(client), { schema: "" }).uninstall();
  await client.end();

  const left = await sql<{ schema: string; count: number }[]>`
    select nspname as schema, count(*)::int from pg_proc
    join pg_namespace as space on space.oid = pronamespace
    where nspname in (${ours.name}, ${theirs.name}) and proname ~ 'fn_pgqueuer_.*_[0-9]+$' group by 1`;
  const all = workerFunctionsOf(resolveSettings({})).length + 1;
  expect(Array.from(left)).toEqual([{ schema: theirs.name, count: all }]);
});

test.each(olderSchemas)(
  "install upgrades %s in place to the catalog of a fresh install",
  async (_, script) => {
    const fresh = schema();
    await fresh.queries.install();
    const older = schema();
    await sql.unsafe(
      `create schema ${older.name}; set search_path = ${older.name}; ${script}; reset search_path`,
    );

    const early = new PgQueuer(await openWorkerDriver(testDsn()), { schema: older.name });
    early.entrypoint("old", () => {});
    await expect(early.run({ mode: "drain" })).rejects.toThrow(
      `run "pgq upgrade --schema ${older.name}"`,
    );
    const first = await older.queries.install();
    const second = await older.queries.install();

    expect(first.outcome).toBe("upgraded");
    expect(first.added.length).toBeGreaterThan(0);
    expect(await older.queries.verify("present")).toEqual([]);
    expect(second).toEqual({ outcome: "unchanged", added: [], changed: [] });
    expect(await catalog(older.name)).toEqual(await catalog(fresh.name));
    // The job that was there runs, and the id after it fits eight bytes.
    await sql`select setval(${`${older.name}.pgqueuer_id_seq`}, 3000000000)`;
    expect(await older.queries.enqueue("old", null)).toBe(3_000_000_001);
    const pgq = new PgQueuer(await openWorkerDriver(testDsn()), { schema: older.name });
    const payloads: unknown[] = [];
    pgq.entrypoint("old", (job) => void payloads.push(job.payload));
    await pgq.run({ mode: "drain" });
    expect(payloads).toEqual([new Uint8Array([1]), null]);
  },
);

test("every step may run again where it is not needed, and changes nothing", async () => {
  const { name, queries } = schema();
  await queries.install();
  const before = await catalog(name);
  const names = objectNames(resolveSettings({ schema: name }, {}));

  for (const text of Object.values(upgradeSteps)) await sql.unsafe(render(text, names));

  expect(await catalog(name)).toEqual(before);
});

test("an upgrade adds a dropped index or trigger again", async () => {
  const { name, queries } = schema();
  await queries.install();
  await sql`drop index ${sql(name)}.pgqueuer_ready_idx`;
  await sql`drop trigger tg_pgqueuer_changed on ${sql(name)}.pgqueuer`;
  expect(await queries.verify("present")).toEqual([
    "index pgqueuer_ready_idx",
    "trigger tg_pgqueuer_changed",
  ]);

  const upgraded = await queries.install();

  expect(upgraded.added).toEqual(["index pgqueuer_ready_idx", "trigger tg_pgqueuer_changed"]);
  expect(await queries.verify("present")).toEqual([]);
});

test("an upgrade gives a function back what somebody took from it", async () => {
  const { name, queries } = schema();
  await queries.install();
  const [one, other] = ["take_over", "wake"].map((what) =>
    workerFunctionsOf({ prefix: "" }).find((each) => each.includes(`_${what}_`))!
  ) as [string, string];
  await sql.unsafe(`
    alter function ${name}.${one} reset all;
    create or replace function ${name}.${other}() returns void as 'begin end' language plpgsql`);
  const parts = [`function ${one} as defined`, `function ${other} as defined`];
  expect(await queries.verify("present")).toEqual(parts);

  const upgraded = await queries.install();

  expect(upgraded.changed).toEqual(parts);
  expect(await queries.verify("present")).toEqual([]);
});

test("a function that is missing says what to run, if it is one of ours", async () => {
  const { name, queries } = schema();
  await queries.install();
  const cancel = workerFunctionsOf({ prefix: "" }).find((each) => each.includes("_cancel_"))!;
  await sql.unsafe(`
    drop function ${name}.${cancel};
    create function ${name}.mine() returns trigger as 'begin perform nowhere(); return new; end' language plpgsql;
    create trigger mine before insert on ${name}.pgqueuer for each row execute procedure ${name}.mine()`);

  await expect(queries.cancel([1])).rejects.toThrow(/fn_pgqueuer_cancel_.*run "pgq install"/);
  await expect(queries.enqueue("work", null)).rejects.toThrow(
    /^function nowhere\(\) does not exist$/,
  );
});

test("two installers at once both succeed", async () => {
  const { queries } = schema();

  const results = await Promise.all([queries.install(), queries.install(), queries.install()]);

  expect(results.every(({ outcome }) => ["installed", "upgraded", "unchanged"].includes(outcome)))
    .toBe(true);
  expect(await queries.verify("present")).toEqual([]);
});

test.each([
  [
    "a table",
    "create table pgqueuer (id int, note text)",
    /table "pgqueuer" is not ours.*priority/,
  ],
  ["a view", "create view pgqueuer as select 1 as id", /"pgqueuer" is not ours.*not a table/],
  [
    "a log table",
    "create table pgqueuer_log (id int, line text)",
    /table "pgqueuer_log" is not ours/,
  ],
  ["a type", "create type pgqueuer_status as (a int)", /type "pgqueuer_status" is not ours/],
  [
    "an enum",
    "create type pgqueuer_status as enum ('open', 'closed')",
    /type "pgqueuer_status" is not ours/,
  ],
])(
  "install over %s of the same name is refused with nothing changed",
  async (_, script, message) => {
    const { name, queries } = schema();
    await sql.unsafe(
      `create schema ${name}; set search_path = ${name}; ${script}; reset search_path`,
    );
    const before = await catalog(name);

    await expect(queries.install()).rejects.toThrow(message);
    await expect(queries.install()).rejects.toThrow(/--prefix or --schema/);
    await expect(queries.uninstall()).rejects.toThrow(SchemaError);

    expect(await catalog(name)).toEqual(before);
  },
);

test("a prefix makes room for two queues in one schema", async () => {
  const { name, queries } = schema();
  const other = new Queries(fromPostgresJs(sql), { schema: name, prefix: "other_" });

  await queries.install();
  await other.install();
  await queries.uninstall();

  expect(await other.verify("present")).toEqual([]);
  expect(await other.enqueue("work", null)).toBe(1);
});

test.each(
  [
    ["durable", ["p", "p", "p", "p", "p"]],
    ["balanced", ["p", "p", "u", "p", "u"]],
    ["volatile", ["u", "u", "u", "u", "u"]],
  ] as const,
)("durability %s decides which tables survive a crash", async (durability, persistence) => {
  const { name } = schema();

  await new Queries(fromPostgresJs(sql), { schema: name, durability }).install();

  const tables = await sql`
    select relpersistence::text as kind from pg_class
    where relnamespace = ${name}::regnamespace and relkind = 'r' order by relname`;
  expect(tables.map((table) => table["kind"])).toEqual([...persistence]);
});

test("a role without rights gets an error that names the missing grant", async () => {
  const { name, queries } = schema();
  await queries.install();
  const role = `reader_${run}`;
  await sql.unsafe(`create role ${role} login password 'secret-${run}'`);
  const url = new URL(testDsn());
  url.username = role;
  url.password = `secret-${run}`;
  const client = postgres(url.href, { max: 1, onnotice: () => {} });
  const theirs = new Queries(fromPostgresJs(client), { schema: name });
  const start = async (cleanOld?: boolean): Promise<void> => {
    const pgq = new PgQueuer(await openWorkerDriver(url.href), { schema: name });
    pgq.entrypoint("work", () => {});
    if (cleanOld !== undefined) pgq.schedule("nightly", "0 3 * * *", { cleanOld }, () => {});
    await pgq.run({ mode: "drain" });
  };

  await expect(start()).rejects.toThrow(`GRANT USAGE ON SCHEMA ${name} TO ${role}`);
  await expect(theirs.enqueue("work", null)).rejects.toThrow(`GRANT USAGE ON SCHEMA ${name}`);
  await sql.unsafe(`grant usage on schema ${name} to ${role}`);
  await expect(theirs.enqueue("work", null)).rejects.toThrow(/GRANT .* TO <role>/);
  await expect(start()).rejects.toThrow(`GRANT SELECT ON ${name}.pgqueuer TO ${role}`);
  await sql.unsafe(
    `grant select, insert, update, delete on all tables in schema ${name} to ${role}`,
  );
  await expect(theirs.enqueue("work", null)).rejects.toThrow("GRANT USAGE ON SEQUENCE");
  await sql.unsafe(`grant usage on all sequences in schema ${name} to ${role}`);
  expect(await theirs.enqueue("work", null)).toBeGreaterThan(0);
  // Everybody may call functions, where nobody has changed that.
  await sql.unsafe(`revoke execute on all functions in schema ${name} from public`);
  const refused = await start().then(() => "", String);
  const [fix] = /GRANT EXECUTE ON FUNCTION [^"]+/.exec(refused) ?? [];
  expect(fix).toContain(`${name}.fn_pgqueuer_dequeue_`);
  await sql.unsafe(fix!);
  // Of the table of schedules a worker needs what it does there.
  const schedules = `${name}.pgqueuer_schedules`;
  await sql.unsafe(`revoke all on ${schedules} from ${role}`);
  await start();
  await expect(start(false)).rejects.toThrow(`GRANT UPDATE ON ${schedules} TO ${role}`);
  await sql.unsafe(`grant select, insert, update on ${schedules} to ${role}`);
  await expect(start(true)).rejects.toThrow(`GRANT DELETE ON ${schedules} TO ${role}`);
  await start(false);

  // Installing: into a schema where they may not create, a schema that they may not make, tables that are not theirs.
  await sql`drop index ${sql(name)}.pgqueuer_ready_idx`;
  await expect(theirs.install()).rejects.toThrow(
    `GRANT USAGE, CREATE ON SCHEMA ${name} TO ${role}`,
  );
  await sql.unsafe(`grant create on schema ${name} to ${role}`);
  await expect(theirs.install()).rejects.toThrow(/table "pgqueuer.*" belongs to role/);
  await expect(theirs.uninstall()).rejects.toThrow(/belongs to role/);
  const elsewhere = new Queries(fromPostgresJs(client), { schema: `none_${run}` });
  await expect(elsewhere.install()).rejects.toThrow(/GRANT CREATE ON DATABASE/);
  await expect(elsewhere.install({ createSchema: false })).rejects.toThrow(
    `CREATE SCHEMA none_${run}`,
  );
  await client.end();
});

test("a worker and a producer without tables say what to run", async () => {
  const { name, queries } = schema();
  const start = async (): Promise<void> => {
    const pgq = new PgQueuer(await openWorkerDriver(testDsn()), { schema: name });
    pgq.entrypoint("work", () => {});
    await pgq.run({ mode: "drain" });
  };

  await expect(start()).rejects.toThrow(
    /table "pgqueuer" is missing in schema .*: run "pgq install"/,
  );
  await expect(queries.enqueue("work", null)).rejects.toThrow(/run "pgq install/);
  await queries.install();
  await sql`alter table ${sql(name)}.pgqueuer drop column slot`;
  await expect(start()).rejects.toThrow(
    `column pgqueuer.slot): run "pgq upgrade --schema ${name}"`,
  );
});
