/**
 * Guards the plans of the hot statements: what they touch does not grow with what stands in the queue. With a million
 * queued jobs on Node, and a tenth of all on the others: the runtime has no part in a plan.
 */
import { randomUUID } from "node:crypto";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Explainer, openExplainer, pagesOf, type PlanNode } from "./support/explainer.ts";
import { hotStatements } from "./support/hot_statements.ts";
import { openTestQueue, type TestQueue } from "./support/queue.ts";

const LIMIT = 10;

const isNode = process.versions["deno"] === undefined && process.versions["bun"] === undefined;
const QUEUED = isNode ? 1_000_000 : 100_000;
const DEFERRED = QUEUED / 5;
const HELD = QUEUED / 10;
const PICKED = 100;
/** Pages that one scan of a hot statement reads, at most, and the whole. To walk what stands in the queue takes more. */
const MOST_PAGES = 600;
const MOST_PAGES_IN_ALL = 4_000;

let queue: TestQueue;
let explainer: Explainer;
const me = randomUUID();
let picked: number[];
/** The same for all: they were claimed in one statement. */
let lease: string;

beforeAll(async () => {
  queue = await openTestQueue();
  explainer = await openExplainer(queue.dsn, queue.names);
  const { sql } = explainer;
  const table = sql(queue.table);
  // Statistics come only when the test asks for them.
  await sql`alter table ${table} set (autovacuum_enabled = off)`;
  await sql`
    insert into ${table} (status, entrypoint, priority, execute_after)
    select 'queued', 'work', n % 5, now() + interval '1 day' from generate_series(1, ${DEFERRED}::int) n`;
  await sql`
    insert into ${table} (status, entrypoint, priority)
    select 'failed', 'work', 9 from generate_series(1, ${HELD}::int)`;
  // Each part in the order of the indexes, since that is quicker to insert.
  await sql`
    insert into ${table} (status, entrypoint, priority)
    select 'queued', entrypoint, priority
    from unnest(array['other', 'work']) entrypoint, generate_series(4, 0, -1) priority,
      generate_series(1, ${QUEUED / 10}::int)`;
  const rows = await sql`
    insert into ${table} (status, entrypoint, priority, queue_manager_id)
    select 'picked', 'work', 0, ${me} from generate_series(1, ${PICKED}::int)
    returning id::int, (extract(epoch from updated) * 1000000)::bigint as lease`;
  picked = rows.map((row) => row["id"] as number);
  lease = rows[0]!["lease"] as string;
}, 180_000);
afterAll(async () => {
  await explainer?.close();
  await queue?.close();
});

const hot = () =>
  hotStatements({
    limit: LIMIT,
    entrypoints: ["work", "other"],
    after: 0,
    oldestMs: 1e12,
    dueMs: 1e12,
    picked: picked.slice(0, LIMIT),
    manager: me,
    lease,
  });
/** Their places and names. The parameters are known later. */
const names = hotStatements({
  limit: LIMIT,
  entrypoints: ["work"],
  after: 0,
  oldestMs: 1e12,
  dueMs: 1e12,
  picked: [],
  manager: me,
  lease: "0",
}).map(([what, name], index): [string, string, number] => [name, what, index]);

const measure = (index: number) => {
  const [, name, parameters] = hot()[index]!;
  return explainer.measure(name, parameters);
};

/** Scans of the queue that were made. */
const scansOf = (nodes: readonly PlanNode[]): PlanNode[] =>
  nodes.filter((node) =>
    node["Relation Name"] === `${queue.names.prefix}pgqueuer` &&
    node["Node Type"].includes("Scan") && node["Actual Loops"] > 0
  );

for (const analyzed of [false, true]) {
  test.each(names)(
    `%s %s touches few rows ${analyzed ? "after" : "before"} ANALYZE`,
    async (name, _, index) => {
      const { sql } = explainer;
      if (analyzed) await sql`analyze ${sql(queue.table)}`;
      for (const planMode of explainer.planModes) {
        if (planMode !== "auto") await sql.unsafe(`set plan_cache_mode = ${planMode}`);

        const { pages, nodes } = await measure(index);

        expect(pages).toBeLessThanOrEqual(MOST_PAGES_IN_ALL);
        if (!explainer.seesFunctions) continue;
        const scans = scansOf(nodes);
        expect(scans.length).toBeGreaterThan(0);
        for (const scan of scans) {
          expect(scan["Node Type"]).not.toMatch(/Seq|Bitmap/);
          // At most all picked jobs, whose number is bounded by what the fleet runs at once. Never the queue.
          const passedOver = (scan["Rows Removed by Filter"] ?? 0) +
            (scan["Rows Removed by Index Recheck"] ?? 0);
          const touched = (scan["Actual Rows"] + passedOver) * scan["Actual Loops"];
          expect(touched).toBeLessThanOrEqual(2 * PICKED);
          // What an index passes over is in no count of rows.
          expect(pagesOf(scan)).toBeLessThanOrEqual(MOST_PAGES);
        }
        const indexes = new Set(scans.flatMap((scan) => scan["Index Name"] ?? []));
        expect([...indexes].filter((index) => !indexesOf(name).includes(index))).toEqual([]);
      }
      if (explainer.planModes.length > 1) await sql.unsafe("reset plan_cache_mode");
    },
  );
}

/**
 * Jobs that a worker names by their ids are found by the primary key alone. In any other index what it has ever claimed is in
 * front, as dead entries, which no count of rows shows. Python's are for nobody.
 */
function indexesOf(name: string): string[] {
  const own = (() => {
    switch (name) {
      case "dequeue":
        return ["ready_idx", "deferred_idx"];
      case "claim_limited":
        return [
          "ready_idx",
          "keyed_idx",
          "deferred_idx",
          "keyed_deferred_idx",
          "picked_heartbeat_idx",
        ];
      case "take_over":
        return ["picked_heartbeat_idx"];
      case "look_ahead":
        return ["ready_idx", "deferred_idx", "picked_heartbeat_idx"];
      case "keep_leases":
        return ["queue_manager_id_idx"];
      case "release_unknown":
        return ["queue_manager_id_idx", "pkey"];
      default:
        return ["pkey"];
    }
  })();
  return own.map((index) => `${queue.names.prefix}pgqueuer_${index}`);
}

// Planning a claim takes longer than claiming ten jobs.
test.each(names)("the server keeps its plan of %s %s", async (_, __, index) => {
  if (!explainer.seesFunctions || explainer.planModes.length === 1) return;
  const [, name, parameters] = hot()[index]!;
  // The first five are planned anew in any case.
  await explainer.repeat(name, parameters, 6);

  const { nodes } = await explainer.measure(name, parameters);

  // A plan for all values shows the parameters.
  const conditions = scansOf(nodes).flatMap((node) => [
    node["Index Cond"] ?? "",
    node["TID Cond"] ?? "",
  ]).join(" ");
  expect(conditions).not.toContain(me);
  for (const id of picked.slice(0, LIMIT)) expect(conditions).not.toContain(`'{${id},`);
});

const HEAVY = 20;
// More than work_mem goes through a file.
test.each(["dequeue", "take_over"] as const)(
  "%s sorts its jobs apart from their payloads",
  async (name) => {
    const { sql } = explainer;
    const status = sql.unsafe(name === "take_over" ? "'picked'" : "'queued'");
    await sql`
    insert into ${sql(queue.table)} (status, entrypoint, priority, heartbeat, payload)
    select ${status}, 'heavy', n % 3, now() - interval '1 minute', (
      select decode(string_agg(md5(n || ' ' || part), ''), 'hex') from generate_series(1, 1250) part
    )
    from generate_series(1, ${HEAVY}::int) n`;
    await sql`set work_mem = '64kB'`;
    try {
      const parameters = name === "dequeue"
        ? [HEAVY, "{heavy}", randomUUID(), "{heavy}", "{-9}", "{9}", "{0}", 1e12]
        : [HEAVY, randomUUID(), "{}", "{heavy}", "{0}", "{f}", "{5}", 1e12];
      const { rows, spilled } = await explainer.measure(name, parameters);

      expect([rows, spilled]).toEqual([HEAVY, 0]);
    } finally {
      await sql`reset work_mem`;
      await sql`delete from ${sql(queue.table)} where entrypoint = 'heavy'`;
    }
  },
);

test("a claim looks for the free seats of an entrypoint once, not for each job", async () => {
  if (!explainer.seesFunctions) return;
  const gate = ["{work}", "{1000}", "{Infinity}", "{f}"];
  const whole = ["{work}", "{-9}", "{9}", "{0}"];
  const parameters = [50, 50, randomUUID(), ...gate, 1e12, ...whole, 1e12];

  const { rows, nodes } = await explainer.measure("claim_limited", parameters);

  expect(rows).toBe(50);
  const series = nodes.filter((node) => node["Function Name"] === "generate_series");
  expect(series.map((node) => node["Actual Loops"])).toEqual([1]);
});

test("a look for old log rows reads no more of the log than it looks at", async () => {
  const { sql } = explainer;
  // The old ones have gone, and young ones have come in their places.
  await sql`
    insert into ${sql(queue.logTable)} (job_id, status, priority, entrypoint, aggregated)
    select n, 'successful', 0, 'work', true from generate_series(1, 60000) n`;

  const { rows, pages } = await explainer.measure("prune_log", [86_400_000, 1_000, 0]);

  expect(rows).toBe(1);
  expect(pages).toBeLessThanOrEqual(MOST_PAGES);
});

test.each(["dequeue", "acknowledge"] as const)(
  "the count of %s reads no more of the statistics than it adds",
  async (name) => {
    if (!explainer.seesFunctions) return;
    const { sql } = explainer;
    const table = `${queue.table}_statistics`;
    const [, , parameters] = hot().find((statement) => statement[1] === name)!;
    await sql`truncate ${sql(table)}`;
    // Planned while it is empty.
    await explainer.repeat(name, parameters, 6);
    await sql`
      insert into ${sql(table)} (created, entrypoint, priority, status, count)
      select date_trunc('second', now()) - n * interval '1 second', 'work', 0, 'picked', 1
      from generate_series(1, 50000) n`;

    const { nodes } = await explainer.measure(name, parameters);

    const scans = nodes.filter((node) =>
      node["Relation Name"] === `${queue.names.prefix}pgqueuer_statistics` &&
      node["Node Type"].includes("Scan") && node["Actual Loops"] > 0
    );
    expect(scans.length).toBeGreaterThan(0);
    for (const scan of scans) {
      expect(scan["Node Type"]).not.toMatch(/Seq|Bitmap/);
      expect(pagesOf(scan)).toBeLessThanOrEqual(20);
    }
    // Two looks by the key, and one at the places that the second found. A plan for all values does not show them.
    const unique = `${queue.names.prefix}pgqueuer_statistics_unique_count`;
    expect(scans.map((scan) => scan["Index Name"])).toEqual([unique, unique, undefined]);
    expect(scans[2]!["TID Cond"]).not.toMatch(/\(\d+,/);
  },
);
