/** G2: a committed job stays in the table until an attempt is acknowledged, whatever dies. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { bytes, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

const JOBS = 10_000;
const KILLS = 10;

/**
 * Of a backlog two claims are on their way at a time once ten have brought all that they were asked for, and for 10 s not
 * again after a job had to wait.
 */
const BACKLOG = 60_000;

let queue: TestQueue;
const workers: WorkerProcess[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.sql`create table ${queue.sql(queue.names.schema)}.runs (job_id bigint, pid int)`;
});
afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill("SIGKILL");
    await worker.exited;
  }
  await queue.clear();
});
afterAll(() => queue.close());

/** How many rows of the log have this status. */
async function logged(status: string): Promise<number> {
  const [row] = await queue.sql`
    select count(*)::int as rows from ${queue.sql(queue.logTable)} where status = ${status}`;
  return row!["rows"] as number;
}

/** Statements that run now. */
interface UnderWay {
  claims: number;
  /** Claims that wait for a lock. */
  stuck: number;
  /** Whatever waits for a lock. */
  waiting: number;
  going: number;
}

/**
 * Looks at what runs. Not at statements that have only been parsed: where their client is stopped just then they wait for it
 * for good, and have done nothing.
 */
async function underWay(): Promise<UnderWay> {
  const [row] = await queue.sql<[UnderWay]>`
    select count(*) filter (where query like '%dequeue%')::int as claims,
      count(*) filter (where waits and query like '%dequeue%')::int as stuck,
      count(*) filter (where waits)::int as waiting, count(*) filter (where not waits)::int as going
    from (
      select query, wait_event_type is not distinct from 'Lock' as waits from pg_stat_activity
      where state = 'active' and wait_event is distinct from 'ClientRead' and datname = current_database() and pid <> pg_backend_pid()
        and query like ${`%${queue.names.prefix}%`}
    ) as statements`;
  return row;
}

test("no job is lost when a worker is killed ten times", async () => {
  const options = { heartbeatTimeoutMs: 1_000, maxConcurrentTasks: 20 };
  const survivor = await startWorkerProcess(queue, options);
  workers.push(survivor);
  const ids: number[] = [];
  for (let batch = 0; batch < JOBS / 500; batch++) {
    const payloads = Array.from({ length: 500 }, (_, n) => bytes(String(n % 5)));
    ids.push(...await queue.queries.enqueue("work", payloads) as number[]);
  }

  const done = () => logged("successful");
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = await startWorkerProcess(queue, options);
    workers.push(victim);
    // At a random moment, but while it holds jobs: a kill of an idle worker shows nothing.
    const claimed = Math.random() * 40;
    await until("the victim has run some jobs", async () => {
      const [row] = await queue.sql`
        select count(*)::int as runs from ${
        queue.sql(queue.names.schema)
      }.runs where pid = ${victim.pid}`;
      return row!["runs"] > claimed || await done() === JOBS;
    });
    victim.kill("SIGKILL");
    await victim.exited;
  }
  await until("every job is done", async () => await done() === JOBS, 60_000);

  const log = await queue.log();
  const terminal = log.filter((row) => !["queued", "picked"].includes(row.status));
  expect(terminal.every((row) => row.status === "successful")).toBe(true);
  expect(terminal.map((row) => row.job_id).sort((a, b) => a - b)).toEqual(ids);
  expect(await queue.rows()).toEqual([]);

  // A job ran more often than once only if it was claimed more often than once.
  const claims = new Map<number, number>();
  for (const row of log) {
    if (row.status === "picked") claims.set(row.job_id, (claims.get(row.job_id) ?? 0) + 1);
  }
  const runs = await queue.sql`
    select job_id::int, count(*)::int as runs from ${
    queue.sql(queue.names.schema)
  }.runs group by job_id`;
  expect(runs.length).toBe(JOBS);
  expect(runs.filter((row) => row["runs"] > claims.get(row["job_id"])!)).toEqual([]);
  // The kills did hit: some jobs were taken over.
  expect([...claims.values()].some((count) => count > 1)).toBe(true);
}, 150_000);

test("no job is lost when a worker is killed with two claims on their way", async () => {
  const ids: number[] = [];
  // Each claim is a large one on a slow machine, too.
  const options = { heartbeatTimeoutMs: 2_000, maxConcurrentTasks: 500 };
  const victim = await startWorkerProcess(queue, options);
  workers.push(victim);
  const rival = await queue.sql.reserve();
  const { schema } = queue.names;
  await queue.sql.unsafe(`
    create function ${schema}.wait_for_rival() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(hashtext('${schema}'));
      return new;
    end $$;
    create trigger wait_for_rival before insert on ${queue.logTable} for each row
      when (new.status = 'picked') execute procedure ${schema}.wait_for_rival()`);

  // Claims are made to wait, and nothing else is. It depends on the moment whether that is one claim or two.
  for (let stuck = 0; stuck < 2;) {
    await until("two claims run at the same time", async () => {
      if (ids.length - await logged("picked") < BACKLOG / 2) {
        ids.push(
          ...await queue.queries.enqueue("quick", Array(BACKLOG / 2).fill(null)) as number[],
        );
      }
      return (await underWay()).claims >= 2;
    });
    await rival`begin`;
    await rival`select pg_advisory_xact_lock(hashtext(${schema}))`;
    await until("the worker can do nothing but wait", async () => {
      const looks = [await underWay(), await underWay()];
      ({ stuck } = looks[1]!);
      return looks.every(({ waiting, going }) => waiting > 0 && going === 0) &&
        looks[0]!.waiting === looks[1]!.waiting;
    });
    if (stuck < 2) await rival`rollback`;
  }
  // The server gives both answers, and nobody reads them.
  victim.kill("SIGSTOP");
  await rival`rollback`;
  rival.release();
  await until("both are committed", async () => {
    const { waiting, going } = await underWay();
    return waiting + going === 0;
  });
  victim.kill("SIGKILL");
  await victim.exited;
  await queue.sql`drop trigger wait_for_rival on ${queue.sql(queue.logTable)}`;
  const survivor = await queue.worker();
  survivor.entrypoint("quick", () => {});
  const run = survivor.run({ heartbeatTimeout: 2_000 });
  await until("every job is done", async () => await logged("successful") === ids.length, 60_000);
  await survivor.stop();
  await run;

  const ended = await queue.sql<{ job_id: number; claims: number }[]>`
    select job_id::int, count(*) filter (where status = 'picked')::int as claims
    from ${queue.sql(queue.logTable)} group by job_id
    having count(*) filter (where status = 'successful') = 1 and count(*) filter (where status = 'exception') = 0
    order by job_id`;
  expect(ended.map(({ job_id }) => job_id)).toEqual(ids);
  // A second claim is one of 500 or more.
  expect(ended.filter(({ claims }) => claims > 1).length).toBeGreaterThan(500);
  expect(await queue.rows()).toEqual([]);
}, 150_000);
