import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limitOfDrain, limitOfLatency } from "../../src/cli/bench_limits.ts";
import { until } from "../support/queue.ts";
import { aTerminal, callPgq, PgqProcess, TEST_DSN } from "./fixtures/pgq.ts";

const id = randomBytes(4).toString("hex");
/** Its schemas are those of this test, whatever others measure on the same server. */
const owner = `bencher_${id}`;
const nobody = `nobody_${id}`;
const sql = postgres(TEST_DSN, { max: 1, onnotice: () => {} });
const database = new URL(TEST_DSN).pathname.slice(1);
const flags = ["bench", "--pg-dsn", dsnOf(owner)];

beforeAll(async () => {
  for (const role of [owner, nobody]) {
    await sql.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
  }
  await sql.unsafe(`GRANT CREATE ON DATABASE ${database} TO ${owner}`);
});
afterAll(async () => {
  for (const role of [owner, nobody]) {
    await sql.unsafe(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  }
  await sql.end();
});

function dsnOf(role: string): string {
  const dsn = new URL(TEST_DSN);
  [dsn.username, dsn.password] = [role, role];
  return dsn.href;
}

async function schemas(): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    SELECT nspname::text AS name FROM pg_namespace WHERE nspowner = ${owner}::regrole`;
  return rows.map(({ name }) => name);
}

/** How many rows of a status the log of the measurement has. */
async function logged(status: string): Promise<number> {
  const [schema] = await schemas();
  if (schema === undefined) return 0;
  const table = `${schema}.${schema.replace("pgqueuer_", "")}_pgqueuer_log`;
  const [row] = await sql.unsafe(`
    SELECT count(*)::int AS count FROM ${table} WHERE status = '${status}'`).catch(() => []);
  return row?.count ?? 0;
}

test("prints what it measured and what limits it, and leaves nothing behind", async () => {
  let drawn = "";
  const terminal = aTerminal({ write: (text) => drawn += text });

  const { code, stdout, stderr } = await callPgq([...flags, "--jobs", "1500"], { terminal });

  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const number = "[\\d.,]+";
  const spread = `p50 -?${number} ms, p95 ${number} ms, p99 ${number} ms`;
  expect(stdout).toMatch(
    new RegExp(
      [
        `^PostgreSQL ${number}: round trip ${number} ms, commit ${number} ms`,
        `Enqueue: ${number} jobs/s \\(1,500 jobs, 1,000 at a time\\)`,
        `Drain:   ${number} jobs/s \\(one worker, handlers that do nothing\\)`,
        "         limited by .*",
        `Latency: ${spread} from the call of enqueue to the handler`,
        `         ${spread} from its commit`,
        "         limited by .*\n$",
      ].join("\n"),
    ),
  );
  expect(drawn).toMatch(/█░+ +\d+ % {2}latency/);
  // The last of the bar makes room for the figures.
  expect(drawn.endsWith("\r\x1b[K")).toBe(true);
  expect(await schemas()).toEqual([]);
}, 60_000);

test("--json prints one object and draws no bar", async () => {
  let drawn = "";
  const terminal = aTerminal({ write: (text) => drawn += text });

  const json = await callPgq([...flags, "--jobs", "10", "--json"], { terminal });

  const result = JSON.parse(json.stdout);
  const above = expect.any(Number);
  const percentiles = { p50: above, p95: above, p99: above };
  expect(result).toEqual({
    postgres: expect.stringMatching(/^\d+(\.\d+)?/),
    jobs: 10,
    round_trip_ms: above,
    commit_ms: above,
    enqueue: { jobs_per_second: above },
    drain: {
      jobs_per_second: above,
      seconds: above,
      worker_cpu: above,
      sessions: { computing: above, committing: above, locked: above, reading: above },
      limited_by: expect.stringMatching(/^(worker|postgres|commits|locks|disk|network)$/),
    },
    latency: {
      samples: 200,
      from_call_ms: percentiles,
      from_commit_ms: percentiles,
      limited_by: expect.stringMatching(/^(commits|network|scheduling)$/),
    },
  });
  expect(result.latency.from_call_ms.p99).toBeGreaterThanOrEqual(result.latency.from_call_ms.p50);
  expect(drawn).toBe("");
}, 60_000);

describe("Ctrl-C drops what was made", () => {
  test.each([
    { while: "enqueuing", status: "queued", jobs: "100000000" },
    { while: "measuring the latency", status: "successful", jobs: "1" },
  ])("while $while", async ({ status, jobs }) => {
    const bench = new PgqProcess([...flags, "--jobs", jobs]);
    await until("the measurement is under way", async () => await logged(status) > 2);

    bench.signal("SIGINT");
    const { code, stdout, stderr } = await bench.ended;

    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toBe("Stopped on SIGINT, and dropped the schema of the measurement\n");
    expect(await schemas()).toEqual([]);
  }, 60_000);
});

describe("it says why it cannot", () => {
  test("reach the database", async () => {
    const unreachable = "postgresql://app:hunter2@127.0.0.1:1/shop";

    const { code, stdout, stderr } = await callPgq(["bench", "--pg-dsn", unreachable]);

    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("Cannot reach PostgreSQL at 127.0.0.1:1 as the connection is refused");
  });

  test("make a schema", async () => {
    const { code, stdout, stderr } = await callPgq(["bench", "--pg-dsn", dsnOf(nobody)]);

    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`run "GRANT CREATE ON DATABASE ${database} TO ${nobody}"`);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test("use what is on the command line", async () => {
    const none = await callPgq(["bench"]);
    const schema = await callPgq([...flags, "--schema", "mine"]);
    const jobs = await callPgq([...flags, "--jobs", "0"]);

    expect(none).toMatchObject({ code: 2, stdout: "" });
    expect(none.stderr).toContain("no database is named");
    expect(schema).toMatchObject({ code: 2, stdout: "" });
    expect(schema.stderr).toContain('Cannot use "--schema" as pgq bench makes a schema of its own');
    expect(jobs).toMatchObject({ code: 2, stdout: "" });
    expect(jobs.stderr).toContain('"--jobs" as it must be a whole number >= 1');
  });
});

describe("what limits a drain is what was busy most", () => {
  const idle = { computing: 0.1, committing: 0.1, locked: 0, reading: 0 };

  test.each([
    ["worker", { workerCpu: 0.9, sessions: { ...idle, computing: 0.6 } }],
    ["postgres", { workerCpu: 0.6, sessions: { ...idle, computing: 1.4 } }],
    ["commits", { workerCpu: 0.2, sessions: { ...idle, committing: 1.2 } }],
    ["locks", { workerCpu: 0.2, sessions: { ...idle, locked: 0.8 } }],
    ["disk", { workerCpu: 0.2, sessions: { ...idle, reading: 2 } }],
    ["network", { workerCpu: 0.3, sessions: idle }],
  ])("%s", (by, load) => {
    expect(limitOfDrain(load, 12).by).toBe(by as never);
  });

  test("and the latency is limited by commits, round trips or what is left", () => {
    expect(limitOfLatency({ totalMs: 10, commitMs: 4, roundTripMs: 0.5 }).by).toBe("commits");
    expect(limitOfLatency({ totalMs: 60, commitMs: 4, roundTripMs: 25 }).by).toBe("network");
    expect(limitOfLatency({ totalMs: 10, commitMs: 1, roundTripMs: 1 })).toEqual({
      by: "scheduling",
      text: expect.stringContaining("6.00 ms of work"),
    });
  });
});
