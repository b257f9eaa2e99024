/**
 * Guards the plans of the hot statements: what they touch does not grow with what stands in the queue. With a million
 * queued jobs on Node, and a tenth of all on the others: the runtime has no part in a plan.
 */
import { randomUUID } from "node:crypto";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import postgres, { type ReservedSql } from "postgres";
import { resolveSettings } from "../mod.ts";
import { type StatementName, Statements } from "../src/sql/render.ts";
import { openTestQueue, type TestQueue } from "./support/queue.ts";

const LIMIT = 10;

const isNode = process.versions["deno"] === undefined && process.versions["bun"] === undefined;
const QUEUED = isNode ? 1_000_000 : 100_000;
const DEFERRED = QUEUED / 5;
const HELD = QUEUED / 10;
const PICKED = 100;
/** Pages that one scan of a hot statement reads, at most. To walk what stands in the queue takes thousands. */
const MOST_PAGES = 600;

let queue: TestQueue;
let session: ReservedSql;
let statements: Statements;
const me = randomUUID();
let picked: number[];
/** The same for all: they were claimed in one statement. */
let lease: string;
/** Before PostgreSQL 12 the server alone decides. */
let planModes = ["force_custom_plan", "force_generic_plan"];

beforeAll(async () => {
  queue = await openTestQueue();
  statements = new Statements(resolveSettings(queue.names));
  session = await queue.sql.reserve();
  const known = await session`select 1 from pg_settings where name = 'plan_cache_mode'`;
  if (known.length === 0) planModes = ["auto"];
  const table = session(queue.table);
  // Statistics come only when the test asks for them.
  await session`alter table ${table} set (autovacuum_enabled = off)`;
  await session`
    insert into ${table} (status, entrypoint, priority, execute_after)
    select 'queued', 'work', n % 5, now() + interval '1 day' from generate_series(1, ${DEFERRED}::int) n`;
  await session`
    insert into ${table} (status, entrypoint, priority)
    select 'failed', 'work', 9 from generate_series(1, ${HELD}::int)`;
  // Each part in the order of the indexes, since that is quicker to insert.
  await session`
    insert into ${table} (status, entrypoint, priority)
    select 'queued', entrypoint, priority
    from unnest(array['other', 'work']) entrypoint, generate_series(4, 0, -1) priority,
      generate_series(1, ${QUEUED / 10}::int)`;
  const rows = await session`
    insert into ${table} (status, entrypoint, priority, queue_manager_id)
    select 'picked', 'work', 0, ${me} from generate_series(1, ${PICKED}::int)
    returning id::int, (extract(epoch from updated) * 1000000)::bigint as lease`;
  picked = rows.map((row) => row["id"] as number);
  lease = rows[0]!["lease"] as string;
}, 180_000);
afterAll(async () => {
  session?.release();
  await queue?.close();
});

interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Function Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
  "Sort Space Type"?: "Memory" | "Disk";
  "Plans"?: PlanNode[];
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

function scansOf(plan: PlanNode, table: string): PlanNode[] {
  return nodesOf(plan).filter((node) =>
    node["Relation Name"] === table && node["Node Type"].includes("Scan")
  );
}

/** Runs a statement under EXPLAIN and takes its effects back. Gives its scans of the queue. */
async function explain(
  name: StatementName,
  kinds: string,
  values: string,
  planMode: string,
): Promise<PlanNode[]> {
  const plan = await planOf(name, kinds, values, planMode);
  return scansOf(plan, `${queue.names.prefix}pgqueuer`);
}

async function planOf(
  name: StatementName,
  kinds: string,
  values: string,
  planMode: string,
): Promise<PlanNode> {
  if (planModes.length > 1) await session.unsafe(`set plan_cache_mode = ${planMode}`);
  await session.unsafe(`prepare hot(${kinds}) as ${statements.get(name)}`);
  await session.unsafe("begin");
  const [row] = await session.unsafe(
    `explain (analyze, buffers, format json) execute hot(${values})`,
  );
  await session.unsafe("rollback");
  await session.unsafe("deallocate hot");
  const [{ Plan }] = row!["QUERY PLAN"] as [{ Plan: PlanNode }];
  return Plan;
}

function pagesOf(node: PlanNode): number {
  return node["Shared Hit Blocks"] + node["Shared Read Blocks"];
}

const ids = (): string => `'{${picked.slice(0, LIMIT).join(",")}}'`;
const leases = (): string => `'{${Array(LIMIT).fill(lease).join(",")}}'`;
const DEQUEUE = "int4, text, uuid, text, text, text, text";
const TAKE_OVER = "int4, uuid, text, text, text, text, text, float8";
const CLAIM_LIMITED = "int4, int4, uuid, text, text, text, text";
const LIMITED: [what: string, gates: string][] = [
  ["a limit of concurrency", "'{1000,1000}', '{Infinity,Infinity}', '{f,f}'"],
  ["a limit of rate", "'{0,0}', '{1000,1000}', '{f,f}'"],
  ["serialized dispatch", "'{0,0}', '{Infinity,Infinity}', '{f,t}'"],
];
/** All of both entrypoints. */
const whole = "'{work,other}', '{-9,-9}', '{9,9}', '{0,0}'";
const hot: [StatementName, string, () => string][] = [
  ["dequeue", DEQUEUE, () => `${LIMIT}, '{work,other}', '${randomUUID()}', ${whole}`],
  [
    "dequeue",
    DEQUEUE,
    () =>
      `${LIMIT}, '{work}', '${randomUUID()}', '{work,work,work}', '{4,3,-9}', '{9,3,2}', '{0,${DEFERRED},0}'`,
  ],
  [
    "take_over",
    TAKE_OVER,
    () => `${LIMIT}, '${randomUUID()}', '{}', '{work,other}', '{0,0}', '{f,f}', '{5,5}', 1e12`,
  ],
  [
    "look_ahead",
    "text, text, text, text, text, text, float8, text, text, text, text",
    () =>
      `null, '{work,other}', '{0,0}', '{Infinity,Infinity}', '{f,f}', '{30000,30000}', 1e12, ${whole}`,
  ],
  ["heartbeat", "text, uuid", () => `${ids()}, '${me}'`],
  ["keep_leases", "uuid", () => `'${me}'`],
  [
    "acknowledge",
    "text, text, uuid, text",
    () => `${ids()}, 'successful', '${me}', ${leases()}`,
  ],
  [
    "acknowledge_failure",
    "text, text, uuid, text",
    () => `${ids()}, '{${Array(LIMIT).fill("NULL")}}', '${me}', ${leases()}`,
  ],
  [
    "hold",
    "text, text, uuid, text",
    () => `${ids()}, '{${Array(LIMIT).fill("NULL")}}', '${me}', ${leases()}`,
  ],
  ["release", "text, uuid, text", () => `${ids()}, '${me}', ${leases()}`],
  ["release_unknown", "text, uuid, text", () => `${ids()}, '${me}', '${lease}'`],
  ["cancel", "text", ids],
  [
    "retry",
    "text, text, text, uuid, text",
    () =>
      `${ids()}, '{${Array(LIMIT).fill(0)}}', '{${
        Array(LIMIT).fill("NULL")
      }}', '${me}', ${leases()}`,
  ],
];

for (const analyzed of [false, true]) {
  test.each(hot)(
    `%s touches few rows ${analyzed ? "after" : "before"} ANALYZE`,
    async (name, kinds, values) => {
      if (analyzed) await session`analyze ${session(queue.table)}`;
      for (const planMode of planModes) {
        const scans = await explain(name, kinds, values(), planMode);

        expect(scans.length).toBeGreaterThan(0);
        for (const scan of scans) {
          expect(scan["Node Type"]).not.toBe("Seq Scan");
          // At most all picked jobs, whose number is bounded by what the fleet runs at once. Never the queue.
          const passedOver = (scan["Rows Removed by Filter"] ?? 0) +
            (scan["Rows Removed by Index Recheck"] ?? 0);
          const touched = (scan["Actual Rows"] + passedOver) * scan["Actual Loops"];
          expect(touched).toBeLessThanOrEqual(2 * PICKED);
          // What an index passes over is in no count of rows.
          expect(pagesOf(scan)).toBeLessThanOrEqual(MOST_PAGES);
        }
      }
    },
  );
}

// A function shows no plan, but the pages that it has read.
for (const [what, gates] of LIMITED) {
  test(`claim_limited reads few pages of entrypoints with ${what}`, async () => {
    for (const planMode of planModes) {
      const values = `${LIMIT}, ${LIMIT}, '${randomUUID()}', '{work,other}', ${gates}`;
      const plan = await planOf("claim_limited", CLAIM_LIMITED, values, planMode);

      expect(plan["Actual Rows"]).toBeGreaterThan(0);
      expect(pagesOf(plan)).toBeLessThanOrEqual(4 * MOST_PAGES);
    }
  });
}

// Jobs that a worker names by their ids. In any other index what it has ever claimed is in front, as dead entries, which no
// count of rows shows.
const byId: StatementName[] = [
  "heartbeat",
  "acknowledge",
  "acknowledge_failure",
  "hold",
  "release",
  "retry",
];
test.each(byId)("%s finds its jobs by the primary key alone", async (name) => {
  const [, kinds, values] = hot.find(([known]) => known === name)!;
  for (const planMode of planModes) {
    const scans = await explain(name, kinds, values(), planMode);

    const indexes = new Set(scans.flatMap((scan) => scan["Index Name"] ?? []));
    expect([...indexes]).toEqual([`${queue.names.prefix}pgqueuer_pkey`]);
  }
});

test("a claim reads the two partial indexes, from the front of each entrypoint", async () => {
  const scans = await explain(
    "dequeue",
    DEQUEUE,
    `${LIMIT}, '{work,other}', '${me}', ${whole}`,
    "auto",
  );

  const indexes = [...new Set(scans.flatMap((scan) => scan["Index Name"] ?? []))].sort();
  expect(indexes).toEqual([
    `${queue.names.prefix}pgqueuer_deferred_idx`,
    `${queue.names.prefix}pgqueuer_ready_idx`,
  ]);
});

const HEAVY = 20;
const heavy: [StatementName, string, () => string][] = [
  [
    "dequeue",
    DEQUEUE,
    () => `${HEAVY}, '{heavy}', '${randomUUID()}', '{heavy}', '{-9}', '{9}', '{0}'`,
  ],
  [
    "take_over",
    TAKE_OVER,
    () => `${HEAVY}, '${randomUUID()}', '{}', '{heavy}', '{0}', '{f}', '{5}', 1e12`,
  ],
];
// More than work_mem goes through a file.
test.each(heavy)("%s sorts its jobs apart from their payloads", async (name, kinds, values) => {
  const status = session.unsafe(name === "take_over" ? "'picked'" : "'queued'");
  await session`
    insert into ${session(queue.table)} (status, entrypoint, priority, heartbeat, payload)
    select ${status}, 'heavy', n % 3, now() - interval '1 minute', decode(repeat('ab', 20000), 'hex')
    from generate_series(1, ${HEAVY}::int) n`;
  await session`set work_mem = '64kB'`;
  try {
    for (const planMode of planModes) {
      const plan = await planOf(name, kinds, values(), planMode);

      expect(plan["Actual Rows"]).toBe(HEAVY);
      const sorts = nodesOf(plan).flatMap((node) => node["Sort Space Type"] ?? []);
      expect(sorts.length).toBeGreaterThan(0);
      expect(new Set(sorts)).toEqual(new Set(["Memory"]));
    }
  } finally {
    await session`reset work_mem`;
    await session`delete from ${session(queue.table)} where entrypoint = 'heavy'`;
  }
});

// Planning a claim takes longer than claiming ten jobs. PostgreSQL 14 and later say how often it was done.
test.each(hot)("the server keeps its plan of %s", async (name, kinds, values) => {
  const columns = await session`
    select 1 from pg_attribute
    where attrelid = 'pg_prepared_statements'::regclass and attname = 'generic_plans'`;
  if (columns.length === 0) return;
  await session.unsafe("set plan_cache_mode = auto");
  await session.unsafe(`prepare hot(${kinds}) as ${statements.get(name)}`);
  for (let turn = 0; turn < 8; turn++) {
    await session.unsafe("begin");
    await session.unsafe(`execute hot(${values()})`);
    await session.unsafe("rollback");
  }

  const [counts] = await session`
    select generic_plans::int from pg_prepared_statements where name = 'hot'`;
  await session.unsafe("deallocate hot");
  // The first five are planned anew in any case.
  expect(counts!["generic_plans"]).toBeGreaterThan(0);
});

// What a function does is in the server's log alone, and there only with a module that not every server has.
test("a claim looks for the free seats of an entrypoint once, not for each job", async () => {
  const lines: string[] = [];
  const sql = postgres(queue.dsn, { max: 1, onnotice: ({ message = "" }) => lines.push(message) });
  try {
    const known = await sql.unsafe("load 'auto_explain'").then(() => true, () => false);
    if (!known) return;
    await sql.unsafe(`
      set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
      set auto_explain.log_analyze = on; set auto_explain.log_format = json; set client_min_messages = log`);
    const text = statements.get("claim_limited");
    const parameters = [50, 50, randomUUID(), "{work}", "{1000}", "{Infinity}", "{f}"];
    const jobs = await sql.begin(async (transaction) => {
      const rows = await transaction.unsafe(text, parameters);
      await transaction.unsafe(`delete from ${queue.table} where id = any ($1)`, [
        rows.map((row) => row["id"] as string),
      ]);
      return rows;
    });

    expect(jobs).toHaveLength(50);
    expect(new Set(jobs.map((job) => job["slot"])).size).toBe(50);
    const plans = lines.filter((line) => line.includes("generate_series"))
      .map((line) => JSON.parse(line.slice(line.indexOf("{"))) as { Plan: PlanNode });
    expect(plans).toHaveLength(1);
    const series = nodesOf(plans[0]!.Plan).filter((node) =>
      node["Function Name"] === "generate_series"
    );
    expect(series.map((node) => node["Actual Loops"])).toEqual([1]);
  } finally {
    await sql.end();
  }
});
