/**
 * A queue is empty at one moment and full at the next. What was planned, or measured by ANALYZE, at the one moment must not
 * cost anything at the other.
 */
import { randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import type { ReservedSql } from "postgres";
import { type Explainer, openExplainer } from "./support/explainer.ts";
import { type HotStatement, hotStatements } from "./support/hot_statements.ts";
import { openTestQueue, type TestQueue } from "./support/queue.ts";

const LIMIT = 10;
const JOBS = 100_000;
/** To read what stands in the queue, or in one of its indexes, takes more. */
const FEW_PAGES = 450;

let queue: TestQueue;
let explainer: Explainer;
let holder: ReservedSql | undefined;
afterEach(async () => {
  await holder?.unsafe("commit");
  holder?.release();
  holder = undefined;
  await explainer?.close();
  await queue?.close();
});

async function open(): Promise<void> {
  queue = await openTestQueue();
  explainer = await openExplainer(queue.dsn, queue.names);
  await queue.sql`alter table ${queue.sql(queue.table)} set (autovacuum_enabled = off)`;
}

async function addQueued(count: number): Promise<void> {
  await queue.sql`
    insert into ${queue.sql(queue.table)} (status, entrypoint, priority)
    select 'queued', 'work', 0 from generate_series(1, ${count}::int)`;
}

/** Claims some jobs for a worker of their own. Gives the hot statements for them, with claims behind `after`. */
async function claimSome(after: number, oldestMs: number): Promise<HotStatement[]> {
  const manager = randomUUID();
  const picked = await queue.sql`
    update ${
    queue.sql(queue.table)
  } set status = 'picked', queue_manager_id = ${manager}, updated = now(),
      heartbeat = now() - interval '2 seconds'
    where id in (select id from ${
    queue.sql(queue.table)
  } where status = 'queued' order by id limit ${LIMIT})
    returning id::int, (extract(epoch from updated) * 1000000)::bigint as lease`;
  return hotStatements({
    limit: LIMIT,
    entrypoints: ["work", "other"],
    after,
    oldestMs,
    dueMs: 1e12,
    picked: picked.map((row) => row["id"] as number),
    manager,
    lease: picked[0]!["lease"] as string,
  });
}

/** Pages that each read, by name. */
async function pagesOf(hot: readonly HotStatement[]): Promise<Record<string, number>> {
  const pages: Record<string, number> = {};
  for (const [what, name, parameters] of hot) {
    pages[`${name} ${what}`] = (await explainer.measure(name, parameters)).pages;
  }
  return pages;
}

const costly = (pages: Record<string, number>) =>
  Object.entries(pages).filter(([, count]) => count > FEW_PAGES);

test.each([3 * LIMIT, 300, 3_000])(
  "a worker that knew a queue of %i jobs finds its way when very many come",
  async (few) => {
    await open();
    await addQueued(few);
    await queue.sql.unsafe(`vacuum analyze ${queue.table}`);
    const small = await claimSome(0, 1e12);
    // From the sixth time on a plan is kept.
    for (const [, name, parameters] of small) await explainer.repeat(name, parameters, 8);
    await addQueued(JOBS);

    const pages = await pagesOf(small);

    expect(costly(pages)).toEqual([]);
  },
  60_000,
);

test.each([0, 300])(
  "ANALYZE of a queue of %i jobs and what cannot be removed yet spoils no plan",
  async (few) => {
    await open();
    holder = await queue.sql.reserve();
    await holder.unsafe("begin isolation level repeatable read; select 1");
    await addQueued(JOBS);
    await queue.sql`
      update ${queue.sql(queue.table)} set status = 'picked', queue_manager_id = ${randomUUID()},
        heartbeat = now() - interval '30 seconds'`;
    const [last] = await queue.sql`select max(id)::int as id from ${queue.sql(queue.table)}`;
    await queue.sql`delete from ${queue.sql(queue.table)}`;
    await addQueued(few);
    await queue.sql.unsafe(`analyze ${queue.table}`);
    await addQueued(few === 0 ? 3 * LIMIT : JOBS / 2);
    const hot = (await claimSome(last!["id"], 10_000))
      // Claims with limits read from the front.
      .filter(([, name]) => name !== "claim_limited");

    for (const planMode of explainer.planModes) {
      if (planMode !== "auto") await explainer.sql.unsafe(`set plan_cache_mode = ${planMode}`);
      expect(costly(await pagesOf(hot))).toEqual([]);
    }
  },
  60_000,
);
