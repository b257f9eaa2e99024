import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aTerminal, callPgq, runPgq, TestQueue } from "./fixtures/pgq.ts";

const WORKER = "11111111-1111-4111-8111-111111111111";
const queue = new TestQueue();
const { env, sql, table } = queue;

beforeAll(async () => {
  await callPgq(["install"], { env });
});
beforeEach(async () => {
  await sql.unsafe(`TRUNCATE ${table} RESTART IDENTITY; TRUNCATE ${table}_log`);
});
afterAll(() => queue.drop());

const pgq = (...args: string[]) => callPgq(args, { env });
const json = async (...args: string[]) => JSON.parse((await pgq(...args, "--json")).stdout);

/** Writes a row of the queue and its log, as workers do. Gives its id. */
async function aJob(fields: Record<string, unknown> = {}, age = 0): Promise<number> {
  const [job] = await sql`
    INSERT INTO ${sql(table)} ${
    sql({ status: "queued", entrypoint: "work", priority: 0, ...fields })
  }
    RETURNING id::int`;
  await sql`
    UPDATE ${sql(table)} SET created = now() - ${age}::float8 * interval '1 second' WHERE id = ${
    job!.id
  }`;
  return job!.id;
}

async function aLogRow(
  id: number,
  status: string,
  age: number,
  traceback: object | null = null,
): Promise<void> {
  await sql`
    INSERT INTO ${sql(`${table}_log`)} (job_id, status, entrypoint, priority, created, traceback)
    VALUES (${id}, ${status}, 'work', 0, now() - ${age}::float8 * interval '1 second',
      ${traceback === null ? null : sql.json(traceback as never)})`;
}

function aTraceback(id: number, message: string, context: object | null = null): object {
  return {
    job_id: id,
    timestamp: "2026-11-22T20:24:52.738372Z",
    exception_type: "RangeError",
    exception_message: message,
    traceback: `RangeError: ${message}\n    at run (main.ts:5:3)`,
    additional_context: context,
  };
}

describe("pgq ls", () => {
  test("lists what stands in the queue, the newest first", async () => {
    await aJob({ priority: 5, payload: Buffer.from("abc") }, 200);
    await sql.unsafe(`UPDATE ${table} SET execute_after = now() + interval '300 s' WHERE id = 1`);
    await aJob({ status: "picked", queue_manager_id: WORKER, cancel_requested: true });
    await aJob({ status: "failed", attempts: 3, entrypoint: "tab\tand \x1b[2J" });
    await aLogRow(3, "failed", 0, aTraceback(3, "no 3"));

    const { code, stdout, stderr } = await pgq("ls");

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n").map((line) => line.split("\t"));
    expect(lines.map((cells) => [...cells.slice(0, 5), cells[6]])).toEqual([
      ["ID", "STATUS", "ENTRYPOINT", "PRIORITY", "ATTEMPTS", "NOTE"],
      ["3", "failed", "tab\\tand \\x1b[2J", "0", "3", "RangeError: no 3"],
      // A slow machine comes some seconds later.
      ["2", "picked", "work", "0", "0", expect.stringMatching(/^heartbeat \d+m?s ago, cancel/)],
      ["1", "queued", "work", "5", "0", expect.stringMatching(/^due in (4m 5\ds|5m)$/)],
    ]);
    expect(lines[3]![5]).toMatch(/^3m 2\ds$/);
  });

  test.each(["ls", "failed"])("%s says where there are more than it lists", async (command) => {
    for (let n = 0; n < 3; n++) await aJob({ status: "failed" });

    const some = await pgq(command, "--limit", "2");
    const asJson = await pgq(command, "--limit", "2", "--json");
    const all = await pgq(command, "--limit", "3");
    const most = await pgq(command, "--limit", String(2 ** 31 - 1));

    expect(some.stdout.trim().split("\n")).toHaveLength(3);
    expect(JSON.parse(asJson.stdout)).toHaveLength(2);
    for (const { code, stderr } of [some, asJson]) {
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: "There are more than these 2: see --limit\n",
      });
    }
    for (const { code, stderr } of [all, most]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    }
  });

  test("filters by status, entrypoint and age, and obeys the limit", async () => {
    for (const age of [1_000, 110]) await aJob({}, age);
    await aJob({ entrypoint: "other" }, 100);
    await aJob({ status: "failed" }, 90);
    await aJob({}, 10);
    const ids = async (...args: string[]) =>
      (await json("ls", ...args)).map(({ id }: { id: number }) => id);

    expect(await ids("--status", "queued")).toEqual([5, 3, 2, 1]);
    expect(await ids("--status", "failed")).toEqual([4]);
    expect(await ids("--status", "queued,failed", "--entrypoint", "work", "--limit", "3"))
      .toEqual([5, 4, 2]);
    expect(await ids("--older-than", "50", "--newer-than", "500")).toEqual([4, 3, 2]);
    expect(await ids("--older-than", "500")).toEqual([1]);
    expect(await ids("-n", "1")).toEqual([5]);
    expect(await ids("--entrypoint", "nosuch")).toEqual([]);
  });

  test("finds in the log how jobs ended", async () => {
    await aLogRow(7, "queued", 90);
    await aLogRow(7, "successful", 80);
    await aLogRow(8, "exception", 60, aTraceback(8, "no 8"));
    const live = await aJob({}, 70);

    const ended = await json("ls", "--status", "successful,exception,canceled");
    const both = await json("ls", "--status", "queued,exception,successful");
    const late = await json("ls", "--status", "successful,exception", "--newer-than", "70");

    expect(ended.map(({ id, status, error }: Record<string, unknown>) => [id, status, error]))
      .toEqual([
        [8, "exception", { type: "RangeError", message: "no 8" }],
        [7, "successful", null],
      ]);
    expect(both.map(({ id }: { id: number }) => id)).toEqual([8, live, 7]);
    expect(late.map(({ id }: { id: number }) => id)).toEqual([8]);
  });

  test("--json gives the same keys for every job", async () => {
    await aJob({
      status: "picked",
      queue_manager_id: WORKER,
      slot: 2,
      dedupe_key: "k",
      headers: { a: [1] },
      payload: Buffer.from([0, 255]),
    });
    await aLogRow(9, "canceled", 5);

    const [live, ended] = await json("ls", "--status", "picked,canceled");

    expect(live).toEqual({
      id: 1,
      status: "picked",
      entrypoint: "work",
      priority: 0,
      attempts: 0,
      created: expect.stringMatching(/^\d{4}-.*Z$/),
      updated: expect.stringMatching(/Z$/),
      heartbeat: expect.stringMatching(/Z$/),
      execute_after: expect.stringMatching(/Z$/),
      ended: null,
      queue_manager_id: WORKER,
      slot: 2,
      dedupe_key: "k",
      headers: { a: [1] },
      payload_bytes: 2,
      cancel_requested: false,
      take_overs: 0,
      error: null,
    });
    expect(Object.keys(ended)).toEqual(Object.keys(live));
    expect(ended).toMatchObject({ id: 9, ended: expect.stringMatching(/Z$/), created: null });
  });

  test("says so when there is nothing", async () => {
    expect(await pgq("ls")).toEqual({ code: 0, stdout: "", stderr: "No such jobs\n" });
    expect(await pgq("ls", "--json")).toEqual({ code: 0, stdout: "[]\n", stderr: "" });
  });

  test("draws a table on a terminal, in colours where they are wanted", async () => {
    await aJob({ status: "picked", queue_manager_id: WORKER });
    const on = (colors: boolean, columns = 120) =>
      callPgq(["ls"], { env, terminal: aTerminal({ colors, columns }) });

    const plain = await on(false);
    const painted = await on(true);
    const narrow = await on(false, 20);

    expect(plain.stdout).toMatch(/^ID {2}STATUS {2}ENTRYPOINT .*\n 1 {2}picked {2}work {8}/);
    expect(painted.stdout).toContain("\x1b[36mpicked\x1b[39m");
    expect(narrow.stdout.split("\n").every((line) => line.length <= 20)).toBe(true);
  });
});

describe("pgq failed", () => {
  test("lists held jobs alone, with the size of the payload and why", async () => {
    await aJob();
    await aJob({ status: "failed", attempts: 2, payload: Buffer.from("abc") });
    await aLogRow(2, "failed", 1, aTraceback(2, "no 2"));

    const { stdout } = await pgq("failed", "--limit", "5");
    const [job, ...others] = await json("failed");

    expect(stdout).toMatch(
      /^ID\tENTRYPOINT\tATTEMPTS\tAGE\tPAYLOAD\tERROR\n2\twork\t2\t\S+\t3\tRangeError: no 2\n$/,
    );
    expect(others).toEqual([]);
    // What the Python project's command gives.
    expect(job).toMatchObject({
      id: 2,
      priority: 0,
      status: "failed",
      entrypoint: "work",
      attempts: 2,
      queue_manager_id: null,
      slot: null,
      headers: null,
      payload_bytes: 3,
    });
    expect(await pgq("failed", "-n", "1")).toMatchObject({ code: 0 });
  });

  test("says so when none is held", async () => {
    expect(await pgq("failed")).toEqual({ code: 0, stdout: "", stderr: "No failed jobs\n" });
  });
});

describe("pgq show", () => {
  test("shows a held job: its row, its log as a time line, why it failed", async () => {
    await aJob({
      status: "failed",
      attempts: 1,
      dedupe_key: "k",
      headers: { a: 1 },
      payload: Buffer.from("grüße\x1b"),
    }, 60);
    await aLogRow(1, "queued", 60);
    await aLogRow(1, "picked", 58);
    await aLogRow(1, "queued", 57, aTraceback(1, "first", { retry_delay: "0:00:30" }));
    await aLogRow(1, "picked", 20);
    await aLogRow(1, "failed", 15, aTraceback(1, "last\x1b[2J"));

    const { code, stdout } = await pgq("show", "1", "--payload");

    expect(code).toBe(0);
    expect(stdout).not.toContain("\x1b");
    expect(stdout).toContain("Job 1  work  failed\n");
    expect(stdout).toContain("attempts     1\n");
    expect(stdout).toContain('headers      {"a":1}\n');
    expect(stdout).toContain("payload      8 bytes\n");
    expect(stdout).toContain("payload is   grüße\\x1b\n");
    expect(stdout).toMatch(/Z {13}queued\n {2}\S+Z {6}\+2\.0s {2}picked\n/);
    expect(stdout).toContain("  queued      RangeError: first (again in 0:00:30)\n");
    expect(stdout).toContain("+37s  picked\n");
    expect(stdout).toContain(
      "Traceback of the last failure\n  RangeError: last\\x1b[2J\n      at run (main.ts:5:3)\n",
    );
  });

  test("shows a job that is gone, from the log", async () => {
    await aLogRow(5, "picked", 3);
    await aLogRow(5, "exception", 2, aTraceback(5, "no 5"));

    const { stdout } = await pgq("show", "5");
    const shown = await json("show", "5", "--payload");

    expect(stdout).toContain("Job 5  work  exception, gone from the queue\n");
    expect(shown).toMatchObject({ id: 5, status: "exception", job: null, payload: null });
    expect(shown.log.map(({ status }: { status: string }) => status)).toEqual([
      "picked",
      "exception",
    ]);
    expect(shown.log[1].traceback).toEqual(aTraceback(5, "no 5"));
  });

  test("--json gives the payload only where it is asked for", async () => {
    await aJob({ payload: Buffer.from([0xff, 0x00]) });
    await aJob({ payload: Buffer.from("{}") });

    const without = await json("show", "1");
    const binary = await json("show", "1", "--payload");
    const text = await json("show", "2", "--payload");

    expect(without).toMatchObject({ id: 1, status: "queued", job: { payload_bytes: 2 }, log: [] });
    expect(without).not.toHaveProperty("payload");
    expect(binary.payload).toEqual({ text: null, base64: "/wA=" });
    expect(text.payload).toEqual({ text: "{}", base64: "e30=" });
    expect((await pgq("show", "1", "--payload")).stdout).toContain("payload is   hex ff00\n");
  });

  test("ends with code 1 for a job that is not known", async () => {
    expect(await pgq("show", "99")).toEqual({
      code: 1,
      stdout: "",
      stderr: "Cannot show job 99 as neither the queue nor the log knows it\n",
    });
  });
});

describe("pgq cancel", () => {
  test("cancels queued, held and running jobs", async () => {
    await aJob();
    await aJob({ status: "failed" });
    await aJob({ status: "picked", queue_manager_id: WORKER });

    const done = await pgq("cancel", "1", "2", "3", "1");
    const left = await sql.unsafe(`SELECT id::int, cancel_requested FROM ${table}`);

    expect(done).toEqual({ code: 0, stdout: "Canceled 3 of 3 jobs\n", stderr: "" });
    expect([...left]).toEqual([{ id: 3, cancel_requested: true }]);
  });

  test("ends with code 1 if one is not there", async () => {
    await aJob();

    const text = await pgq("cancel", "1", "8");
    const nothing = await callPgq(["cancel", "8", "9", "--json"], { env });

    expect(text).toEqual({
      code: 1,
      stdout: "Canceled 1 of 2 jobs\n",
      stderr: "Not in the queue: 8\n",
    });
    expect(nothing.code).toBe(1);
    expect(JSON.parse(nothing.stdout)).toEqual({ canceled: [], not_found: [8, 9] });
  });
});

describe("pgq requeue", () => {
  test("queues held jobs again, and says which it could not", async () => {
    await aJob({ status: "failed", attempts: 4 });
    await aJob({ status: "failed", dedupe_key: "k" });
    await aJob({ dedupe_key: "k" });

    const { code, stdout, stderr } = await pgq("requeue", "1", "2", "3");
    const [job] = await sql.unsafe(`SELECT status, attempts FROM ${table} WHERE id = 1`);

    expect(code).toBe(1);
    expect(stdout).toBe("Requeued 1 of 3 jobs\n");
    expect(stderr).toBe("Still held, as a live job has the same dedupe key: 2\nNot held: 3\n");
    expect(job).toEqual({ status: "queued", attempts: 0 });
    expect(await json("requeue", "1", "2")).toEqual({
      requeued: [],
      duplicates: [2],
      not_held: [1],
    });
  });

  test("ends with code 0 where all are queued", async () => {
    await aJob({ status: "failed" });

    expect(await pgq("requeue", "1")).toEqual({
      code: 0,
      stdout: "Requeued 1 of 1 job\n",
      stderr: "",
    });
  });
});

test("queue, install, verify and uninstall print JSON where asked", async () => {
  const other = { env: { ...env, PGQUEUER_PREFIX: `${queue.prefix}x` } };
  const asked = async (...args: string[]) =>
    JSON.parse((await callPgq([...args, "--json"], other)).stdout);

  const installed = await asked("install");
  const queued = await asked("queue", "work", "--dedupe-key", "k");
  const skipped = await asked("queue", "work", "--dedupe-key", "k", "--on-conflict", "skip");
  const verified = await asked("verify");
  const removed = await asked("uninstall");
  const missing = await asked("verify");

  expect(installed).toMatchObject({ outcome: "installed", added: [] });
  expect(installed.tables).toContain(`${queue.schema}.${queue.prefix}xpgqueuer`);
  expect([queued, skipped]).toEqual([{ id: 1 }, { id: null }]);
  expect(verified).toEqual({ expect: "present", differences: [], fixes: [] });
  expect(removed.removed).toContain(`table ${queue.prefix}xpgqueuer`);
  expect(missing.differences).toContain(`table ${queue.prefix}xpgqueuer`);
});

test("as a process whose output is a pipe, pgq ls writes tabs and no colours", async () => {
  await aJob();

  const { code, stdout } = await runPgq(["ls"], { env });

  expect(code).toBe(0);
  expect(stdout).toMatch(/^ID\tSTATUS\t.*\n1\tqueued\twork\t0\t0\t\S+\t\n$/);
}, 60_000);
