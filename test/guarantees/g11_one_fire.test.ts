/** G11: a schedule fires once per due time, whatever the number of workers. */
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { runtimeCommand } from "../support/worker_process.ts";

const TIMEOUT_MS = 1_500;

interface Scheduler {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  readonly exited: Promise<number | null>;
}

interface FireRow {
  due: Date;
  pid: number;
  started: Date;
  ended: Date | null;
}

let queue: TestQueue;
let fires: string;
let jobs: string;
let schedules: string;
const schedulers: Scheduler[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  fires = `${queue.names.schema}.fires`;
  jobs = `${queue.names.schema}.jobs`;
  schedules = `${queue.table}_schedules`;
  await queue.sql`
    create table ${queue.sql(fires)}
    (due timestamptz, pid int, started timestamptz default clock_timestamp(), ended timestamptz)`;
  // Keeps the due time of every job that is inserted.
  await queue.sql.unsafe(`
    create table ${jobs} (due timestamptz);
    create function ${queue.names.schema}.keep() returns trigger language plpgsql as $$
    begin
      insert into ${jobs} select (convert_from(new.payload, 'UTF8')::jsonb ->> 'due')::timestamptz;
      return new;
    end $$;
    create trigger keep before insert on ${queue.table} for each row
    execute procedure ${queue.names.schema}.keep()`);
});
afterEach(async () => {
  for (const scheduler of schedulers.splice(0)) {
    scheduler.kill("SIGKILL");
    await scheduler.exited;
  }
  await queue.clear();
  await queue.sql`truncate ${queue.sql(schedules)}, ${queue.sql(fires)}, ${queue.sql(jobs)}`;
});
afterAll(() => queue.close());

/** Starts a process whose schedule "tick" writes its fires to a table. Resolves when it runs. */
async function start(options: Record<string, unknown> = {}): Promise<Scheduler> {
  const [command, args] = runtimeCommand(
    fileURLToPath(new URL("../support/scheduler_main.ts", import.meta.url)),
  );
  const settings = {
    dsn: queue.dsn,
    names: queue.names,
    heartbeatTimeoutMs: TIMEOUT_MS,
    shutdownTimeoutMs: 30_000,
    handlerMs: 0,
    cron: "* * * * * *",
    enqueue: false,
    ...options,
  };
  const child = spawn(command, args, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...process.env, SCHEDULER: JSON.stringify(settings) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr!.on("data", (chunk) => stderr += chunk);
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.on("data", (chunk) => String(chunk).includes("ready") && resolve());
    void exited.then((code) => reject(new Error(`The scheduler ended with ${code}: ${stderr}`)));
  });
  const scheduler = {
    pid: child.pid!,
    kill(signal: NodeJS.Signals): void {
      // Not child.kill(): Deno then reports the signal as the cause of the end, whatever the exit code.
      try {
        process.kill(child.pid!, signal);
      } catch {
        // It has ended.
      }
    },
    exited,
  };
  schedulers.push(scheduler);
  return scheduler;
}

const fired = async (): Promise<FireRow[]> =>
  Array.from(await queue.sql<FireRow[]>`select * from ${queue.sql(fires)} order by due, started`);

/** Due times of the jobs that were enqueued, oldest first. */
const enqueued = async (): Promise<Date[]> =>
  (await queue.sql`select due from ${queue.sql(jobs)} order by due`).map((row) => row["due"]);

/** How many seconds are between due times. */
const gaps = (dues: readonly Date[]): Set<number> =>
  new Set(dues.slice(1).map((due, index) => (due.getTime() - dues[index]!.getTime()) / 1_000));

test("four processes run each fire once, and none before it is due", async () => {
  await Promise.all([start(), start(), start(), start()]);

  await until("ten fires", async () => (await fired()).length >= 10);

  const rows = await fired();
  const dues = rows.map(({ due }) => due.getTime());
  expect(new Set(dues).size).toBe(dues.length);
  for (const { due, started } of rows) {
    expect(due.getMilliseconds()).toBe(0);
    expect(started.getTime()).toBeGreaterThanOrEqual(due.getTime());
  }
});

test("four processes enqueue one job for each due time, and miss none while some are killed", async () => {
  const first = await start({ enqueue: true });
  await Promise.all([start({ enqueue: true }), start({ enqueue: true })]);
  await until("four jobs", async () => (await enqueued()).length >= 4);

  first.kill("SIGKILL");
  await first.exited;
  const next = await start({ enqueue: true });
  await until("ten jobs", async () => (await enqueued()).length >= 10);
  next.kill("SIGTERM");

  expect(await next.exited).toBe(0);
  expect(gaps(await enqueued())).toEqual(new Set([1]));
});

test("a fire of a killed scheduler runs again in another, as the same fire, and the schedule goes on", async () => {
  const victim = await start({ handlerMs: 600_000 });
  await until("the victim runs a fire", async () => (await fired()).length === 1);
  const survivor = await start();
  await queue.sql`select pg_sleep(${(TIMEOUT_MS * 2) / 1_000})`;
  expect(await fired()).toHaveLength(1);

  victim.kill("SIGKILL");
  await victim.exited;

  await until("the survivor goes on", async () => (await fired()).length >= 4);
  const rows = await fired();
  expect(rows.slice(0, 2).map(({ pid }) => pid)).toEqual([victim.pid, survivor.pid]);
  expect(rows[1]!.due).toEqual(rows[0]!.due);
  const after = rows.slice(1).map(({ due }) => due.getTime());
  expect(new Set(after).size).toBe(after.length);
});

test(
  "a scheduler that was stopped for longer than the time-out neither ends nor renews the fire of another",
  async () => {
    const sleeper = await start({ handlerMs: 3_000 });
    await until("it runs a fire", async () => (await fired()).length === 1);
    sleeper.kill("SIGSTOP");
    const other = await start({ handlerMs: 3_000 });
    await until(
      "the other runs it",
      async () => (await fired()).some(({ pid }) => pid === other.pid),
    );

    sleeper.kill("SIGCONT");

    await until("some more fires", async () => (await fired()).length >= 5, 25_000);
    // One at a time, except for the fire that both had.
    const rows = (await fired()).slice(1).sort((a, b) => a.started.getTime() - b.started.getTime());
    for (const [index, { started }] of rows.entries()) {
      if (index > 0) {
        expect(started.getTime()).toBeGreaterThanOrEqual(rows[index - 1]!.ended!.getTime());
      }
    }
  },
  60_000,
);

test("SIGTERM lets a fire end, and leaves no row picked", async () => {
  const scheduler = await start({ handlerMs: 800 });
  await until("it runs a fire", async () => (await fired()).length === 1);

  scheduler.kill("SIGTERM");

  expect(await scheduler.exited).toBe(0);
  expect((await fired()).map(({ ended }) => ended !== null)).toEqual([true]);
  const [row] = await queue.sql`select status::text, last_run from ${queue.sql(schedules)}`;
  expect(row).toMatchObject({ status: "queued" });
  expect(row!["last_run"]).not.toBeNull();
});

test("a time without a scheduler and killed connections lose no due time and double none", async () => {
  const first = await start({ enqueue: true });
  await until("two jobs", async () => (await enqueued()).length >= 2);
  first.kill("SIGKILL");
  await first.exited;
  await queue.sql`select pg_sleep(2.5)`;

  await start({ enqueue: true });
  const before = (await enqueued()).length;
  await until("it has begun", async () => (await enqueued()).length > before);
  await queue.sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where pid <> pg_backend_pid() and query like ${`%${queue.names.prefix}pgqueuer_schedules%`}`;
  await until("more jobs", async () => (await enqueued()).length >= before + 8);

  expect(gaps(await enqueued())).toEqual(new Set([1]));
});
