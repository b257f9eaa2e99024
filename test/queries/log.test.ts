import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import postgres from "postgres";
import { fromPostgresJs, getQueue, Queries, resolveSettings, SchemaError } from "../../mod.ts";
import { LogStore } from "../../src/queries/log.ts";
import { Statements } from "../../src/sql/render.ts";
import { bytes, deferred, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let queue: TestQueue;
let statistics: string;
beforeAll(async () => {
  queue = await openTestQueue();
  statistics = `${queue.table}_statistics`;
});
beforeEach(async () => {
  await queue.clear();
  await queue.sql`truncate ${queue.sql(statistics)}`;
});
afterAll(() => queue.close());

function storeOf(client: postgres.Sql): LogStore {
  return new LogStore(fromPostgresJs(client), new Statements(resolveSettings(queue.names)));
}

/** Writes log rows: `count` of each status, over the last `seconds` seconds. */
async function writeLog(count: number, seconds = 5, age = "0 s"): Promise<void> {
  await queue.sql`
    insert into ${queue.sql(queue.logTable)} (job_id, status, priority, entrypoint, created)
    select n, status::${queue.sql(`${queue.table}_status`)}, 0, 'work',
      now() - ${age}::text::interval - (n % ${seconds}) * interval '1 second'
    from generate_series(1, ${count}) n, unnest(array['queued', 'picked', 'successful']) status`;
}

async function counted(): Promise<{ rows: number; sum: number; pending: number }> {
  const [row] = await queue.sql<{ rows: number; sum: number; pending: number }[]>`
    select count(*)::int as rows, coalesce(sum(count), 0)::int as sum,
      (select count(*)::int from ${queue.sql(queue.logTable)} where not aggregated) as pending
    from ${queue.sql(statistics)}`;
  return { ...row! };
}

/** Queues jobs and has a worker fail them. */
async function holdJobs(keys: (string | null)[]): Promise<number[]> {
  const ids: number[] = [];
  // One after another, since only one live job may have a key.
  for (const dedupeKey of keys) {
    ids.push(
      (await queue.queries.enqueue("work", bytes("x"), { dedupeKey: dedupeKey ?? undefined }))!,
    );
    const pgq = await queue.worker();
    pgq.entrypoint("work", { onFailure: "hold" }, (job) => {
      throw new RangeError(`no ${job.id}`);
    });
    await pgq.run({ mode: "drain" });
  }
  return ids;
}

test("aggregations from eight connections at once count each row exactly once", async () => {
  const clients = Array.from(
    { length: 8 },
    () => postgres(queue.dsn, { max: 1, onnotice: () => {} }),
  );
  const stores = clients.map(storeOf);
  await writeLog(10_000);

  for (let round = 0; round < 5; round++) {
    // New rows come all the time.
    await Promise.all([writeLog(500), ...stores.map((store) => store.aggregate())]);
  }
  await stores[0]!.aggregate();

  expect(await counted()).toMatchObject({ sum: 3 * 12_500, pending: 0 });
  await Promise.all(clients.map((client) => client.end()));
});

test("an aggregation comes to an end, however much there is, and says that there is more", async () => {
  const store = storeOf(queue.sql);
  await writeLog(20_000);

  expect(await store.aggregate()).toBe(true);
  expect(await counted()).toMatchObject({ sum: 50_000, pending: 10_000 });
  expect(await store.aggregate()).toBe(false);
  expect(await counted()).toMatchObject({ sum: 60_000, pending: 0 });
});

test("an aggregation without the lock, as of a Python dashboard, waits and counts nothing again", async () => {
  const { sql } = queue;
  // One statement: it counts what its snapshot shows, then flags.
  const unlocked = `
    with counted as (
      select entrypoint, priority, status, date_trunc('sec', created) as created, count(*) as count
      from ${queue.logTable} where not aggregated group by 1, 2, 3, 4
    ), flagged as (update ${queue.logTable} set aggregated = true where not aggregated)
    insert into ${statistics} (entrypoint, priority, status, created, count) select * from counted
    on conflict (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint)
    do update set count = ${statistics}.count + excluded.count`;
  await writeLog(20_000);
  const store = storeOf(sql);

  // Theirs begins while ours runs, and ours while theirs does.
  for (let round = 0; round < 6; round++) {
    const ours = round % 2 === 0 ? store.aggregate() : undefined;
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([ours, sql.unsafe(unlocked), store.aggregate()]);
    await writeLog(2_000);
  }
  await store.aggregate();

  expect(await counted()).toMatchObject({ sum: 3 * 32_000, pending: 0 });
});

test("an aggregation whose session ends in the middle has counted nothing, and the next one counts all", async () => {
  await writeLog(10);
  const client = postgres(queue.dsn, { max: 1, onnotice: () => {} });
  const [session] = await client<{ pid: number }[]>`select pg_backend_pid() as pid`;
  const released = deferred();
  const holding = deferred();
  const rival = queue.sql.begin(async (tx) => {
    await tx`select 1 from ${tx(queue.logTable)} order by id desc limit 1 for update`;
    holding.resolve();
    await released.promise;
  });
  await holding.promise;

  const cut = storeOf(client).aggregate().then(() => "ended", () => "cut");
  await until("it has flagged rows and waits for the last", async () => {
    const [row] = await queue.sql`
      select 1 from pg_locks where pid = ${
      session!.pid
    } and not granted and locktype = 'transactionid'`;
    return row !== undefined;
  });
  await queue.sql`select pg_terminate_backend(${session!.pid})`;
  const end = await cut;
  const meanwhile = await counted();
  released.resolve();
  await rival;
  await storeOf(queue.sql).aggregate();

  expect(end).toBe("cut");
  expect(meanwhile).toMatchObject({ sum: 0, pending: 30 });
  expect(await counted()).toMatchObject({ sum: 30, pending: 0 });
  await client.end({ timeout: 1 });
});

test("an aggregation leaves it to the session that has the contract's lock", async () => {
  await writeLog(10);
  const released = deferred();
  const holding = deferred();
  const other = queue.sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtext(${statistics}))`;
    holding.resolve();
    await released.promise;
  });
  await holding.promise;

  await storeOf(queue.sql).aggregate();
  const meanwhile = await counted();
  released.resolve();
  await other;
  await storeOf(queue.sql).aggregate();

  expect(meanwhile).toMatchObject({ sum: 0, pending: 30 });
  expect(await counted()).toMatchObject({ sum: 30, pending: 0 });
});

test("logStatistics() is exact before, between and after aggregations, and writes nothing", async () => {
  await writeLog(100, 2);
  const sum = async (): Promise<number> =>
    (await queue.queries.logStatistics()).reduce((total, row) => total + row.count, 0);

  const before = await sum();
  await storeOf(queue.sql).aggregate();
  await writeLog(50, 2);
  const between = await sum();

  expect([before, between]).toEqual([300, 450]);
  expect((await counted()).pending).toBe(150);
  const [newest] = await queue.queries.logStatistics({ limit: 1 });
  expect(newest).toMatchObject({ entrypoint: "work", priority: 0, status: "queued" });
  expect(newest!.created).toBeInstanceOf(Date);
  await writeLog(10, 1, "2 hours");
  expect(await queue.queries.logStatistics({ last: { hours: 1 } })).toHaveLength(
    (await queue.queries.logStatistics()).length - 3,
  );
});

test("pruning deletes what is old and counted, in batches, and keeps why a held job failed", async () => {
  const [held] = await holdJobs([null]);
  await queue.sql`
    update ${
    queue.sql(queue.logTable)
  } set created = created - interval '2 days', aggregated = false`;
  await queue.sql`truncate ${queue.sql(statistics)}`;
  await writeLog(40, 5, "2 days");
  await writeLog(7);
  const store = storeOf(queue.sql);
  const day = 86_400_000;

  const uncounted = await store.pruneLog(day, 50, 0);
  await store.aggregate();
  const batches = [];
  let after: number | null = 0;
  while (after !== null) {
    const { gone, last } = await store.pruneLog(day, 50, after);
    batches.push(gone);
    after = last;
  }
  const left = await queue.log();
  const counts = (await counted()).sum;
  const countsGone = await store.pruneStatistics(day, 1_000);

  expect(uncounted.gone).toBe(0);
  // Of the first one row stays: why the held job failed.
  expect(batches).toEqual([49, 50, 23, 0]);
  expect(left).toHaveLength(22);
  expect(left.filter((row) => row.status === "failed")).toMatchObject([{ job_id: held }]);
  expect(counts).toBe(3 + 120 + 21);
  expect(countsGone).toBeGreaterThan(0);
  expect((await counted()).sum).toBe(21);
  expect(await queue.queries.listFailed()).toMatchObject([
    { id: held, traceback: { exception_message: `no ${held}` } },
  ]);
});

test("jobStatus() follows a job, also when one transaction wrote all of its log", async () => {
  const ids = (await queue.queries.enqueue("work", [null, null, null])) as number[];
  const [queued, picked, gone] = ids as [number, number, number];
  const { sql } = queue;
  const write = (jobId: number, status: string, created = "now()") =>
    sql.unsafe(
      `insert into ${queue.logTable} (job_id, status, priority, entrypoint, created) values ($1, $2, 0, 'work', ${created})`,
      [jobId, status],
    );
  await sql`update ${sql(queue.table)} set status = 'picked' where id = ${picked}`;
  // Without a word in the log, as TRUNCATE does.
  await sql`delete from ${sql(queue.table)} where id = ${gone}`;
  await sql.unsafe(`
    insert into ${queue.logTable} (job_id, status, priority, entrypoint)
    select 9001, unnest(array['queued', 'picked', 'exception', 'deleted'])::${queue.table}_status, 0, 'work'`);
  // Ended in a transaction that began before the claim.
  await write(9002, "picked");
  await write(9002, "successful", "now() - interval '1 hour'");

  const statuses = await queue.queries.jobStatus([queued, picked, gone, 9001, 9002, 9003, queued]);

  expect([...statuses]).toEqual([
    [queued, "queued"],
    [picked, "picked"],
    [gone, "deleted"],
    [9001, "deleted"],
    [9002, "successful"],
  ]);
});

test("queueSize() counts by entrypoint, priority and status", async () => {
  await queue.queries.enqueue("work", [null, null, null], { priority: [1, 2, 2] });
  await queue.queries.enqueue("other", null);

  expect(await queue.queries.queueSize()).toEqual([
    { entrypoint: "work", priority: 2, status: "queued", count: 2 },
    { entrypoint: "other", priority: 0, status: "queued", count: 1 },
    { entrypoint: "work", priority: 1, status: "queued", count: 1 },
  ]);
});

test("listFailed() gives held jobs, the newest first, with their tracebacks", async () => {
  const [first, second] = await holdJobs([null, null]);

  const failed = await queue.queries.listFailed();

  expect(failed.map((job) => job.id)).toEqual([second, first]);
  expect(failed[0]).toMatchObject({
    status: "failed",
    attempts: 0,
    traceback: { exception_type: "RangeError", exception_message: `no ${second}` },
  });
  expect(text(failed[0]!.payload)).toBe("x");
  expect(await queue.queries.listFailed({ limit: 1 })).toHaveLength(1);
});

test("requeue() runs held jobs again at once, from the index of ready jobs, and wakes an idle worker", async () => {
  const [id] = await holdJobs([null]) as [number];
  await queue.sql`
    update ${queue.sql(queue.table)} set execute_after = now() + interval '1 hour', attempts = 3`;
  const queued = await queue.queries.enqueue("other", null);
  const pgq = await queue.worker();
  const ran = deferred<number>();
  pgq.entrypoint("work", (job) => ran.resolve(job.attempts));
  const run = pgq.run({ dequeueTimeout: { hours: 1 } });
  await until("it listens", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity where query ilike ${`listen%${queue.names.prefix}%`}`)
      .length === 1);
  await until("it idles", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity
      where query like ${`%${queue.names.prefix}fn_pgqueuer_look_ahead%`} and state = 'idle'`)
      .length > 0);

  const result = await queue.queries.requeue([id, queued!, 9_999_999]);

  expect(result).toEqual({ requeued: [id], duplicates: [], notHeld: [queued, 9_999_999] });
  expect(await ran.promise).toBe(0);
  await pgq.stop();
  await run;
  expect(await queue.history(id)).toEqual([
    "queued",
    "picked",
    "failed",
    "queued",
    "picked",
    "successful",
  ]);
});

test("requeue() puts a job where claims find it in its place of old", async () => {
  const [id] = await holdJobs([null]) as [number];
  await queue.sql`update ${queue.sql(queue.table)} set execute_after = now() + interval '1 hour'`;

  await queue.queries.requeue([id]);

  const [row] = await queue.sql`
    select execute_after <= created as ready, attempts, queue_manager_id, slot from ${
    queue.sql(queue.table)
  }`;
  expect(row).toEqual({ ready: true, attempts: 0, queue_manager_id: null, slot: null });
});

test("requeue() leaves a job whose key is in use, and all but the first of one key", async () => {
  const [used, first, second, free] = await holdJobs(["used", "twice", "twice", null]) as [
    number,
    number,
    number,
    number,
  ];
  await queue.queries.enqueue("work", null, { dedupeKey: "used" });

  const result = await queue.queries.requeue([free, second, first, used]);

  expect(result).toEqual({ requeued: [free, first], duplicates: [second, used], notHeld: [] });
  const failed = await queue.queries.listFailed();
  expect(failed.map((job) => job.id).sort()).toEqual([used, second].sort());
});

test("requeue() looks again when a producer takes the key between its look and its update", async () => {
  const [id, other] = await holdJobs(["taken", null]) as [number, number];
  const inserted = deferred();
  const commit = deferred();
  const producer = queue.sql.begin(async (tx) => {
    await getQueue(tx, queue.names).enqueue("work", null, { dedupeKey: "taken" });
    inserted.resolve();
    await commit.promise;
  });
  await inserted.promise;

  const result = queue.queries.requeue([id, other]);
  await until("it waits for the producer", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity
      where wait_event_type = 'Lock' and query like ${`WITH held AS%${queue.table}%`}`).length > 0);
  commit.resolve();
  await producer;

  expect(await result).toEqual({ requeued: [other], duplicates: [id], notHeld: [] });
});

test("what operators ask works in a transaction and refuses bad input before SQL", async () => {
  const { queries } = queue;
  await queue.sql.begin(async (tx) => {
    const inside = getQueue(tx, queue.names);
    const id = await inside.enqueue("work", null);
    expect([...await inside.jobStatus([id!])]).toEqual([[id, "queued"]]);
    expect(await inside.logStatistics()).toHaveLength(1);
    expect(await inside.requeue([id!])).toMatchObject({ notHeld: [id] });
  });

  expect(await queries.jobStatus([])).toEqual(new Map());
  await expect(queries.jobStatus([null as unknown as number])).rejects.toThrow(
    'Cannot use "ids[0]" as it must be an integer >= 1: current value is null',
  );
  await expect(queries.requeue(7 as unknown as number[])).rejects.toThrow(TypeError);
  await expect(queries.listFailed({ limit: 0 })).rejects.toThrow(RangeError);
  await expect(queries.logStatistics({ last: -1 })).rejects.toThrow(RangeError);
  await expect(queries.logStatistics({ lst: 1 } as never)).rejects.toThrow(
    '"lst" is not an option',
  );
  const absent = new Queries(fromPostgresJs(queue.sql), { prefix: "absent_" });
  await expect(absent.queueSize()).rejects.toThrow(SchemaError);
});
