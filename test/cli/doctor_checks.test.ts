import { describe, expect, test } from "vitest";
import { findings } from "../../src/cli/doctor_checks.ts";
import type { Finding } from "../../src/cli/finding.ts";
import { SchemaError } from "../../src/errors.ts";
import type { Examination, ServerState, TableState } from "../../src/queries/doctor.ts";
import type { EntrypointStatus, ScheduleInfo, Status } from "../../src/queries/overview.ts";
import { resolveSettings } from "../../src/settings.ts";

const NOW = new Date("2026-11-22T12:00:00Z");
const THRESHOLDS = { silentAfter: 30, waiting: 60, snapshot: 300 };

const SERVER: ServerState = {
  standby: false,
  readonly: false,
  autovacuum: true,
  notifications: 0,
  notifies: true,
  schema: "jobs",
  skewMs: 5,
  skewErrorMs: 2,
};

const STATUS: Status = {
  now: NOW,
  windowMs: 300_000,
  entrypoints: [],
  holders: [],
  listening: 1,
};

function anExamination(fields: Partial<Examination> = {}): Examination {
  return {
    settings: resolveSettings({ schema: "jobs" }, {}),
    schema: {
      absent: false,
      missing: [],
      invalidIndexes: [],
      advised: [],
      parameters: [],
      disabledTrigger: false,
    },
    server: { found: SERVER },
    tables: { found: [] },
    snapshots: { found: [] },
    log: { found: { oldest: 60, pending: 0 } },
    status: { found: STATUS },
    schedules: { found: [] },
    ...fields,
  };
}

/** What one check finds. */
function found(check: string, fields: Partial<Examination>): Omit<Finding, "check">[] {
  return findings(anExamination(fields), THRESHOLDS).filter((finding) => finding.check === check)
    .map(({ level, message, fix }) => ({ level, message, fix }));
}

function aTable(fields: Partial<TableState>): TableState {
  return {
    name: "pgqueuer",
    size: 0,
    live: 0,
    dead: 0,
    vacuumed: null,
    unvacuumed: false,
    unlogged: false,
    ...fields,
  };
}

function anEntrypoint(fields: Partial<EntrypointStatus>): EntrypointStatus {
  const none = { p50: null, p95: null };
  return {
    entrypoint: "mail",
    ready: 0,
    deferred: 0,
    picked: 0,
    failed: 0,
    oldestAge: null,
    ended: {},
    perSecond: 0,
    wait: none,
    run: none,
    sample: 0,
    ...fields,
  };
}

function aSchedule(fields: Partial<ScheduleInfo>): ScheduleInfo {
  return {
    id: 1,
    entrypoint: "nightly",
    expression: "0 3 * * *",
    status: "queued",
    created: NOW,
    updated: NOW,
    heartbeat: NOW,
    nextRun: NOW,
    lastRun: null,
    now: NOW,
    ...fields,
  };
}

const secondsAgo = (seconds: number): Date => new Date(NOW.getTime() - seconds * 1_000);

test("a healthy queue has one good finding of each check", () => {
  const all = findings(anExamination(), THRESHOLDS);

  expect(all.map(({ level }) => level)).toEqual(Array(11).fill("ok"));
  expect(new Set(all.map(({ check }) => check)).size).toBe(11);
});

test("nothing installed is one finding and no other", () => {
  const schema = {
    absent: true,
    missing: ["table x"],
    invalidIndexes: [],
    advised: [],
    parameters: [],
    disabledTrigger: false,
  };

  expect(findings(anExamination({ schema }), THRESHOLDS)).toEqual([
    { check: "schema", level: "error", message: "nothing is installed", fix: "pgq install" },
  ]);
});

describe("schema", () => {
  const check = (missing: string[], invalidIndexes: string[] = []) =>
    found("schema", {
      schema: {
        absent: false,
        missing,
        invalidIndexes,
        advised: [],
        parameters: [],
        disabledTrigger: false,
      },
    });

  test("an index costs speed, a unique one keeps a promise", () => {
    const [slow, unique, script] = check([
      "index pgqueuer_picked_heartbeat_idx",
      "index pgqueuer_unique_dedupe_key",
      "function fn_pgqueuer_claim_4",
    ]);

    expect(slow).toEqual({
      level: "warning",
      message: "index pgqueuer_picked_heartbeat_idx is missing",
      fix:
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS pgqueuer_picked_heartbeat_idx ON jobs.pgqueuer (heartbeat) WHERE status = 'picked';",
    });
    expect(unique).toMatchObject({
      level: "error",
      fix: expect.stringMatching(/^CREATE UNIQUE INDEX CONCURRENTLY .*;$/),
    });
    expect(script!.fix).toBe("pgq upgrade");
  });

  test("what no worker misses, and what an operator has set, are notes", () => {
    const { schema } = anExamination();
    const [first, ...notes] = found("schema", {
      schema: {
        ...schema,
        advised: ["index pgqueuer_log_status dropped", "parameter pgqueuer.autovacuum_x"],
        parameters: [{ name: "pgqueuer.autovacuum_y", value: "5", wanted: "1000" }],
      },
    });

    expect(first!.level).toBe("ok");
    expect(notes).toEqual([
      {
        level: "note",
        message: "index pgqueuer_log_status costs each job more than it gives",
        fix: "DROP INDEX CONCURRENTLY jobs.pgqueuer_log_status;",
      },
      { level: "note", message: "parameter pgqueuer.autovacuum_x is not set", fix: "pgq upgrade" },
      {
        level: "note",
        message: "parameter pgqueuer.autovacuum_y is 5, where pgq install sets 1000",
        fix: null,
      },
    ]);
  });

  test("a column of another form is named with what it must be", () => {
    const [found] = check(["column pgqueuer.updated not null"]);

    expect(found).toEqual({
      level: "error",
      message: "this version needs column pgqueuer.updated not null",
      fix: "ALTER TABLE jobs.pgqueuer ALTER COLUMN updated SET NOT NULL;",
    });
  });

  test("an invalid index is dropped first", () => {
    const name = "pgqueuer_picked_heartbeat_idx";

    expect(check([`index ${name}`], [name])).toMatchObject([{
      message: `index ${name} is invalid: its build has failed`,
      fix: expect.stringMatching(
        /^DROP INDEX CONCURRENTLY jobs\.pgqueuer_picked_heartbeat_idx; CREATE INDEX /,
      ),
    }]);
  });

  test("columns, labels and the trigger have their statement, the rest its command", () => {
    const fixes = check([
      "column pgqueuer.slot",
      "column pgqueuer_log.job_id as bigint",
      "label failed",
      "trigger tg_pgqueuer_changed",
      "table pgqueuer_schedules",
      "function fn_pgqueuer_changed",
    ]).map(({ fix }) => fix);

    expect(fixes).toEqual([
      "ALTER TABLE jobs.pgqueuer ADD COLUMN IF NOT EXISTS slot bigint;",
      "ALTER TABLE jobs.pgqueuer_log ALTER COLUMN job_id TYPE bigint;",
      "ALTER TYPE jobs.pgqueuer_status ADD VALUE IF NOT EXISTS 'failed';",
      expect.stringMatching(
        /^CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT .* ON jobs\.pgqueuer FOR EACH .*;$/,
      ),
      "pgq upgrade",
      "pgq upgrade",
    ]);
  });
});

describe("server, clock and notifications", () => {
  const cases: [
    title: string,
    check: string,
    Partial<ServerState>,
    level: string,
    words: string,
  ][] = [
    ["a standby", "server", { standby: true, readonly: true }, "error", "is a standby"],
    ["read-only", "server", { readonly: true }, "error", "transactions are read-only"],
    ["no autovacuum", "server", { autovacuum: false }, "error", "autovacuum is off"],
    ["a clock ahead", "clock", { skewMs: 5_000 }, "warning", "5.0s ahead of the database's"],
    ["a clock behind", "clock", { skewMs: -61_000 }, "warning", "1m 1s behind"],
    ["a slow answer", "clock", { skewMs: 5_000, skewErrorMs: 4_000 }, "ok", "as the database's"],
    ["a filling queue", "notifications", { notifications: 0.06 }, "warning", "6.0 % full"],
    ["a full queue", "notifications", { notifications: 0.51 }, "error", "51 % full"],
    ["another channel", "notifications", { notifies: false }, "error", "another channel"],
  ];
  test.each(cases)("%s", (_, check, fields, level, words) => {
    const all = found(check, { server: { found: { ...SERVER, ...fields } } });

    expect(all).toHaveLength(1);
    expect(all[0]).toMatchObject({ level, message: expect.stringContaining(words) });
  });
});

describe("tables, snapshots and log", () => {
  test("dead rows beside few live ones", () => {
    const check = (...tables: TableState[]) => found("tables", { tables: { found: tables } });

    expect(check(aTable({ dead: 10_001, live: 5_000 }))).toEqual([{
      level: "warning",
      message: "pgqueuer has 10,001 dead rows beside 5,000 live ones",
      fix: "VACUUM (ANALYZE) jobs.pgqueuer;",
    }]);
    expect(check(aTable({ dead: 10_001, live: 5_001 }))[0]!.level).toBe("ok");
    expect(check(aTable({ dead: 9_000, live: 0 }))[0]!.level).toBe("ok");
    expect(check(aTable({ name: "pgqueuer_log", dead: 1e6, live: 0 }))[0]!.level).toBe("ok");
    expect(check(aTable({ name: "pgqueuer_log", dead: 2e6, live: 0 }))[0]!.level).toBe("warning");
  });

  test("a table without autovacuum, and one that a crash empties", () => {
    const all = found("tables", {
      tables: { found: [aTable({ unvacuumed: true }), aTable({ name: "x", unlogged: true })] },
    });

    expect(all).toMatchObject([
      { level: "error", fix: "ALTER TABLE jobs.pgqueuer RESET (autovacuum_enabled);" },
      { level: "note", message: "a crash of the server empties x" },
    ]);
  });

  test("who holds a snapshot for too long", () => {
    const holder = { name: "42", about: "psql, me, idle in transaction", age: 301 };
    const all = found("snapshots", {
      snapshots: {
        found: [
          { kind: "session", ...holder },
          { kind: "session", ...holder, age: 299 },
          { kind: "prepared transaction", name: "it's", about: "me", age: 4_000 },
          { kind: "replication slot", name: "copy", about: "inactive", age: null },
        ],
      },
    });

    expect(all.map(({ fix }) => fix)).toEqual([
      "SELECT pg_terminate_backend(42);",
      "ROLLBACK PREPARED 'it''s';",
      "SELECT pg_drop_replication_slot('copy');",
    ]);
    expect(all[0]!.message).toBe(
      "session 42 (psql, me, idle in transaction) holds a snapshot for 5m 1s: dead rows pile up meanwhile",
    );
  });

  test("who may not see sessions does not know", () => {
    const status = { found: { ...STATUS, listening: null } };

    expect(found("snapshots", { status })).toMatchObject([
      { level: "unknown", fix: "GRANT pg_read_all_stats TO <role>;" },
    ]);
  });

  test("a large log, and one that nobody counts", () => {
    const tables = { found: [aTable({ name: "pgqueuer_log", size: 11e9 })] };
    const all = found("log", { tables, log: { found: { oldest: 1, pending: 100_001 } } });

    expect(all).toMatchObject([
      { level: "warning", message: expect.stringContaining("100,001 rows are not counted") },
      { level: "warning", message: "pgqueuer_log has 11.0 GB" },
    ]);
    expect(found("log", { log: { found: { oldest: null, pending: 100_000 } } })).toMatchObject([
      { level: "ok", message: "0 B, empty" },
    ]);
  });
});

describe("workers, entrypoints, held jobs and schedules", () => {
  test("a worker that renews no lease", () => {
    const holder = { id: "w", jobs: 2, entrypoints: ["mail", "report"] };
    const check = (silence: number) =>
      found("workers", { status: { found: { ...STATUS, holders: [{ ...holder, silence }] } } });

    expect(check(31)).toMatchObject([{
      level: "error",
      message: "w holds 2 jobs of mail, report and is silent for 31s",
    }]);
    expect(check(30)).toMatchObject([
      { level: "ok", message: "1 holds jobs and renews its lease, 1 session listens" },
    ]);
  });

  test("no worker at all is a note, unless the sessions of others are hidden", () => {
    const check = (listening: number | null) =>
      found("workers", { status: { found: { ...STATUS, listening } } });

    expect(check(0)).toMatchObject([{
      level: "note",
      message: "none is to be seen: no job is held, and no session listens",
    }]);
    expect(check(2)).toMatchObject([{
      level: "ok",
      message: "0 hold jobs and renew their leases, 2 sessions listen",
    }]);
    expect(check(null)).toMatchObject([{
      level: "ok",
      message: "0 hold jobs and renew their leases",
    }]);
  });

  test("an entrypoint with jobs that nobody works on", () => {
    const check = (fields: Partial<EntrypointStatus>) =>
      found("entrypoints", {
        status: { found: { ...STATUS, entrypoints: [anEntrypoint(fields)] } },
      })[0]!;

    expect(check({ ready: 3, oldestAge: 61 })).toMatchObject({
      level: "error",
      message: 'nobody works on "mail": 3 ready, the oldest for 1m 1s, none run in the last 5m',
    });
    // Nobody has to work on a job that is canceled.
    expect(check({ ready: 3, oldestAge: 61, ended: { canceled: 9 } }).level).toBe("error");
    for (
      const fields of [
        { ready: 3, oldestAge: 60 },
        { ready: 3, oldestAge: 900, picked: 1 },
        { ready: 3, oldestAge: 900, ended: { successful: 1 } },
        { ready: 3, oldestAge: 900, ended: { exception: 1 } },
        { ready: 3, oldestAge: 900, ended: { failed: 1 } },
        { deferred: 3 },
      ]
    ) expect(check(fields).level).toBe("ok");
  });

  test("held jobs are a note", () => {
    const entrypoints = [anEntrypoint({ failed: 1_200 }), anEntrypoint({ failed: 1 })];

    expect(found("held jobs", { status: { found: { ...STATUS, entrypoints } } })).toEqual([{
      level: "note",
      message: "1,201 wait for somebody to look",
      fix: "pgq failed",
    }]);
  });

  test("a schedule that is late, or whose worker is silent", () => {
    const check = (fields: Partial<ScheduleInfo>) =>
      found("schedules", { schedules: { found: [aSchedule(fields)] } })[0]!;

    expect(check({ nextRun: secondsAgo(61) })).toMatchObject({
      level: "warning",
      message: '"nightly" (0 3 * * *) is 1m 1s late: no worker registers it',
      fix: "pgq schedules --remove 'nightly', or run a worker with it",
    });
    expect(check({ status: "picked", heartbeat: secondsAgo(31) }).level).toBe("error");
    for (
      const fields of [
        { nextRun: secondsAgo(59) },
        { nextRun: null },
        { status: "picked" as const, nextRun: secondsAgo(900), heartbeat: secondsAgo(29) },
      ]
    ) expect(check(fields).level).toBe("ok");
  });
});

test("what cannot be read as the schema is old is unknown, and the rest is still examined", () => {
  const error = new SchemaError('Cannot read as x is missing: run "pgq install"');
  const failed = { error, denied: false };
  const all = findings(anExamination({ status: failed, schedules: failed }), THRESHOLDS);

  const unknown = all.filter(({ level }) => level === "unknown").map(({ check }) => check);
  expect(unknown).toEqual(["workers", "entrypoints", "held jobs", "schedules"]);
  expect(all.filter(({ level }) => level === "ok")).toHaveLength(7);
});

test("what the role may not read is an error, as nobody knows how it is", () => {
  const error = new SchemaError(
    'Cannot read the queue as permission denied for table q: run "GRANT SELECT ON q TO <role>"',
  );

  expect(found("log", { log: { error, denied: true } })).toEqual([{
    level: "error",
    message: "not examined: Cannot read the queue as permission denied for table q",
    fix: "GRANT SELECT ON q TO <role>;",
  }]);
});
