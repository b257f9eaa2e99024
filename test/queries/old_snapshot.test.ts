/** What statements read while a session holds an old snapshot open, and no entry of a job that has ended can be removed. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ReservedSql } from "postgres";
import { resolveSettings } from "../../mod.ts";
import { ANY_AGE_MS } from "../../src/queries/ages.ts";
import { type StatementName, Statements } from "../../src/sql/render.ts";
import { openTestQueue, type TestQueue } from "../support/queue.ts";

const ENDED = 20_000;
/** Less than it takes to walk over those. */
const FEW_PAGES = 90;

const me = randomUUID();
let queue: TestQueue;
let statements: Statements;
let [holder, session]: ReservedSql[] = [];
let [lastEnded, lastId] = [0, 0];
beforeAll(async () => {
  queue = await openTestQueue();
  statements = new Statements(resolveSettings(queue.names));
  [holder, session] = [await queue.sql.reserve(), await queue.sql.reserve()];
  await holder!.unsafe("begin isolation level repeatable read; select 1");
  await queue.sql`
    insert into ${queue.sql(queue.table)} (status, entrypoint, priority)
    select 'queued', 'work', 0 from generate_series(1, ${ENDED}::int)`;
  await queue.sql`
    insert into ${queue.sql(queue.table)} (status, entrypoint, priority, created, execute_after)
    select 'queued', 'work', 0, now() - interval '1 hour', now() - interval '30 seconds'
    from generate_series(1, ${ENDED}::int)`;
  // Their leases are half a minute old.
  await queue.sql`
    update ${queue.sql(queue.table)}
    set status = 'picked', queue_manager_id = ${me}, heartbeat = now() - interval '30 seconds'`;
  const [ended] = await queue.sql`select max(id)::int as last from ${queue.sql(queue.table)}`;
  await queue.sql`delete from ${queue.sql(queue.table)}`;
  await queue.sql`
    insert into ${
    queue.sql(queue.table)
  } (status, entrypoint, priority, queue_manager_id, heartbeat)
    values ('picked', 'work', 0, ${me}, now() - interval '2 seconds')`;
  lastEnded = ended!["last"];
  [lastId] = await queue.queries.enqueue("work", [null]) as [number];
  await queue.sql`
    insert into ${queue.sql(queue.table)} (status, entrypoint, priority, created, execute_after)
    values ('queued', 'work', 0, now() - interval '1 hour', now() - interval '2 seconds')`;
});
afterAll(async () => {
  await holder?.unsafe("commit");
  holder?.release();
  session?.release();
  await queue?.close();
});

/** Runs a statement by its plan for any values, takes its effects back, and gives how many rows came and pages were read. */
async function measure(
  name: StatementName,
  kinds: string,
  values: string,
): Promise<{ rows: number; pages: number }> {
  // Before PostgreSQL 12 a plan for these values does.
  await session!.unsafe("begin");
  await session!.unsafe(`
    select set_config(name, 'force_generic_plan', true) from pg_settings where name = 'plan_cache_mode'`);
  try {
    await session!.unsafe(`prepare it (${kinds}) as ${statements.get(name)}`);
    // What the catalogs tell is read the first time, and from the sixth on a function keeps its plans.
    for (let turn = 0; turn < 6; turn++) {
      await session!.unsafe(`savepoint before; execute it (${values}); rollback to before`);
    }
    const [row] = await session!.unsafe(
      `explain (analyze, buffers, format json) execute it (${values})`,
    );
    const { Plan: plan } = row!["QUERY PLAN"][0];
    return {
      rows: plan["Actual Rows"],
      pages: plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
    };
  } finally {
    await session!.unsafe("rollback; deallocate it");
  }
}

const WHOLE = `'{work}', '{${-(2 ** 31)}}', '{${2 ** 31 - 1}}', '{0}'`;
/** Behind those that have ended, and what is above and below them. */
const behind = (): string =>
  `'{work,work,work}', '{1,0,${-(2 ** 31)}}', '{${2 ** 31 - 1},0,-1}', '{0,${lastEnded},0}'`;

const DEQUEUE = "int4, text, uuid, text, text, text, text, float8";
const dequeue = (ranges: string, dueMs: number): string =>
  `10, '{work}', '${randomUUID()}', ${ranges}, ${dueMs}`;
const LOOK_AHEAD =
  "text, text, text, text, text, text, float8, float8, float8, text, text, text, text";
const lookAhead = (leaseMs: number, seatMs: number, dueMs: number, ranges: string): string =>
  `null, '{work}', '{5}', '{Infinity}', '{f}', '{60000}', ${leaseMs}, ${seatMs}, ${dueMs}, ${ranges}`;
const CLAIM_LIMITED =
  "int4, int4, uuid, text, text, text, text, float8, text, text, text, text, float8";
const claimLimited = (seatMs: number, ranges: string, dueMs: number): string =>
  `10, 10, '${randomUUID()}', '{work}', '{5}', '{Infinity}', '{f}', ${seatMs}, ${ranges}, ${dueMs}`;
const TAKE_OVER = "int4, uuid, text, text, text, text, text, float8";
const takeOver = (ageMs: number): string =>
  `10, '${randomUUID()}', '{}', '{work}', '{1000}', '{f}', '{5}', ${ageMs}`;

const YOUNG_MS = 10_000;

test("from the front each of them walks over all that have ended", async () => {
  const [whole, ranges] = [WHOLE, behind()];
  for (
    const { pages } of [
      await measure("dequeue", DEQUEUE, dequeue(whole, YOUNG_MS)),
      await measure("dequeue", DEQUEUE, dequeue(ranges, ANY_AGE_MS)),
      await measure("claim_limited", CLAIM_LIMITED, claimLimited(YOUNG_MS, whole, YOUNG_MS)),
      await measure("claim_limited", CLAIM_LIMITED, claimLimited(ANY_AGE_MS, ranges, YOUNG_MS)),
      await measure("claim_limited", CLAIM_LIMITED, claimLimited(YOUNG_MS, ranges, ANY_AGE_MS)),
      await measure("look_ahead", LOOK_AHEAD, lookAhead(ANY_AGE_MS, YOUNG_MS, YOUNG_MS, ranges)),
      await measure("look_ahead", LOOK_AHEAD, lookAhead(YOUNG_MS, ANY_AGE_MS, YOUNG_MS, ranges)),
      await measure("look_ahead", LOOK_AHEAD, lookAhead(YOUNG_MS, YOUNG_MS, ANY_AGE_MS, ranges)),
      await measure("look_ahead", LOOK_AHEAD, lookAhead(YOUNG_MS, YOUNG_MS, YOUNG_MS, whole)),
      await measure("take_over", TAKE_OVER, takeOver(ANY_AGE_MS)),
    ]
  ) {
    expect(pages).toBeGreaterThan(3 * FEW_PAGES);
  }
});

test("behind them they read few pages, and find the same", async () => {
  const all = [
    await measure("dequeue", DEQUEUE, dequeue(behind(), YOUNG_MS)),
    await measure("claim_limited", CLAIM_LIMITED, claimLimited(YOUNG_MS, behind(), YOUNG_MS)),
    await measure("look_ahead", LOOK_AHEAD, lookAhead(YOUNG_MS, YOUNG_MS, YOUNG_MS, behind())),
    await measure("take_over", TAKE_OVER, takeOver(YOUNG_MS)),
  ];

  expect(all.map(({ rows }) => rows)).toEqual([2, 2, 1, 1]);
  for (const { pages } of all) expect(pages).toBeLessThan(FEW_PAGES);
  expect(lastId).toBeGreaterThan(lastEnded);
});
