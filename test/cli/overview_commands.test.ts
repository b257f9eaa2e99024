import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "../support/queue.ts";
import { aTerminal, callPgq, PgqProcess, TestQueue } from "./fixtures/pgq.ts";

const [FIRST, SECOND] = [
  "11111111-1111-4111-8111-111111111111",
  "22222222-2222-4222-8222-222222222222",
];
const queue = new TestQueue();
const { env, sql, table } = queue;

beforeAll(async () => {
  await callPgq(["install"], { env });
});
beforeEach(async () => {
  await sql.unsafe(`
    TRUNCATE ${table} RESTART IDENTITY; TRUNCATE ${table}_log; TRUNCATE ${table}_statistics;
    TRUNCATE ${table}_schedules RESTART IDENTITY`);
});
afterAll(() => queue.drop());

const pgq = (...args: string[]) => callPgq(args, { env });
const json = async (...args: string[]) => JSON.parse((await pgq(...args, "--json")).stdout);

/** Writes a row of the queue, as old as it is said to be. */
async function aJob(entrypoint: string, status: string, fields: string, age = 0): Promise<void> {
  await sql.unsafe(`
    INSERT INTO ${table} (priority, entrypoint, status, created, execute_after, heartbeat, queue_manager_id)
    SELECT 0, '${entrypoint}', '${status}', now() - ${age} * interval '1 s', ${
    fields || "now(), now(), NULL"
  }`);
}

/** Writes the log of a job that waited and ran so many seconds and ended so long ago. */
async function anEnd(
  id: number,
  wait: number,
  run: number,
  ago = 10,
  status = "successful",
): Promise<void> {
  await sql.unsafe(`
    INSERT INTO ${table}_log (job_id, status, entrypoint, priority, created)
    SELECT ${id}, status::${table}_status, 'mail', 0, now() - age * interval '1 s'
    FROM (VALUES ('queued', ${ago + run + wait}), ('picked', ${
    ago + run
  }), ('${status}', ${ago})) AS row(status, age)`);
}

describe("pgq status", () => {
  test("counts the jobs of each entrypoint and gives the age of the oldest ready one", async () => {
    await aJob("mail", "queued", "now() - interval '1 day', now(), NULL", 120);
    await aJob("mail", "queued", "now() - interval '30 s', now(), NULL", 400);
    await aJob("mail", "queued", "now() + interval '1 h', now(), NULL", 900);
    await aJob("mail", "failed", "", 900);
    await aJob("report", "picked", `now(), now(), '${FIRST}'`);

    const { entrypoints, totals, window_seconds } = await json("status");

    expect(window_seconds).toBe(300);
    expect(totals).toEqual({ ready: 2, deferred: 1, picked: 1, failed: 1, per_second: 0 });
    expect(entrypoints).toMatchObject([
      { entrypoint: "mail", ready: 2, deferred: 1, picked: 0, failed: 1, sample: 0 },
      { entrypoint: "report", ready: 0, deferred: 0, picked: 1, failed: 0, ended: {} },
    ]);
    expect(entrypoints[0].oldest_age_seconds).toBeGreaterThanOrEqual(120);
    expect(entrypoints[0].oldest_age_seconds).toBeLessThan(150);
    expect(entrypoints[1].oldest_age_seconds).toBe(null);
  });

  test("gives throughput, waits and runs of the window", async () => {
    for (let id = 1; id <= 19; id++) await anEnd(id, 2, 1);
    await anEnd(20, 60, 5, 10, "exception");
    // Longer ago than the window.
    await anEnd(21, 500, 500, 4_000);
    // Canceled while it waited for another attempt: it did not run until then.
    await anEnd(22, 2, 1, 40, "queued");
    await sql.unsafe(`
      INSERT INTO ${table}_log (job_id, status, entrypoint, priority, created)
      VALUES (22, 'canceled', 'mail', 0, now() - interval '1 s')`);
    await sql.unsafe(`UPDATE ${table}_log SET aggregated = true WHERE job_id <= 5`);
    await sql.unsafe(`
      INSERT INTO ${table}_statistics (created, count, priority, status, entrypoint)
      SELECT date_trunc('second', created), count(*), 0, status, entrypoint FROM ${table}_log
      WHERE aggregated GROUP BY 1, 4, 5`);

    const { entrypoints: [mail, ...others], totals } = await json("status", "--last", "100");
    const wide = await json("status", "--last", "10000");

    expect(others).toEqual([]);
    expect(mail).toMatchObject({
      ended: { successful: 19, exception: 1, canceled: 1 },
      per_second: 0.21,
      wait_seconds: { p50: 2, p95: 2 },
      run_seconds: { p50: 1, p95: 1 },
      sample: 20,
      ready: 0,
    });
    expect(totals.per_second).toBe(0.21);
    expect(wide.entrypoints[0]).toMatchObject({
      ended: { successful: 20, exception: 1, canceled: 1 },
      wait_seconds: { p50: 2, p95: 60 },
      run_seconds: { p50: 1, p95: 5 },
    });
  });

  test("tells workers at work from silent ones", async () => {
    await aJob("mail", "picked", `now(), now() - interval '40 s', '${FIRST}'`);
    await aJob("mail", "picked", `now(), now() - interval '90 s', '${FIRST}'`);
    await aJob("mail", "picked", `now(), now() - interval '5 s', '${SECOND}'`);
    await aJob("report", "picked", `now(), now() - interval '50 s', '${SECOND}'`);

    const { workers } = await json("status");
    const patient = await json("status", "--silent-after", "60");
    const { stdout } = await pgq("status");

    expect(workers.alive).toMatchObject([
      { queue_manager_id: SECOND, jobs: 2, entrypoints: ["mail", "report"] },
    ]);
    expect(workers.silent).toMatchObject([{ queue_manager_id: FIRST, jobs: 2 }]);
    expect(workers.silent[0].heartbeat_age_seconds).toBeGreaterThanOrEqual(40);
    expect(patient.workers.alive).toHaveLength(2);
    expect(stdout).toMatch(/^Workers {5}1 at work, \d+ sessions? listens?\n/);
    // A slow machine comes some seconds later.
    expect(stdout).toMatch(new RegExp(`${FIRST} is silent for 4\\ds with 2 jobs\n`));
  });

  test("counts sessions that listen, and health checks where asked to", async () => {
    const channel = `${queue.prefix}ch_pgqueuer`;
    const before = (await json("status")).workers;
    const listener = await sql.listen(channel, () => {});
    await until(
      "the session is seen",
      async () =>
        (await json("status")).workers.listening_sessions === before.listening_sessions + 1,
    );
    const check = (id: string, worker?: string) =>
      JSON.stringify({
        type: "health_check_event",
        channel,
        sent_at: new Date(),
        id,
        ...(worker && { fleet: { worker, group: "g" } }),
      });
    let told = false;
    const telling = (async () => {
      while (!told) {
        for (const id of ["a", "a", "b"]) await sql.notify(channel, check(id));
        // One of ours, twice.
        for (const id of ["c", "d"]) await sql.notify(channel, check(id, "w"));
        await sql.notify(channel, JSON.stringify({ type: "table_changed_event" }));
      }
    })();

    const { workers } = await json("status", "--listen", "0.5");
    told = true;
    await telling;
    await listener.unlisten();

    expect(before.health_checks).toBe(null);
    expect(workers.health_checks).toBe(3);
  });

  test("draws a table on a terminal", async () => {
    await aJob("mail", "failed", "");
    await aJob("mail", "picked", `now(), now() - interval '40 s', '${FIRST}'`);

    const plain = await pgq("status");
    const { stdout } = await callPgq(["status"], { env, terminal: aTerminal({ colors: true }) });

    expect(plain.stdout).toContain("\n\nENTRYPOINT\tREADY\tDEFERRED\tPICKED\tFAILED\tOLDEST\t");
    expect(plain.stdout).toContain("\nmail\t0\t0\t1\t1\t-\t0\t-\t-\t-\t-\n");
    expect(stdout).toContain("\x1b[31m            1111");
    expect(stdout).toContain(
      `\nmail${" ".repeat(12)}0         0       1       \x1b[31m1\x1b[39m       -`,
    );
  });

  test("says so when there is nothing", async () => {
    const { code, stdout } = await pgq("status");

    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Workers {5}0 at work, .*\nThroughput {2}0 a minute over the last 5m\n\nNo jobs, and none of late\n$/,
    );
  });
});

describe("pgq schedules", () => {
  beforeEach(async () => {
    await sql.unsafe(`
      INSERT INTO ${table}_schedules (expression, entrypoint, next_run, last_run, status) VALUES
        ('0 3 * * *', 'nightly', now() + interval '1 h', now() - interval '23 h', 'queued'),
        ('0 4 * * *', 'nightly', now() - interval '90 s', NULL, 'picked'),
        ('* * * * *', 'paused', 'infinity', NULL, 'queued')`);
  });

  test("lists them", async () => {
    const { code, stdout } = await pgq("schedules");
    const [first, , last] = await json("schedules");

    expect(code).toBe(0);
    // A slow machine comes some seconds later.
    const early = stdout.replace(/in 59m 5\ds/, "in 1h").replace(/1m 3\ds late/, "1m 30s late");
    expect(early).toBe(
      [
        "ID\tENTRYPOINT\tEXPRESSION\tSTATUS\tNEXT\tLAST",
        "1\tnightly\t0 3 * * *\tqueued\tin 1h\t23h ago",
        "2\tnightly\t0 4 * * *\tpicked\t1m 30s late\tnever",
        "3\tpaused\t* * * * *\tpaused\t-\tnever\n",
      ].join("\n"),
    );
    expect(Object.keys(first)).toEqual([
      "id",
      "entrypoint",
      "expression",
      "status",
      "next_run",
      "last_run",
      "created",
      "updated",
      "heartbeat",
    ]);
    expect(last).toMatchObject({ id: 3, status: "queued", next_run: null, last_run: null });
  });

  test("removes by id and by entrypoint, and says which name stands for none", async () => {
    const some = await pgq("schedules", "-r", "3", "nosuch");
    const rest = await json("schedules", "--remove", "nightly", "--remove", "1");
    const none = await pgq("schedules");

    expect(some).toEqual({
      code: 1,
      stdout: "Removed 1 schedule\n",
      stderr: 'No schedule has the id or entrypoint "nosuch"\n',
    });
    expect(rest.removed.map(({ id }: { id: number }) => id).sort()).toEqual([1, 2]);
    expect(rest.not_found).toEqual([]);
    expect(none).toEqual({ code: 0, stdout: "", stderr: "No schedules\n" });
  });
});

describe("pgq listen", () => {
  test("prints the notifications of the queue's channel", async () => {
    const heard = callPgq(["listen", "--limit", "2"], { env });
    const parsed = callPgq(["listen", "--limit", "1", "--json"], { env });
    let ended = false;
    void Promise.all([heard, parsed]).finally(() => ended = true);
    await until("both have heard", async () => {
      await pgq("queue", "mail");
      return ended;
    });

    const { code, stdout, stderr } = await heard;
    const event = JSON.parse((await parsed).stdout);

    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `Listening to ${queue.prefix}ch_pgqueuer\n`,
    });
    expect(stdout.trim().split("\n").map((line) => JSON.parse(line).operation)).toEqual([
      "insert",
      "insert",
    ]);
    expect(event).toMatchObject({
      received: expect.stringMatching(/Z$/),
      channel: `${queue.prefix}ch_pgqueuer`,
      payload: { type: "table_changed_event", operation: "insert" },
    });
  });

  test("prints any text of another channel, and ends on a signal", async () => {
    const channel = `Other "${queue.prefix}`;
    const listening = new PgqProcess(["listen", "--channel", channel], { env });
    await listening.waitFor("Listening to Other");
    await sql.notify(channel, "not json\x1b[2J");
    await listening.waitFor("not json\\x1b[2J\n");

    listening.signal("SIGTERM");

    expect((await listening.ended).code).toBe(0);
  }, 60_000);
});
