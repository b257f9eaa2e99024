/** `pgqueuer_enqueue()` in the database: that it is `Queries.enqueue` for those who speak only SQL. */
import fc from "fast-check";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type EnqueueOptions,
  fromPostgresJs,
  type Headers,
  type OnConflict,
  Queries,
  task,
} from "../../mod.ts";
import { ENQUEUE_VERSION } from "../../src/sql/render.ts";
import { bytes, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

/** The one is filled by `Queries.enqueue`, the other by the function. */
let ours: TestQueue;
let theirs: TestQueue;
beforeAll(async () => {
  [ours, theirs] = await Promise.all([openTestQueue(), openTestQueue()]);
});
afterAll(() => Promise.all([ours?.close(), theirs?.close()]));
beforeEach(() => Promise.all([empty(ours), empty(theirs)]));

/** Ids begin at 1 again, so that those of two queues can be compared. */
async function empty({ sql, table, logTable }: TestQueue): Promise<void> {
  await sql.unsafe(`truncate ${table}, ${logTable} restart identity`);
}

interface Call {
  readonly entrypoint: string;
  readonly payload: Uint8Array | null;
  readonly priority: number | null;
  readonly delayMs: number | null;
  readonly due: Date | null;
  readonly dedupeKey: string | null;
  /** JSON text. */
  readonly headers: string | null;
  readonly onConflict: string | null;
}

const WHOLE: Call = {
  entrypoint: "mail",
  payload: null,
  priority: null,
  delayMs: null,
  due: null,
  dedupeKey: null,
  headers: null,
  onConflict: null,
};

/** A call by name, as the page on it recommends. */
async function callFunction(
  call: Partial<Call>,
  { sql, table }: Pick<TestQueue, "sql" | "table"> = theirs,
): Promise<number | null> {
  const all = { ...WHOLE, ...call };
  const [row] = await sql.unsafe(
    `select ${table}_enqueue(
      entrypoint => $1::text, payload => $2::bytea, priority => $3::int8,
      delay => $4::float8 * interval '1 millisecond', execute_after => to_timestamp($5::float8), dedupe_key => $6::text,
      headers => $7::text::jsonb, on_conflict => $8::text
    )::int as id`,
    [
      all.entrypoint,
      all.payload,
      all.priority,
      all.delayMs,
      all.due === null ? null : all.due.getTime() / 1_000,
      all.dedupeKey,
      all.headers,
      all.onConflict,
    ] as never[],
  );
  return row!["id"];
}

function callQueries({ entrypoint, payload, ...call }: Call): Promise<number | null> {
  const options: EnqueueOptions = {
    priority: call.priority ?? undefined,
    executeAfter: call.due ?? call.delayMs,
    dedupeKey: call.dedupeKey,
    headers: call.headers === null ? null : JSON.parse(call.headers) as Headers,
    onConflict: (call.onConflict ?? undefined) as OnConflict | undefined,
  };
  return ours.queries.enqueue(entrypoint, payload, options);
}

/** What a call gave, `"duplicate"` or `"refused"`. */
async function outcomeOf(run: Promise<number | null>): Promise<number | null | string> {
  try {
    return await run;
  } catch (error) {
    const { name, code } = error as { name: string; code?: string };
    if (name === "DuplicateJobError" || code === "23505") return "duplicate";
    // 22021 and 22P05: PostgreSQL has not even got a text or a JSON value of it.
    if (["22023", "22021", "22P05"].includes(code ?? "")) return "refused";
    if (error instanceof TypeError || error instanceof RangeError) return "refused";
    throw error;
  }
}

/** All that is stored, but for when: of times only the distances, and those that the caller has given. */
async function stored({ sql, table, logTable }: TestQueue): Promise<unknown> {
  const jobs = await sql.unsafe(`
    select id, priority, queue_manager_id, status::text, entrypoint, dedupe_key, encode(payload, 'hex') as payload, headers::text,
      attempts, slot, take_overs, cancel_requested, updated > created as updated, heartbeat - created as heartbeat,
      case when mod(extract(epoch from execute_after)::numeric, 86400) = 0 then execute_after::text
        else (execute_after - created)::text end as delay
    from ${table} order by id`);
  const log = await sql.unsafe(`
    select job_id, status::text, priority, entrypoint, traceback, aggregated from ${logTable} order by id`);
  return { jobs: Array.from(jobs), log: Array.from(log) };
}

const anyText = fc.oneof(
  fc.string({ minLength: 1, unit: "grapheme" }),
  fc.string({ minLength: 1, unit: "binary", maxLength: 5 }),
);
/** Mostly what is accepted: of a call that is wrong in one place the others do not count. */
const mostly = <T>(good: fc.Arbitrary<T>, bad: readonly T[]) =>
  fc.oneof({ weight: 20, arbitrary: good }, fc.constantFrom(...bad));
const anyCall: fc.Arbitrary<Call> = fc.record({
  entrypoint: mostly(fc.oneof(anyText, fc.constantFrom("é".repeat(1_000), "MiXed")), [
    "",
    "é".repeat(1_000) + "e",
  ]),
  payload: fc.option(fc.uint8Array()),
  priority: fc.option(mostly(
    fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1)),
    [-(2 ** 31) - 1, 2 ** 31, Number.MAX_SAFE_INTEGER],
  )),
  dedupeKey: fc.option(mostly(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom("a", "A") },
      anyText,
      fc.constant("k".repeat(2_000)),
    ),
    ["", "k".repeat(2_001)],
  )),
  headers: fc.option(mostly(
    fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue(), { maxKeys: 3 })
      .map((value) => JSON.stringify(value)),
    ["[]", "1", '"x"', "null", '{"a":"\\u0000"}'],
  )),
  onConflict: fc.option(mostly<string>(
    fc.constantFrom("skip", "raise", "update_priority"),
    ["", "SKIP", "ignore"],
  )),
  when: fc.option(mostly<{ delayMs: number | null; due: Date | null }>(
    fc.oneof(
      // Whole milliseconds: PostgreSQL keeps microseconds, and a float need not be one.
      fc.integer({ min: 0, max: 36_500 * 86_400_000 }).map((delayMs) => ({ delayMs, due: null })),
      // Midnights, by which `stored` knows them.
      fc.integer({ min: 0, max: 2_932_896 })
        .map((day) => ({ delayMs: null, due: new Date(day * 86_400_000) })),
    ),
    [
      { delayMs: -1, due: null },
      { delayMs: 36_500 * 86_400_000 + 1, due: null },
      { delayMs: null, due: new Date(-86_400_000) },
      { delayMs: null, due: new Date(2_932_897 * 86_400_000) },
    ],
  )),
}).map(({ when, ...call }) => ({ ...call, ...(when ?? { delayMs: null, due: null }) }));

test("it stores, gives and refuses what Queries.enqueue does, whatever it is called with", async () => {
  let refused = 0;
  let duplicates = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyCall, { minLength: 2, maxLength: 6 }), async (calls) => {
      await Promise.all([empty(ours), empty(theirs)]);
      for (const call of calls) {
        const [expected, actual] = await Promise.all([
          outcomeOf(callQueries(call)),
          outcomeOf(callFunction(call)),
        ]);

        expect(actual).toEqual(expected);
        if (actual === "refused") refused++;
        if (actual === "duplicate" || actual === null) duplicates++;
      }
      expect(await stored(theirs)).toEqual(await stored(ours));
    }),
    { numRuns: 60 },
  );
  // Else the inputs say little.
  expect(refused).toBeGreaterThan(5);
  expect(duplicates).toBeGreaterThan(5);
});

describe("it refuses with 22023 and says what was expected, what came and what to do:", () => {
  const call = (args: string) => theirs.sql.unsafe(`select ${theirs.table}_enqueue(${args})`);

  test.each([
    ["NULL", 'Cannot use "entrypoint" as it must be a string: current value is null'],
    ["''", 'Cannot use "entrypoint" as it must not be empty: give it a name'],
    [
      "repeat('é', 1001)",
      'Cannot use "entrypoint" as it must have at most 2000 bytes: it has 2002',
    ],
    [
      "'mail', priority => 2147483648",
      'Cannot use "priority" as it must be an integer from -2147483648 to 2147483647: current value is 2147483648',
    ],
    [
      "'mail', priority => -2147483649",
      'Cannot use "priority" as it must be an integer from -2147483648 to 2147483647: current value is -2147483649',
    ],
    [
      "'mail', delay => '-1 second'",
      'Cannot use "delay" as it must be from 0 to 100 years: current value is -00:00:01',
    ],
    [
      "'mail', delay => '150 years'",
      'Cannot use "delay" as it must be from 0 to 100 years: current value is 150 years',
    ],
    [
      "'mail', delay => '170000000 years'",
      'Cannot use "delay" as it must be from 0 to 100 years: current value is 170000000 years',
    ],
    [
      "'mail', execute_after => 'infinity'",
      'Cannot use "execute_after" as it must be a date from the year 1970 to 9999: current value is infinity',
    ],
    [
      "'mail', execute_after => '-infinity'",
      'Cannot use "execute_after" as it must be a date from the year 1970 to 9999: current value is -infinity',
    ],
    [
      "'mail', delay => '0', execute_after => '2030-01-01 00:00+00'",
      'Cannot enqueue as only one of "delay" and "execute_after" can count: current values are 00:00:00 and 2030-01-01',
    ],
    [
      "'mail', dedupe_key => ''",
      'Cannot use "dedupe_key" as it must not be empty: give it a name, or null for none',
    ],
    [
      "'mail', dedupe_key => repeat('k', 2001)",
      'Cannot use "dedupe_key" as it must have at most 2000 bytes: it has 2001',
    ],
    [
      "'mail', headers => '[1]'",
      'Cannot use "headers" as it must be a JSON object: current value is of type array, write jsonb_build_object(...)',
    ],
    [
      "'mail', on_conflict => 'Skip'",
      "Cannot use \"on_conflict\" as it must be one of 'skip', 'raise', 'update_priority': current value is 'Skip'",
    ],
    [
      "'mail', convert_to(repeat('x', 104857601), 'UTF8')",
      'Cannot enqueue as "payload" must have at most 104857600 bytes: it has 104857601, store it elsewhere and enqueue its address',
    ],
  ])("%s", async (args, message) => {
    const refused = call(args).then(() => {});

    await expect(refused).rejects.toMatchObject({ code: "22023" });
    await expect(refused).rejects.toThrow(message);
    expect(await theirs.rows()).toEqual([]);
  });

  test("an infinite interval, where PostgreSQL has one", async () => {
    const [server] = await theirs.sql`select current_setting('server_version_num')::int as version`;
    const refused = call("'mail', delay => 'infinity'").then(() => {});

    await expect(refused).rejects.toMatchObject({
      code: server!["version"] >= 170_000 ? "22023" : "22007",
    });
  });

  test("NaN is no interval to begin with", async () => {
    const refused = call("'mail', delay => 'NaN'::float8 * interval '1 s'").then(() => {});

    await expect(refused).rejects.toMatchObject({ code: "22008" });
  });
});

test("every NULL counts as left out, and only the entrypoint must be given", async () => {
  const { sql, table } = theirs;

  await callFunction(WHOLE);
  await sql.unsafe(`select ${table.toUpperCase()}_ENQUEUE('mail')`);
  await sql.unsafe(`select ${table}_enqueue('mail', NULL)`);
  await callFunction({ headers: "null" });

  const { jobs } = await stored(theirs) as { jobs: Record<string, unknown>[] };
  const plain = jobs.map(({ id: _, ...job }) => job);
  expect(plain).toEqual(Array(4).fill(plain[0]));
  expect(plain[0]).toMatchObject({
    entrypoint: "mail",
    payload: null,
    priority: 0,
    delay: "00:00:00",
    dedupe_key: null,
    headers: null,
  });
});

test("a payload is bytes, or text or JSON that is written as UTF-8", async () => {
  const { sql, table } = theirs;
  const payloads = [
    `'\\x00ff'::bytea`,
    "'Grüße 👋'",
    "'a\\nb'",
    "'varchar'::varchar(20)",
    "jsonb_build_object('id', 7, 'tags', array['ü'])",
    "'null'::jsonb",
    "NULL::jsonb",
  ];

  for (const payload of payloads) await sql.unsafe(`select ${table}_enqueue('mail', ${payload})`);

  const rows = await sql<{ payload: Uint8Array | null }[]>`
    select payload from ${sql(table)} order by id`;
  expect(Array.from(rows.slice(0, 1), ({ payload }) => [...payload!])).toEqual([[0, 255]]);
  expect(Array.from(rows.slice(1), ({ payload }) => payload && text(payload))).toEqual([
    "Grüße 👋",
    "a\\nb",
    "varchar",
    '{"id": 7, "tags": ["ü"]}',
    "null",
    null,
  ]);
});

test("a worker runs its jobs, and a typed task reads its JSON", async () => {
  const { sql, table } = theirs;
  const resize = task<{ id: number; title: string }>({ name: "resize" });
  await sql.unsafe(`select ${table}_enqueue('resize', jsonb_build_object('id', 7, 'title', 'ü'))`);
  const pgq = await theirs.worker();
  const seen: unknown[] = [];
  pgq.register(resize, (value) => void seen.push(value));

  await pgq.run({ mode: "drain" });

  expect(seen).toEqual([{ id: 7, title: "ü" }]);
  expect(await theirs.history(1)).toEqual(["queued", "picked", "successful"]);
});

describe("from a trigger", () => {
  let article: string;
  beforeAll(async () => {
    const { sql, names, table } = theirs;
    article = `${names.schema}.article`;
    await sql.unsafe(`
      create table ${article} (id int primary key, title text not null);
      create function ${names.schema}.index_article() returns trigger as $$
      begin
        perform ${table}_enqueue('index', to_jsonb(new), dedupe_key => 'article ' || new.id);
        return null;
      end;
      $$ language plpgsql;
      create trigger index_article after insert or update on ${article}
        for each row execute procedure ${names.schema}.index_article();`);
  });
  const payloads = async () => {
    const { sql, table } = theirs;
    const rows = await sql<{ payload: Uint8Array }[]>`
      select payload from ${sql(table)} order by id`;
    return Array.from(rows, ({ payload }) => JSON.parse(text(payload)).id);
  };

  test("the job commits with the row, and a rollback takes both", async () => {
    const { sql } = theirs;
    const aborted = sql.begin(async (tx) => {
      await tx`insert into ${tx(article)} values (1, 'a')`;
      throw new Error("no");
    });
    await expect(aborted).rejects.toThrow("no");
    const seen = await sql.begin(async (tx) => {
      await tx`insert into ${tx(article)} values (2, 'b')`;
      const before = await payloads();
      await expect(
        tx.savepoint(async (inner) => {
          await inner`insert into ${inner(article)} values (3, 'c')`;
          throw new Error("only this");
        }),
      ).rejects.toThrow("only this");
      await tx.savepoint((inner) => inner`insert into ${inner(article)} values (4, 'd')`);
      return before;
    });

    expect(seen).toEqual([]);
    expect(await payloads()).toEqual([2, 4]);
    expect((await theirs.log()).map(({ status }) => status)).toEqual(["queued", "queued"]);
  });

  test("many rows of a statement are as many jobs, one notification and no duplicate", async () => {
    const { sql, names } = theirs;
    const heard: string[] = [];
    const listening = await sql.listen(
      `${names.prefix}ch_pgqueuer`,
      (payload) => heard.push(payload),
    );

    await sql.unsafe(
      `insert into ${article} select n, 'many' from generate_series(1000, 2999) as n`,
    );
    await sql.unsafe(`update ${article} set title = 'again' where id >= 1000`);
    await sql.notify(`${names.prefix}ch_pgqueuer`, "end");
    await until("the end is heard", () => heard.includes("end"));
    await listening.unlisten();

    // The second statement, in a transaction of its own, has left out every job, and notifies all the same.
    expect(heard.length).toBe(3);
    expect(new Set(await payloads()).size).toBe(2_000);
    expect(await theirs.log()).toHaveLength(2_000);
  });
});

describe("two transactions with one dedupe key", () => {
  test.each(
    [
      ["skip", "commit", null],
      ["raise", "commit", "duplicate"],
      ["update_priority", "commit", 1],
      ["skip", "rollback", 2],
      ["raise", "rollback", 2],
      ["update_priority", "rollback", 2],
    ] as const,
  )("%s waits for the other one's %s", async (onConflict, end, expected) => {
    const { sql } = theirs;
    const first = await sql.reserve();
    const second = postgres(theirs.dsn, { max: 1, onnotice: () => {} });
    try {
      const [backend] = await second`select pg_backend_pid() as pid`;
      await first`begin`;
      await callFunction({ dedupeKey: "k", priority: 1 }, { ...theirs, sql: first });

      const call = { dedupeKey: "k", priority: 5, onConflict };
      const waiting = outcomeOf(callFunction(call, { ...theirs, sql: second }));
      await until("it waits for the other transaction", async () => {
        const [activity] = await sql`
          select wait_event_type from pg_stat_activity where pid = ${backend!["pid"]}`;
        return activity?.["wait_event_type"] === "Lock";
      });
      await first.unsafe(end);

      expect(await waiting).toBe(expected);
      const priority = end === "rollback" || onConflict === "update_priority" ? 5 : 1;
      expect(await theirs.rows()).toMatchObject([{ priority }]);
      expect(await theirs.log()).toHaveLength(1);
    } finally {
      first.release();
      await second.end();
    }
  });

  test.each(["skip", "raise", "update_priority"])(
    "%s fails with 40001 at REPEATABLE READ, where the other job cannot be seen",
    async (onConflict) => {
      const { sql } = theirs;
      const refused = sql.begin("isolation level repeatable read", async (tx) => {
        await tx`select 1 from ${tx(theirs.table)}`;
        await callFunction({ dedupeKey: "k" });
        await callFunction({ dedupeKey: "k", onConflict }, { ...theirs, sql: tx as never });
      });

      await expect(refused).rejects.toMatchObject({ code: "40001" });
      expect(await theirs.rows()).toHaveLength(1);
    },
  );

  test("twenty at once make one job", async () => {
    const calls = Array.from({ length: 20 }, () => callFunction({ dedupeKey: "one" }));

    const ids = await Promise.all(calls);

    expect(ids.filter((id) => id !== null)).toHaveLength(1);
    expect(await theirs.rows()).toHaveLength(1);
  });
});

test.each(["queued", "picked"])(
  "raising the priority of a %s job leaves its lease alone",
  async (status) => {
    const { sql, table } = theirs;
    await callFunction({ dedupeKey: "k" });
    await sql.unsafe(`update ${table} set status = '${status}', updated = '2020-01-01 00:00+00'`);

    const id = await callFunction({ dedupeKey: "k", priority: 4, onConflict: "update_priority" });
    await callFunction({ dedupeKey: "k", priority: 3, onConflict: "update_priority" });

    const [job] = await sql.unsafe(
      `select priority, updated = '2020-01-01 00:00+00' as same from ${table}`,
    );
    expect(id).toBe(1);
    // That of a picked job is what its worker is known by.
    expect(job).toEqual({ priority: 4, same: status === "picked" });
  },
);

test("a duplicate that raises tells the key, the index and what to do, as clients read it", async () => {
  await callFunction({ dedupeKey: "k" });

  const refused = callFunction({ dedupeKey: "k", onConflict: "raise" });

  await expect(refused).rejects.toMatchObject({
    code: "23505",
    message: 'Cannot enqueue as a dedupe key is in use: offered "k"',
    hint:
      "A queued or running job has it. Use on_conflict => 'skip' or 'update_priority', or another key.",
    constraint_name: `${theirs.names.prefix}pgqueuer_unique_dedupe_key`,
  });
});

describe("whatever the caller's search_path is", () => {
  test.each([true, false])("it finds our tables (schema in the settings: %s)", async (named) => {
    const home = `home_${crypto.randomUUID().slice(0, 8)}`;
    const client = postgres(theirs.dsn, { max: 1, onnotice: () => {} });
    try {
      await client.unsafe(`create schema ${home}; create schema ${home}_evil`);
      await client.unsafe(`set search_path = ${home}`);
      await new Queries(fromPostgresJs(client), named ? { schema: home } : {}).install();
      await client.unsafe(`
        set search_path = ${home}_evil, pg_catalog;
        create table pgqueuer (like ${home}.pgqueuer including all);
        create table pgqueuer_log (like ${home}.pgqueuer_log including all);
        create function nextval(regclass) returns bigint as 'select -1::bigint' language sql;
        create function now() returns timestamptz as 'select null::timestamptz' language sql;
        create temp table pgqueuer (like ${home}.pgqueuer including all)`);

      await client.unsafe(`select ${home}.pgqueuer_enqueue('mail', 'bytes'::bytea)`);
      await client.unsafe(`select ${home}.pgqueuer_enqueue('mail', 'text')`);
      await client.unsafe("set search_path = ''");
      await client.unsafe(`select ${home}.pgqueuer_enqueue('mail', '{}'::jsonb)`);
      const [path] = await client`show search_path`;

      const jobs = await client.unsafe(`select id from ${home}.pgqueuer order by id`);
      expect(Array.from(jobs, ({ id }) => Number(id))).toEqual([1, 2, 3]);
      expect(await client.unsafe(`select id from ${home}.pgqueuer_log`)).toHaveLength(3);
      expect(path!["search_path"]).toBe('""');
    } finally {
      await client.unsafe(`drop schema ${home} cascade; drop schema ${home}_evil cascade`);
      await client.end();
    }
  });
});

test("it leaves nothing else changed in the caller's transaction", async () => {
  const { sql, table } = theirs;
  const state = `
    select current_setting('search_path'), current_setting('client_min_messages'), current_setting('lock_timeout'),
      current_user, txid_current()`;

  const [before, after, subtransactions] = await sql.begin(async (tx) => {
    await tx.unsafe("set local search_path = pg_catalog");
    const before = await tx.unsafe(state);
    await tx.unsafe(`select ${table}_enqueue('mail', 'x', on_conflict => 'raise')`);
    const after = await tx.unsafe(state);
    // A row that a subtransaction wrote has an xmin of its own.
    const own = await tx.unsafe(`
      select 1 from ${table} where xmin::text::bigint <> txid_current() % 4294967296`);
    return [Array.from(before), Array.from(after), own.length];
  });

  expect(after).toEqual(before);
  expect(subtransactions).toBe(0);
});

test("bytes of every kind arrive", async () => {
  await callFunction({ payload: Uint8Array.from({ length: 256 }, (_, byte) => byte) });
  await callFunction({ payload: new Uint8Array() });
  await callFunction({ payload: bytes("\\x41") });

  const { sql, table } = theirs;
  const rows = await sql<{ payload: Uint8Array }[]>`
    select payload from ${sql(table)} order by id`;
  expect(Array.from(rows, ({ payload }) => payload.length)).toEqual([256, 0, 4]);
  expect([...rows[0]!.payload]).toEqual(Array.from({ length: 256 }, (_, byte) => byte));
});

describe("installed", () => {
  /** A queue that a test may spoil. */
  let spare: TestQueue;
  let called: string;
  let listed: readonly string[];
  beforeEach(async () => {
    spare = await openTestQueue();
    called = `${spare.table}_enqueue`;
    listed = ["bytea", "text", "jsonb"].map((type) =>
      `function ${spare.names.prefix}pgqueuer_enqueue(${type})`
    );
    return () => spare.close();
  });
  const withLog = (log: "full" | "terminal") =>
    new Queries(fromPostgresJs(spare.sql), { ...spare.names, log });
  const functions = async () => {
    const rows = await spare.sql`
      select oid::regprocedure::text as signature, prosecdef, proacl::text as acl from pg_proc
      where oid::regprocedure::text like ${`${called}(%`} order by 1`;
    return Array.from(rows);
  };

  test("it is seen by verify, and goes with uninstall", async () => {
    expect(await spare.queries.verify("absent")).toEqual(expect.arrayContaining([...listed]));
    await spare.sql.unsafe(
      `drop function ${called}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text)`,
    );
    expect(await spare.queries.verify("present")).toEqual([listed[2]]);
    expect((await spare.queries.install()).added).toEqual([listed[2]]);

    await spare.queries.uninstall();

    expect(await functions()).toEqual([]);
  });

  test("it writes log rows as the setting log of its installation says", async () => {
    const changed = await withLog("terminal").install();
    await spare.sql.unsafe(
      `select ${called}('mail'), ${called}('mail', 'x', on_conflict => 'update_priority')`,
    );
    const terminal = await spare.log();
    await withLog("full").install();
    await spare.sql.unsafe(`select ${called}('mail', '{}'::jsonb)`);
    const full = await spare.log();

    expect(changed).toEqual({
      outcome: "upgraded",
      added: [],
      changed: listed.map((name) => `${name} of version ${ENQUEUE_VERSION}, log terminal`),
    });
    expect(terminal).toEqual([]);
    expect(full).toHaveLength(1);
    expect(await spare.rows()).toHaveLength(3);
  });

  test("a worker starts without it, and with one for another log", async () => {
    await withLog("terminal").install();
    await spare.sql.unsafe(`select ${called}('mail')`);
    const pgq = await spare.worker();
    let runs = 0;
    pgq.entrypoint("mail", () => void runs++);

    await pgq.run({ mode: "drain" });

    expect(runs).toBe(1);
  });

  test("an older one is replaced, and who may call it stays", async () => {
    const signature = `${called}(text, bytea, bigint, interval, timestamptz, text, jsonb, text)`;
    await spare.sql.unsafe(`
      do $$ begin
        execute replace(pg_get_functiondef('${signature}'::regprocedure), 'pgqueuer: version ${ENQUEUE_VERSION}', 'pgqueuer: version 0');
      end $$;
      grant execute on function ${signature} to public`);
    const before = await functions();

    const { changed } = await spare.queries.install();

    expect(changed).toEqual([`${listed[0]} of version ${ENQUEUE_VERSION}, log full`]);
    expect(await functions()).toEqual(before);
    expect(before.filter(({ acl }) => acl.includes("{=X/") || acl.includes(",=X/"))).toHaveLength(
      1,
    );
  });

  test("a newer one with other parameters is left as it is", async () => {
    const { schema, prefix } = spare.names;
    await spare.sql.unsafe(`
      drop function ${called}(text, bytea, bigint, interval, timestamptz, text, jsonb, text);
      drop function ${called}(text, text, bigint, interval, timestamptz, text, jsonb, text);
      drop function ${called}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text);
      create function ${called}(entrypoint text, payload bytea default null, later int default 0) returns bigint
        as '-- pgqueuer: version ${ENQUEUE_VERSION + 1}, log full
          select 1::bigint' language sql`);
    const before = await functions();

    const first = await spare.queries.install();
    // Something else is missing: now the scripts run.
    await spare.sql.unsafe(`drop index ${schema}.${prefix}pgqueuer_ready_idx`);
    const second = await spare.queries.install();

    expect(first.outcome).toBe("unchanged");
    expect(second.added).toEqual([`index ${prefix}pgqueuer_ready_idx`]);
    expect(await functions()).toEqual(before);
  });

  test.each([
    "(text, jsonb)",
    "(text, text, bigint, interval, timestamptz, text, jsonb, text)",
    "()",
  ])(
    "a function %s of somebody else is neither replaced nor made ambiguous",
    async (parameters) => {
      await spare.queries.uninstall();
      await spare.sql.unsafe(
        `create function ${called}${parameters} returns text as 'select ''mine''::text' language sql`,
      );
      const before = await functions();

      await expect(spare.queries.install()).rejects.toThrow(
        /function ".*pgqueuer_enqueue\(.*\)" is not ours \(calls would be ambiguous\): rename it/,
      );
      await expect(spare.queries.uninstall()).rejects.toThrow("is not ours");

      expect(await functions()).toEqual(before);
    },
  );

  test("it has the rights of its caller, and PUBLIC may not call it", async () => {
    const role = `caller_${crypto.randomUUID().slice(0, 8)}`;
    const { sql, names } = spare;
    await sql.unsafe(`create role ${role}; grant usage on schema ${names.schema} to ${role}`);
    const asRole = () =>
      sql.begin(async (tx) => {
        await tx.unsafe(`set local role ${role}`);
        await tx.unsafe(`select ${called}('mail', 'x')`);
      });
    try {
      expect((await functions()).map(({ prosecdef, acl }) => [prosecdef, /[{,]=/.test(acl)]))
        .toEqual(Array(3).fill([false, false]));
      await expect(asRole()).rejects.toThrow("permission denied for function");
      await sql.unsafe(`grant execute on all functions in schema ${names.schema} to ${role}`);
      // The sequence or the table, whichever is first.
      await expect(asRole()).rejects.toThrow(/permission denied for (sequence|table|relation)/);
    } finally {
      await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
    }
  });
});
