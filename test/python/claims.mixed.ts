/** The claims of Python on our indexes: none of them walks the queue, which has those that Python needs and no other. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openTestQueue } from "../support/queue.ts";
import { runPython } from "./commands.ts";
import { environmentOf, type Release } from "./peer.ts";

/** In a small table the server may rather read all of it. */
const QUEUED = 200_000;
/** Rows that one scan of a claim of ten may look at. */
const MOST_ROWS = 500;

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Plans"?: readonly PlanNode[];
}

/** The scans of a table that look at more rows than a claim needs. */
function walks(node: PlanNode, table: string): string[] {
  const { "Actual Rows": rows, "Rows Removed by Filter": removed = 0 } = node;
  const walk = node["Relation Name"] === table &&
    (rows + removed) * node["Actual Loops"] > MOST_ROWS;
  const own = walk ? [`${node["Node Type"]} ${node["Index Name"] ?? ""}`] : [];
  return [...own, ...(node.Plans ?? []).flatMap((child) => walks(child, table))];
}

test.each<Release>(["newest", "1.3"])(
  "no claim of Python (%s) walks the queue, whatever limits it, by a plan of its own or a generic one",
  async (release) => {
    const queue = await openTestQueue();
    const main = fileURLToPath(new URL("claims_main.py", import.meta.url));
    const { stdout } = await runPython([main], environmentOf(queue), release);
    const claims: { limited: string; text: string; values: string }[] = JSON.parse(stdout);
    const session = await queue.sql.reserve();
    await session`
      insert into ${session(queue.table)} (priority, status, entrypoint)
      select 0, 'queued', 'work' from generate_series(1, ${QUEUED}::int)`;
    await session.unsafe(`analyze ${queue.table}`);

    const found: string[] = [];
    for (const { limited, text, values } of claims) {
      for (const mode of ["force_custom_plan", "force_generic_plan"]) {
        await session.unsafe(`set plan_cache_mode = ${mode}; prepare claim as ${text}`);
        await session.unsafe("begin");
        const [row] = await session.unsafe(
          `explain (analyze, format json) execute claim(${values})`,
        );
        await session.unsafe("rollback; deallocate claim");
        const [{ Plan }] = row!["QUERY PLAN"] as [{ Plan: PlanNode }];
        const table = `${queue.names.prefix}pgqueuer`;
        found.push(...walks(Plan, table).map((scan) => `limits of ${limited}, ${mode}: ${scan}`));
      }
    }
    await session.unsafe("reset plan_cache_mode");
    session.release();

    expect(claims.map(({ limited }) => limited)).toHaveLength(4);
    expect(found).toEqual([]);
    await queue.close();
  },
);
