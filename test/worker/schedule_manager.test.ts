import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type Fire,
  LeaseLostError,
  openWorkerDriver,
  PgQueuer,
  type PgQueuerOptions,
  type RunOptions,
  ShutdownError,
} from "../../mod.ts";
import { POLLS_ONLY, POOLED_DSN } from "../support/pooler.ts";
import { deferred, openTestQueue, type TestQueue, text, until } from "../support/queue.ts";

let queue: TestQueue;
let table: string;
beforeAll(async () => {
  queue = await openTestQueue();
  table = `${queue.table}_schedules`;
});
const running: PgQueuer[] = [];
afterEach(async () => {
  for (const pgq of running.splice(0)) await pgq.stop({ timeout: 0 });
  await queue.clear();
  await queue.sql`truncate ${queue.sql(table)}`;
});
afterAll(() => queue.close());

interface Row {
  id: number;
  entrypoint: string;
  expression: string;
  status: string;
  next_run: Date;
  last_run: Date | null;
}

const rows = async (): Promise<Row[]> =>
  Array.from(
    await queue.sql<Row[]>`
      select id::int, entrypoint, expression, status::text, next_run, last_run
      from ${queue.sql(table)} order by entrypoint, expression`,
  );

/** Makes the row of a schedule as if it had been due at `nextRun`. */
async function row(entrypoint: string, expression: string, nextRun: string): Promise<void> {
  await queue.sql`
    insert into ${queue.sql(table)} (entrypoint, expression, next_run)
    values (${entrypoint}, ${expression}, ${queue.sql.unsafe(nextRun)})`;
}

/** A worker that collects the log lines of its schedules. */
async function worker(
  options: PgQueuerOptions = {},
): Promise<{ pgq: PgQueuer; lines: string[]; run(options?: RunOptions): Promise<void> }> {
  const lines: string[] = [];
  const log = (message: string): void => void lines.push(message);
  const logger = { debug: log, info: log, warn: log, error: log };
  const pgq = await queue.worker({ logger, ...options });
  running.push(pgq);
  return { pgq, lines, run: (runOptions) => pgq.run({ heartbeatTimeout: 600, ...runOptions }) };
}

/** SQL for an instant: the beginning of an hour, so many hours ago. */
const HOURS_AGO = (hours: number): string =>
  `date_trunc('hour', now() at time zone 'UTC') at time zone 'UTC' - interval '${hours} hours'`;

test("a worker with nothing but a schedule runs it at its due times, and none before", async () => {
  const { pgq, run } = await worker();
  const fires: { due: number; at: number }[] = [];
  pgq.schedule("tick", "* * * * * *", async ({ due }) => {
    const [now] = await queue.sql`select clock_timestamp() as now`;
    fires.push({ due: due.getTime(), at: now!["now"].getTime() });
  });

  const ended = run();
  await until("three fires", () => fires.length >= 3);
  await pgq.stop();
  await ended;

  for (const [index, { due, at }] of fires.entries()) {
    expect(due % 1_000).toBe(0);
    expect(at).toBeGreaterThanOrEqual(due);
    if (index > 0) expect(due).toBeGreaterThan(fires[index - 1]!.due);
  }
  const [row] = await rows();
  expect(row).toMatchObject({ entrypoint: "tick", expression: "* * * * * *", status: "queued" });
  expect(row!.last_run).not.toBeNull();
});

test("the row of a new schedule waits for its first fire in its time zone", async () => {
  const { pgq, run } = await worker();
  pgq.schedule("noon", " 0  12 * * MON-FRI", { timeZone: "Asia/Kathmandu" }, () => {});

  await run({ mode: "drain" });

  const [row] = await rows();
  expect(row).toMatchObject({ expression: "0 12 * * mon-fri", status: "queued", last_run: null });
  expect(row!.next_run.toISOString()).toMatch(/T06:15:00.000Z$/);
  expect(row!.next_run.getTime()).toBeGreaterThan(Date.now());
});

test.each([
  ["latest" as const, undefined, [0]],
  ["latest" as const, { minutes: 30 }, "the last if it is new enough"],
  ["all" as const, undefined, [3, 2, 1, 0]],
  ["all" as const, { hours: 1, minutes: 59 }, "those that are new enough"],
  ["none" as const, undefined, []],
])('missed fires with "%s" and a window of %j', async (missed, missedWindow, hoursAgo) => {
  await row("report", "0 * * * *", HOURS_AGO(3));
  const { pgq, lines, run } = await worker();
  const fires: Fire[] = [];
  pgq.schedule("report", "0 * * * *", { missed, missedWindow }, (fire) => void fires.push(fire));
  const [{ hour, minute }] = await queue.sql<[{ hour: Date; minute: number }]>`
    select date_trunc('hour', now() at time zone 'UTC') at time zone 'UTC' as hour, extract(minute from now())::int as minute`;

  await run({ mode: "drain" });

  const ago = fires.map(({ due }) => (hour.getTime() - due.getTime()) / 3_600_000);
  if (typeof hoursAgo !== "string") {
    // Within the first half minute of an hour a fire is late and not missed.
    expect(ago).toEqual(missed === "none" && minute === 0 ? ago : hoursAgo);
  } else if (missed === "all") {
    expect(ago).toEqual(minute < 59 ? [1, 0] : [0]);
  } else {
    expect(ago).toEqual(minute < 30 ? [0] : []);
  }
  if (ago.length === 0) expect(lines.join()).toMatch(/Dropped missed fires of schedule report/);
  expect((await rows())[0]!.next_run.getTime()).toBe(hour.getTime() + 3_600_000);
});

test("with `enqueue` a fire becomes a job, once, and the job has its due time", async () => {
  await row("nightly", "0 * * * *", HOURS_AGO(2));
  const { pgq, run } = await worker();
  const jobs: string[] = [];
  pgq.schedule("nightly", "0 * * * *", { enqueue: true, missed: "all" });
  pgq.entrypoint("nightly", (job) => void jobs.push(`${job.dedupeKey} ${text(job.payload)}`));
  const [{ hour }] = await queue.sql<[{ hour: Date }]>`
    select date_trunc('hour', now() at time zone 'UTC') at time zone 'UTC' as hour`;

  await run({ mode: "drain" });

  expect(jobs).toEqual([2, 1, 0].map((ago) => {
    const due = new Date(hour.getTime() - ago * 3_600_000).toISOString();
    return `schedule nightly 0 * * * * ${due} {"due":"${due}","expression":"0 * * * *"}`;
  }));
  expect((await queue.log()).map(({ status }) => status).sort()).toEqual([
    ...Array(3).fill("picked"),
    ...Array(3).fill("queued"),
    ...Array(3).fill("successful"),
  ]);
  expect((await rows())[0]).toMatchObject({ status: "queued" });
});

test.skipIf(POLLS_ONLY)("a fire that is enqueued wakes a worker that is up", async () => {
  const started = deferred<string>();
  const consumer = await worker();
  consumer.pgq.entrypoint("tick", (job) => started.resolve(text(job.payload)));
  const consuming = consumer.run({ dequeueTimeout: { hours: 1 } });
  const { pgq, run } = await worker();
  pgq.schedule("tick", "* * * * * *", { enqueue: true });
  const ended = run();

  expect(JSON.parse(await started.promise)).toMatchObject({ expression: "* * * * * *" });

  await pgq.stop();
  await consumer.pgq.stop();
  await Promise.all([ended, consuming]);
});

test("a row never overlaps unless it may", async () => {
  const most: Record<string, number> = {};
  const busy: Record<string, number> = {};
  const { pgq, run } = await worker();
  const slow = (name: string) => async (): Promise<void> => {
    busy[name] = (busy[name] ?? 0) + 1;
    most[name] = Math.max(most[name] ?? 0, busy[name]!);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    busy[name]!--;
  };
  pgq.schedule("alone", "* * * * * *", slow("alone"));
  pgq.schedule("crowd", "* * * * * *", { overlap: true }, slow("crowd"));

  const ended = run();
  await until("the crowd grows", () => most["crowd"]! >= 3);
  await pgq.stop();
  await ended;

  expect(most["alone"]).toBe(1);
});

test("a handler that throws is logged, and the next fire comes", async () => {
  const { pgq, lines, run } = await worker();
  let fires = 0;
  pgq.schedule("tick", "* * * * * *", () => {
    fires++;
    throw new RangeError("out of paper");
  });

  const ended = run();
  await until("two fires", () => fires >= 2);
  await pgq.stop();
  await ended;

  expect(lines.join("\n")).toMatch(/schedule tick of .*Z: failed: RangeError: out of paper/);
  expect((await rows())[0]!.last_run).not.toBeNull();
});

test("a silent scheduler's fire is taken over and run again, with the same due time", async () => {
  await row("report", "0 * * * *", `${HOURS_AGO(0)} + interval '1 hour'`);
  await queue.sql`
    update ${queue.sql(table)} set status = 'picked', heartbeat = now() - interval '1 minute'`;
  const { pgq, lines, run } = await worker();
  const fires: Fire[] = [];
  pgq.schedule("report", "0 * * * *", (fire) => void fires.push(fire));
  const [{ hour }] = await queue.sql<[{ hour: Date }]>`
    select date_trunc('hour', now() at time zone 'UTC') at time zone 'UTC' as hour`;

  await run({ mode: "drain" });

  expect(fires.map(({ due }) => due)).toEqual([hour]);
  expect(lines.join()).toMatch(/Took over schedule report of /);
  const [after] = await rows();
  expect(after).toMatchObject({ status: "queued" });
  expect(after!.next_run.getTime()).toBe(hour.getTime() + 3_600_000);
});

test("with heartbeatTimeout 0 a silent scheduler's fire is given up, and the schedule goes on", async () => {
  await row("report", "0 * * * *", `${HOURS_AGO(0)} + interval '1 hour'`);
  await queue.sql`
    update ${queue.sql(table)} set status = 'picked', heartbeat = now() - interval '1 minute'`;
  const { pgq, lines, run } = await worker();
  let fires = 0;
  pgq.schedule("report", "0 * * * *", () => void fires++);

  await run({ mode: "drain", heartbeatTimeout: 0 });

  expect(fires).toBe(0);
  expect(lines.join()).toMatch(/Gave up schedule report of /);
  expect((await rows())[0]).toMatchObject({ status: "queued" });
});

test("a fire that runs longer than the time-out keeps its lease, and one whose lease is taken is told", async () => {
  await row("report", "0 * * * *", HOURS_AGO(0));
  const first = await worker();
  const started = deferred();
  const reason = deferred<unknown>();
  let others = 0;
  first.pgq.schedule("report", "0 * * * *", (_, { signal }) => {
    started.resolve();
    return new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => {
        reason.resolve(signal.reason);
        reject(signal.reason);
      })
    );
  });
  const firstEnded = first.run();
  await started.promise;
  const second = await worker();
  second.pgq.schedule("report", "0 * * * *", () => void others++);
  const secondEnded = second.run();
  await queue.sql`select pg_sleep(1.5)`;
  expect(others).toBe(0);

  // What a take-over does.
  await queue.sql`update ${queue.sql(table)} set updated = clock_timestamp(), heartbeat = now()`;

  expect(await reason.promise).toBeInstanceOf(LeaseLostError);
  await first.pgq.stop();
  await firstEnded;
  // The row is the thief's, who is dead: the second worker takes it over in turn.
  await until("the second worker has it", () => others === 1);
  await second.pgq.stop();
  await secondEnded;
});

test("stop() waits for a fire, and one that outlasts the shutdown is put back for another worker", async () => {
  await row("report", "0 * * * *", HOURS_AGO(0));
  const { pgq, run } = await worker();
  const started = deferred();
  const reason = deferred<unknown>();
  pgq.schedule("report", "0 * * * *", (_, { signal }) => {
    started.resolve();
    signal.addEventListener("abort", () => reason.resolve(signal.reason));
    return new Promise(() => {});
  });
  const ended = run({ shutdownTimeout: 100 });
  await started.promise;

  await pgq.stop();
  await ended;

  expect(await reason.promise).toBeInstanceOf(ShutdownError);
  const [after] = await rows();
  expect(after).toMatchObject({ status: "queued", last_run: null });
  expect(after!.next_run.getTime()).toBeLessThan(Date.now());

  const next = await worker();
  const fires: Fire[] = [];
  next.pgq.schedule("report", "0 * * * *", (fire) => void fires.push(fire));
  await next.run({ mode: "drain" });
  expect(fires.map(({ due }) => due)).toEqual([after!.next_run]);
});

test("cleanOld deletes the entrypoint's other rows, and no due fire", async () => {
  await row("report", "0 * * * *", HOURS_AGO(0));
  await row("report", "5 5 * * *", HOURS_AGO(0));
  await row("other", "5 5 * * *", HOURS_AGO(0));
  const { pgq, run } = await worker();
  let fires = 0;
  pgq.schedule("report", "0 * * * *", { cleanOld: true }, () => void fires++);

  await run({ mode: "drain" });

  expect(fires).toBe(1);
  expect((await rows()).map((it) => `${it.entrypoint} ${it.expression}`)).toEqual([
    "other 5 5 * * *",
    "report 0 * * * *",
  ]);
});

test("a row whose time zone was changed in the code fires at the next time of the new zone", async () => {
  // Written for a zone in which the fire comes later today than in UTC.
  const [{ next }] = await queue.sql<[{ next: Date }]>`
    select (date_trunc('hour', now() at time zone 'UTC') + interval '1 hour') at time zone 'UTC' as next`;
  const expression = `0 ${next.getUTCHours()} * * *`;
  await row("report", expression, "now() + interval '20 hours'");
  const { pgq, run } = await worker();
  pgq.schedule("report", expression, () => {});

  await run({ mode: "drain" });

  expect((await rows())[0]!.next_run).toEqual(next);
});

test("a row at infinity is paused, and one that somebody deletes stays deleted", async () => {
  await row("paused", "* * * * * *", "'infinity'");
  const { pgq, run } = await worker();
  const fires: string[] = [];
  pgq.schedule("paused", "* * * * * *", (fire) => void fires.push(fire.entrypoint));
  pgq.schedule("tick", "* * * * * *", (fire) => void fires.push(fire.entrypoint));
  const ended = run();
  await until("it ticks", () => fires.length > 0);

  await queue.sql`delete from ${queue.sql(table)} where entrypoint = 'tick'`;
  const count = fires.length;
  await queue.sql`select pg_sleep(2.2)`;
  await pgq.stop();
  await ended;

  expect(fires.length).toBeLessThanOrEqual(count + 1);
  expect(new Set(fires)).toEqual(new Set(["tick"]));
});

// Who sent what cannot be told of a pooler's sessions.
test.skipIf(POOLED_DSN !== undefined)(
  "a worker that waits for its next fire sends nothing",
  async () => {
    const applicationName = `${queue.names.prefix}idle`;
    const pgq = new PgQueuer(await openWorkerDriver(queue.dsn, { applicationName }), queue.names);
    running.push(pgq);
    pgq.schedule("yearly", "0 0 1 1 *", () => {});
    const ended = pgq.run({ dequeueTimeout: 100, heartbeatTimeout: 300 });
    const last = async (): Promise<Date | undefined> =>
      (await queue.sql`
      select max(query_start) as last from pg_stat_activity
      where application_name = ${applicationName} and query like '%_schedules%'`)[0]!["last"];
    await until("it has its row", async () => (await rows()).length === 1 && await last());
    await queue.sql`select pg_sleep(0.3)`;
    const before = await last();

    await queue.sql`select pg_sleep(1.5)`;

    expect(await last()).toEqual(before);
    await pgq.stop();
    await ended;
  },
);

test.each([
  [
    "a schedule without a handler",
    (pgq: PgQueuer) => pgq.schedule("a", "* * * * *", {}),
    /handler/,
  ],
  [
    "a handler beside `enqueue`",
    (pgq: PgQueuer) => pgq.schedule("a", "* * * * *", { enqueue: true }, () => {}),
    /must have no handler/,
  ],
  [
    "`overlap` beside `enqueue`",
    (pgq: PgQueuer) => pgq.schedule("a", "* * * * *", { enqueue: true, overlap: false }),
    /job of its own/,
  ],
  [
    "an unknown option",
    (pgq: PgQueuer) => pgq.schedule("a", "* * * * *", { timezone: "UTC" } as never, () => {}),
    /"timezone" is not an option/,
  ],
  [
    "a policy that is none",
    (pgq: PgQueuer) => pgq.schedule("a", "* * * * *", { missed: "some" } as never, () => {}),
    /"none", "latest", "all"/,
  ],
  [
    "the same row twice",
    (pgq: PgQueuer) => {
      pgq.schedule("a", "0 * * * *", () => {});
      pgq.schedule("a", "@hourly", { timeZone: "Europe/Oslo" }, () => {});
    },
    /registered for it already/,
  ],
])("schedule() refuses %s", async (_, register, message) => {
  const { pgq } = await worker();

  expect(() => register(pgq)).toThrow(message);
});
