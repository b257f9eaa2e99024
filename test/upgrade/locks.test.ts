/** What an upgrade does to others, and they to it. Each rival is a real session with its lock. */
import { randomBytes } from "node:crypto";
import postgres, { type ReservedSql, type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fromPostgresJs, openWorkerDriver, PgQueuer, Queries, resolveSettings } from "../../mod.ts";
import { SchemaStore } from "../../src/queries/schema.ts";
import { upgradeLockKey } from "../../src/queries/upgrade.ts";
import { olderSchemas } from "../support/older_schemas.ts";
import { openTestQueue, until } from "../support/queue.ts";
import { PgqProcess } from "../cli/fixtures/pgq.ts";
import { makeLarge, openUpgradeDatabase, type UpgradeDatabase } from "./under_load.ts";

let database: UpgradeDatabase;
let sql: Sql;
let dsn: string;
beforeAll(async () => {
  database = await openUpgradeDatabase();
  ({ sql, dsn } = database);
});
afterAll(() => database.close());

interface Old {
  readonly name: string;
  readonly queries: Queries;
  readonly store: SchemaStore;
  /** Of the lock that one upgrade has. */
  readonly key: number;
}

/** That of Python's release 1.3. */
const [, PYTHON_1_3] = olderSchemas.find(([release]) => release === "Python 1.3")!;

/** A schema that an older release has made. */
async function anOldSchema(script: string = PYTHON_1_3): Promise<Old> {
  const name = `upgrade_${randomBytes(4).toString("hex")}`;
  await sql.unsafe(
    `create schema ${name}; set search_path = ${name}; ${script}; reset search_path`,
  );
  const driver = fromPostgresJs(sql);
  const settings = resolveSettings({ schema: name }, {});
  return {
    name,
    queries: new Queries(driver, { schema: name }),
    store: new SchemaStore(driver, settings),
    key: upgradeLockKey(settings),
  };
}

/** A session with a transaction that has read the queue, and so holds the weakest lock on it. */
async function aReader(name: string): Promise<ReservedSql> {
  const rival = await sql.reserve();
  await rival.unsafe(`begin; select from ${name}.pgqueuer limit 1`);
  return rival;
}

async function end(rival: ReservedSql, how: "rollback" | "commit" = "rollback"): Promise<void> {
  await rival.unsafe(how);
  rival.release();
}

/** Statements that wait for a lock on the queue, but for ours. */
async function waiting(name: string, like: string): Promise<number> {
  const [row] = await sql`
    select count(*)::int as waiting from pg_locks join pg_stat_activity using (pid)
    where not granted and relation = ${`${name}.pgqueuer`}::regclass and query ilike ${like}`;
  return row!["waiting"] as number;
}

test("the key of the lock is the one that the Python project takes", () => {
  // zlib.crc32(b"pgqueuer") and zlib.crc32(b"jobs.pgqueuer")
  expect(upgradeLockKey(resolveSettings({}, {}))).toBe(2389487409);
  expect(upgradeLockKey(resolveSettings({ schema: "jobs" }, {}))).toBe(3584373128);
});

test.each(olderSchemas)(
  "all columns that %s lacks in a table come in one step",
  async (_, script) => {
    const { store } = await anOldSchema(script);

    const plan = await store.plan({ widenId: true });

    // A Python worker on asyncpg prepares its claim again once: two changes of a row's type in a row would end it.
    const widening = plan.filter(({ sql }) => / ADD COLUMN /.test(sql));
    const tables = widening.map(({ on }) => on);
    expect(widening.length).toBeGreaterThan(0);
    expect(new Set(tables).size).toBe(tables.length);
    expect(plan.flatMap(({ mends }) => mends).filter((part) => /^column \S+$/.test(part)))
      .toEqual((await store.missing()).filter((part) => /^column \S+$/.test(part)));
  },
);

test("a step that meets a lock lets writes through again and again, and goes on when it may", async () => {
  const { name, queries } = await anOldSchema();
  const rival = await aReader(name);

  const upgrade = queries.install();
  await until("a step waits for the reader", () => waiting(name, "%alter table%"));
  // Both wait behind the step, which waits for the reader, which stays.
  for (let turn = 0; turn < 2; turn++) {
    await sql`insert into ${
      sql(name)
    }.pgqueuer (priority, status, entrypoint) values (0, 'queued', 'x')`;
    await until("the step tries again", () => waiting(name, "%alter table%"));
  }
  await end(rival);

  expect((await upgrade).outcome).toBe("upgraded");
  expect(await queries.verify("present")).toEqual([]);
});

test("indexes of a large table are built while others hold it, by a lock that no write waits for", async () => {
  const { name, queries, store } = await anOldSchema();
  await makeLarge(sql, `${name}.pgqueuer`);
  await queries.install();
  for (const index of ["ready_idx", "unique_dedupe_key"]) {
    await sql.unsafe(`drop index ${name}.pgqueuer_${index}`);
  }
  const plan = await store.plan({ widenId: true });
  const rival = await sql.reserve();
  await rival.unsafe(
    `begin; insert into ${name}.pgqueuer (priority, status, entrypoint) values (0, 'queued', 'x')`,
  );

  const upgrade = queries.install();
  const locks = await until("the build waits for the writer", async () => {
    const rows = await sql`
      select mode from pg_locks join pg_stat_activity using (pid)
      where relation = ${`${name}.pgqueuer`}::regclass and query like 'CREATE INDEX CONCURRENTLY%'`;
    return rows.length > 0 ? rows.map((row) => String(row["mode"])) : undefined;
  });
  await sql`insert into ${
    sql(name)
  }.pgqueuer (priority, status, entrypoint) values (0, 'queued', 'y')`;
  await end(rival, "commit");

  expect(plan.map(({ lock, blocks }) => [lock, blocks])).toEqual([
    ["SHARE UPDATE EXCLUSIVE", "nothing"],
    ["SHARE UPDATE EXCLUSIVE", "nothing"],
  ]);
  expect(new Set(locks)).toEqual(new Set(["ShareUpdateExclusiveLock"]));
  expect((await upgrade).added).toHaveLength(2);
  expect(await queries.verify("present")).toEqual([]);
});

test("what is left of a failed build is noticed and built again", async () => {
  const { name, queries } = await anOldSchema();
  await makeLarge(sql, `${name}.pgqueuer`);
  await queries.install();
  await sql.unsafe(`drop index ${name}.pgqueuer_unique_dedupe_key`);
  await sql`
    insert into ${sql(name)}.pgqueuer (priority, status, entrypoint, dedupe_key)
    values (0, 'queued', 'twin', 'k'), (0, 'queued', 'twin', 'k')`;

  const failed = queries.install();
  await expect(failed).rejects.toThrow(/could not create unique index|duplicate key/);
  const invalid = await queries.verify("present");
  await sql`delete from ${sql(name)}.pgqueuer where id = (select max(id) from ${
    sql(name)
  }.pgqueuer where dedupe_key = 'k')`;
  await queries.install();

  expect(invalid).toEqual(["index pgqueuer_unique_dedupe_key"]);
  expect(await queries.verify("present")).toEqual([]);
});

test("one upgrade at a time: it waits for the lock that an upgrade of the Python project holds", async () => {
  const { name, queries, key, store } = await anOldSchema();
  const rival = await sql.reserve();
  await rival`select pg_advisory_lock(${key})`;
  const before = await store.missing();

  const upgrades = [queries.install(), queries.install()];
  await until("both ask for the lock", async () => {
    const rows = await sql`
      select from pg_stat_activity where query like '%pg_try_advisory_lock%' and query not like '%pg_stat_activity%'`;
    return rows.length >= 2;
  });
  const meanwhile = await store.missing();
  await rival`select pg_advisory_unlock(${key})`;
  rival.release();
  const outcomes = (await Promise.all(upgrades)).map(({ outcome }) => outcome);

  expect(meanwhile).toEqual(before);
  expect(outcomes).toEqual(["upgraded", "upgraded"]);
  expect(await queries.verify("present")).toEqual([]);
  expect(await sql`select from pg_locks where locktype = 'advisory' and objid = ${key}`).toEqual(
    [],
  );
  expect(name).toMatch(/^upgrade_/);
});

test("while an index of a large table is built, an upgrade of the Python project need not wait for ours", async () => {
  const { name, queries, key } = await anOldSchema();
  await makeLarge(sql, `${name}.pgqueuer`);
  await queries.install();
  await sql.unsafe(`drop index ${name}.pgqueuer_ready_idx`);
  const writer = await sql.reserve();
  await writer.unsafe(
    `begin; insert into ${name}.pgqueuer (priority, status, entrypoint) values (0, 'queued', 'x')`,
  );

  const upgrade = queries.install();
  await until(
    "the build waits for the writer",
    async () =>
      (await sql`select from pg_stat_activity where query like 'CREATE INDEX CONCURRENTLY%' and state = 'active'`)
        .length > 0,
  );
  const rival = await sql.reserve();
  const others = rival`select pg_advisory_lock(${key})`.execute();
  // A statement that waited for us would be older than what the build waits for: a deadlock.
  await others;
  await end(writer, "commit");
  await rival`select pg_advisory_unlock(${key})`;
  rival.release();

  expect((await upgrade).added).toEqual(["index pgqueuer_ready_idx"]);
  expect(await queries.verify("present")).toEqual([]);
});

test(
  "an upgrade that is killed in the middle goes on from there when it is run again",
  async () => {
    const { name, queries, store } = await anOldSchema();
    const before = await store.plan({ widenId: true });
    // The first steps are on the queue, so this one holds up what comes after them.
    const rival = await sql.reserve();
    await rival.unsafe(`begin; select from ${name}.pgqueuer_statistics limit 1`);

    const pgq = new PgqProcess(["upgrade"], {
      env: { PGQUEUER_DSN: dsn, PGQUEUER_SCHEMA: name },
    });
    await until(
      "it has taken a step and is held up",
      async () =>
        (await sql`select from pg_locks where not granted and relation = ${`${name}.pgqueuer_statistics`}::regclass`)
          .length > 0,
    );
    pgq.signal("SIGKILL");
    await pgq.ended;
    await end(rival);
    await until(
      "its session has ended",
      async () =>
        (await sql`select from pg_locks where relation = ${`${name}.pgqueuer_statistics`}::regclass`)
          .length === 0,
    );
    const between = await store.plan({ widenId: true });
    await queries.install();

    expect(between.length).toBeGreaterThan(0);
    expect(between.length).toBeLessThan(before.length);
    expect(await queries.verify("present")).toEqual([]);
  },
  60_000,
);

test("a client with one connection can upgrade, and gets it back as it was", async () => {
  const { name } = await anOldSchema();
  const single = postgres(dsn, { max: 1, onnotice: () => {} });
  await single`set lock_timeout = '7s'`;

  const { outcome } = await new Queries(fromPostgresJs(single), { schema: name }).install();
  const [row] = await single`
    select current_setting('lock_timeout') as lock_timeout, current_setting('statement_timeout') as statement_timeout`;
  await single.end();

  expect(outcome).toBe("upgraded");
  expect(row).toEqual({ lock_timeout: "7s", statement_timeout: "0" });
});

test(
  "a worker runs through an upgrade that writes its table anew: no job is lost, and it does not end",
  async () => {
    const queue = await openTestQueue(dsn);
    const { prefix, schema } = queue.names;
    const settings = resolveSettings(queue.names, {});
    await queue.sql.unsafe(
      `create table ${schema}.runs (id bigint, worker int, started timestamptz default now())`,
    );
    // A worker of ours runs on what lacks these, so it is one of the release before.
    await queue.sql.unsafe(`
    alter table ${queue.table} alter column id type int4;
    alter sequence ${queue.table}_id_seq as int4;
    drop index ${queue.table}_keyed_idx, ${queue.table}_failed_idx, ${queue.logTable}_not_aggregated;
    alter table ${queue.table} reset (autovacuum_vacuum_scale_factor)`);
    await makeLarge(queue.sql, queue.table);
    const pgq = new PgQueuer(await openWorkerDriver(queue.dsn), queue.names);
    const seen = new Map<number, number>();
    pgq.entrypoint("work", (job) => void seen.set(job.id, (seen.get(job.id) ?? 0) + 1));
    pgq.entrypoint(
      "limited",
      { concurrencyLimit: 2 },
      (job) => void seen.set(job.id, (seen.get(job.id) ?? 0) + 1),
    );
    const stop = new AbortController();
    const run = pgq.run({ signal: stop.signal });
    const ids: number[] = [];
    let enqueuing = true;
    const load = (async () => {
      while (enqueuing) {
        ids.push(...(await queue.queries.enqueue(["work", "limited"], [null, null])) as number[]);
      }
    })();
    await until("the worker works", () => seen.size > 20);

    const { changed, added } = await new SchemaStore(fromPostgresJs(queue.sql), settings)
      .install({ createSchema: false });
    const at = seen.size;
    await until("it works on", () => seen.size > at + 20);
    enqueuing = false;
    await load;
    await until("every job has run", () => ids.every((id) => seen.has(id)));
    stop.abort();
    await run;

    expect(changed).toContain(`column ${prefix}pgqueuer.id as bigint`);
    expect(added).toContain(`index ${prefix}pgqueuer_keyed_idx`);
    expect([...seen.values()].every((times) => times === 1)).toBe(true);
    expect(await queue.queries.verify("present")).toEqual([]);
    await queue.close();
  },
  60_000,
);
