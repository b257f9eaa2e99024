/** What statements read, measured: those of our functions too, of which EXPLAIN shows nothing but the pages. */
import postgres, { type Sql } from "postgres";
import { resolveSettings, type SettingsOptions } from "../../mod.ts";
import { type StatementName, Statements } from "../../src/sql/render.ts";

/** A node of a plan that has run. */
export interface PlanNode {
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
  "Temp Written Blocks": number;
  "Index Cond"?: string;
  "TID Cond"?: string;
  "Plans"?: PlanNode[];
}

/** What one run of a statement did. */
export interface Measured {
  readonly rows: number;
  /** Pages read, wherever they were. */
  readonly pages: number;
  /** Pages of a file that held what did not fit into memory. */
  readonly spilled: number;
  /** All nodes of the plans of our functions; none where the server lacks the module that tells. */
  readonly nodes: readonly PlanNode[];
}

/** One session that measures. */
export interface Explainer {
  readonly sql: Sql;
  /** Whether the plans within functions can be seen. */
  readonly seesFunctions: boolean;
  /** Ways to plan: before PostgreSQL 12 the server alone decides. */
  readonly planModes: readonly string[];
  /** Runs a statement as often, and takes its effects back each time. Functions keep the plans of their statements. */
  repeat(name: StatementName, parameters: readonly Value[], times: number): Promise<void>;
  /** The same once more, and measures it. */
  measure(name: StatementName, parameters: readonly Value[]): Promise<Measured>;
  close(): Promise<void>;
}

/** A parameter of a statement. */
export type Value = string | number | null;

/** Opens a session for the statements under some settings. */
export async function openExplainer(dsn: string, settings: SettingsOptions): Promise<Explainer> {
  const lines: string[] = [];
  const sql = postgres(dsn, { max: 1, onnotice: ({ message = "" }) => lines.push(message) });
  const statements = new Statements(resolveSettings(settings));
  const seesFunctions = await sql.unsafe("load 'auto_explain'").then(() => true, () => false);
  if (seesFunctions) {
    await sql.unsafe(`
      set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on;
      set auto_explain.log_buffers = on; set auto_explain.log_format = json; set client_min_messages = log`);
  }
  const known = await sql`select 1 from pg_settings where name = 'plan_cache_mode'`;

  /** In a transaction that is taken back. */
  async function apart<Result>(run: () => Promise<Result>): Promise<Result> {
    await sql.unsafe("begin");
    try {
      return await run();
    } finally {
      await sql.unsafe("rollback");
    }
  }

  const explainer: Explainer = {
    sql,
    seesFunctions,
    planModes: known.length === 0 ? ["auto"] : ["force_custom_plan", "force_generic_plan"],
    async repeat(name, parameters, times) {
      for (let turn = 0; turn < times; turn++) {
        await apart(() => sql.unsafe(statements.get(name), [...parameters]));
      }
    },
    async measure(name, parameters) {
      // What the catalogs tell is read the first time only.
      await explainer.repeat(name, parameters, 1);
      lines.length = 0;
      if (seesFunctions) await sql.unsafe("set auto_explain.log_min_duration = 0");
      const [row] = await apart(() =>
        sql.unsafe(
          `explain (analyze, buffers, format json) ${statements.get(name)}`,
          [...parameters],
        )
      );
      if (seesFunctions) await sql.unsafe("set auto_explain.log_min_duration = -1");
      const [{ Plan: plan }] = row!["QUERY PLAN"] as [{ Plan: PlanNode }];
      const nested = lines.filter((line) => line.includes(" plan:\n"))
        .map((line) => (JSON.parse(line.slice(line.indexOf("{"))) as { Plan: PlanNode }).Plan);
      return {
        rows: plan["Actual Rows"],
        pages: pagesOf(plan),
        spilled: plan["Temp Written Blocks"],
        nodes: nested.flatMap(nodesOf),
      };
    },
    close: () => sql.end({ timeout: 5 }),
  };
  return explainer;
}

/** Pages that a node has read, and those below it. */
export function pagesOf(node: PlanNode): number {
  return node["Shared Hit Blocks"] + node["Shared Read Blocks"];
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}
