/** Serialized entrypoints with a long backlog: jobs without a dedupe key wait behind one another, and are in nobody's way. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ReservedSql } from "postgres";
import { resolveSettings } from "../../mod.ts";
import { type StatementName, Statements } from "../../src/sql/render.ts";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

/** Far more than the thousand due jobs that one claim sorts, and too many for the planner to read the table from its start. */
const BACKLOG = 20_000;
const KEYED = 3;

const me = randomUUID();
let queue: TestQueue;
let statements: Statements;
let session: ReservedSql;
beforeAll(async () => {
  queue = await openTestQueue();
  statements = new Statements(resolveSettings(queue.names));
  session = await queue.sql.reserve();
});
beforeEach(() => queue.clear());
afterAll(async () => {
  session?.release();
  await queue?.close();
});

/** Jobs of `work`, ready or due, without a key or each with its own. */
async function addJobs(kind: "ready" | "due", count: number, keys: boolean): Promise<void> {
  await queue.sql`
    insert into ${
    queue.sql(queue.table)
  } (status, entrypoint, priority, created, execute_after, dedupe_key)
    select 'queued', 'work', 0, moment, moment + ${kind === "due" ? 1 : 0} * interval '1 second',
      case when ${keys} then 'key ' || n end
    from generate_series(1, ${count}::int) n, (values (now() - interval '1 minute')) as past(moment)`;
}

/** A job without a key that runs, for as long as the test does. */
async function runOne(): Promise<void> {
  await queue.sql`
    insert into ${queue.sql(queue.table)} (status, entrypoint, priority, queue_manager_id)
    values ('picked', 'work', 0, ${randomUUID()})`;
}

/** Runs a statement, takes its effects back, and counts the rows of the queue that it looked at. */
async function measure(
  name: StatementName,
  parameters: (string | number | null)[],
): Promise<{ rows: Record<string, unknown>[]; touched: number }> {
  const touched = async (): Promise<number> => {
    const [row] = await session`
      select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as rows
      from pg_stat_xact_user_tables where relid = ${queue.table}::regclass`;
    return Number(row!["rows"]);
  };
  await session`begin`;
  try {
    const before = await touched();
    const rows = await session.unsafe(statements.get(name), parameters);
    return { rows: Array.from(rows), touched: await touched() - before };
  } finally {
    await session`rollback`;
  }
}

const GATE = ["{work}", "{0}", "{Infinity}", "{t}"];
const WHOLE = ["{work}", `{${-(2 ** 31)}}`, `{${2 ** 31 - 1}}`, "{0}"];
const lookAhead = () =>
  measure("look_ahead", [null, ...GATE, "{30000}", 1e12, 1e12, 1e12, ...WHOLE]);
const claim = () => measure("claim_limited", [10, 10, me, ...GATE, 1e12, ...WHOLE, 1e12]);

test.each(["ready", "due"] as const)(
  "a look does not walk the %s jobs without a key that wait for a running one",
  async (kind) => {
    await addJobs(kind, BACKLOG, false);
    await runOne();

    const { rows: [row], touched } = await lookAhead();

    expect(row).toMatchObject({ ready: false, blocked: true, due: null });
    expect(touched).toBeLessThan(20);
  },
);

test.each(["ready", "due"] as const)(
  "%s jobs with a key start, however many without one stand in front of them",
  async (kind) => {
    await addJobs(kind, BACKLOG, false);
    await addJobs(kind, KEYED, true);
    await runOne();

    const look = await lookAhead();
    const claimed = await claim();

    expect(look.rows[0]).toMatchObject({ ready: true });
    expect(look.touched).toBeLessThan(20);
    expect(claimed.rows.map((row) => row["dedupe"])).toEqual(["key 1", "key 2", "key 3"]);
    // The due ones of two indexes, at most a thousand of each, whatever the backlog is.
    expect(claimed.touched).toBeLessThan(kind === "ready" ? 50 : 2_100);
  },
);

test("a look says when the next job with a key is due, behind a running one without", async () => {
  await addJobs("due", BACKLOG, false);
  await runOne();
  await queue.queries.enqueue("work", null, { dedupeKey: "later", executeAfter: { minutes: 5 } });

  const { rows: [row], touched } = await lookAhead();

  expect(row).toMatchObject({ ready: false, blocked: true });
  expect(row!["due"]).toBeGreaterThan(4 * 60_000);
  expect(row!["due"]).toBeLessThanOrEqual(5 * 60_000);
  expect(touched).toBeLessThan(20);
});

test("jobs with a key in use by nobody are no reason to wait for a seat", async () => {
  await addJobs("ready", KEYED, true);
  await runOne();

  const { rows: [row] } = await lookAhead();

  expect(row).toMatchObject({ ready: true, blocked: false });
});
