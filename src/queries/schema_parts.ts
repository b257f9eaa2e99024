/** What this version needs in the catalog. The source is `sql/`; a test compares this list with a fresh install. */
import type { Settings } from "../settings.ts";
import { ENQUEUE_VERSION } from "../sql/render.ts";

/** What the catalog has of ours: for each name what else it says. */
export interface Catalog {
  readonly tables: ReadonlyMap<string, string>;
  readonly columns: ReadonlyMap<string, string>;
  readonly indexes: ReadonlyMap<string, string>;
  readonly labels: ReadonlySet<string>;
  readonly typeKind: string | undefined;
  readonly functions: ReadonlyMap<string, string>;
  readonly triggers: ReadonlySet<string>;
}

/** Labels of the enum. */
export const LABELS: readonly string[] = [
  "queued",
  "picked",
  "successful",
  "exception",
  "canceled",
  "deleted",
  "failed",
];

const TIMESTAMP = "timestamp with time zone";

/** Columns and their types, by table. */
export function tablesOf(settings: Settings): Record<string, Record<string, string>> {
  const status = settings.queueStatusType;
  return {
    [settings.queueTable]: {
      id: "bigint",
      priority: "integer",
      queue_manager_id: "uuid",
      created: TIMESTAMP,
      updated: TIMESTAMP,
      heartbeat: TIMESTAMP,
      execute_after: TIMESTAMP,
      status,
      entrypoint: "text",
      dedupe_key: "text",
      payload: "bytea",
      headers: "jsonb",
      attempts: "integer",
      slot: "bigint",
      take_overs: "integer",
      cancel_requested: "boolean",
    },
    [settings.queueTableLog]: {
      id: "bigint",
      created: TIMESTAMP,
      job_id: "bigint",
      status,
      priority: "integer",
      entrypoint: "text",
      traceback: "jsonb",
      aggregated: "boolean",
    },
    [settings.statisticsTable]: {
      id: "bigint",
      created: TIMESTAMP,
      count: "bigint",
      priority: "integer",
      status,
      entrypoint: "text",
    },
    [settings.schedulesTable]: {
      id: "bigint",
      expression: "text",
      entrypoint: "text",
      heartbeat: TIMESTAMP,
      created: TIMESTAMP,
      updated: TIMESTAMP,
      next_run: TIMESTAMP,
      last_run: TIMESTAMP,
      status,
    },
    [settings.limitsTable]: {
      entrypoint: "text",
      tokens: "double precision",
      refilled: TIMESTAMP,
    },
  };
}

/** Indexes besides the primary keys. */
export function indexesOf(settings: Settings): string[] {
  const { queueTable, queueTableLog, statisticsTable, schedulesTable } = settings;
  return [
    ...[
      "ready_idx",
      "keyed_idx",
      "deferred_idx",
      "keyed_deferred_idx",
      "due_idx",
      "failed_idx",
      "unique_dedupe_key",
      "picked_heartbeat_idx",
      "queue_manager_id_idx",
      "picked_slot_idx",
      "ep_prio_id_idx",
      "ep_ea_idx",
      "updated_id_id1_idx",
    ].map((name) => `${queueTable}_${name}`),
    ...["not_aggregated", "job_id_status", "created_brin"].map((name) =>
      `${queueTableLog}_${name}`
    ),
    ...["unique_count", "created"].map((name) => `${statisticsTable}_${name}`),
    `${schedulesTable}_expression_entrypoint_key`,
  ];
}

/** Columns that even the oldest release of a table has: without them it is somebody else's table. */
export function signatureOf(table: string, settings: Settings): readonly string[] {
  switch (table) {
    case settings.queueTable:
      return ["id", "priority", "created", "status", "entrypoint", "payload"];
    case settings.queueTableLog:
      return ["id", "job_id", "status"];
    case settings.statisticsTable:
      return ["id", "count", "status", "entrypoint"];
    case settings.limitsTable:
      return ["entrypoint", "tokens"];
    default:
      return ["id", "expression", "entrypoint"];
  }
}

/** Functions that workers call, and that of the trigger. */
export function functionsOf(settings: Settings): string[] {
  const numbered = ["claim_2", "due_1"].map((name) => `${settings.prefix}fn_pgqueuer_${name}`);
  return [settings.function, ...numbered];
}

/** Functions for everybody who speaks SQL, one for each type of the payload. */
export function publicFunctionsOf(settings: Settings): string[] {
  return ["bytea", "text", "jsonb"].map((type) => `${settings.prefix}pgqueuer_enqueue(${type})`);
}

/** What an operator may do without, and a worker too: it costs speed, or is for others. */
export function isOptional(part: string): boolean {
  return part.startsWith("index ") || (part.startsWith("function ") && part.includes("("));
}

/** Lists what this version needs and the catalog lacks, such as `column pgqueuer.slot`. */
export function missingParts(catalog: Catalog, settings: Settings): string[] {
  const missing = catalog.typeKind === undefined
    ? [`type ${settings.queueStatusType}`]
    : LABELS.filter((label) => !catalog.labels.has(label)).map((label) => `label ${label}`);
  for (const [table, columns] of Object.entries(tablesOf(settings))) {
    if (!catalog.tables.has(table)) {
      missing.push(`table ${table}`);
      continue;
    }
    for (const [column, type] of Object.entries(columns)) {
      const actual = catalog.columns.get(`${table}.${column}`);
      // A type of our own carries its schema in front where that is not on the search path.
      if (actual === type || actual?.endsWith(`.${type}`)) continue;
      missing.push(`column ${table}.${column}${actual === undefined ? "" : ` as ${type}`}`);
    }
  }
  for (const index of indexesOf(settings)) {
    if (catalog.indexes.get(index) !== "valid") missing.push(`index ${index}`);
  }
  for (const name of functionsOf(settings)) {
    if (!catalog.functions.has(name)) missing.push(`function ${name}`);
  }
  missing.push(...missingPublicFunctions(catalog, settings));
  if (!catalog.triggers.has(settings.trigger)) missing.push(`trigger ${settings.trigger}`);
  return missing;
}

function missingPublicFunctions({ functions }: Catalog, settings: Settings): string[] {
  const versionOf = (detail: string): number => Number(/^version (\d+)/.exec(detail)?.[1] ?? 0);
  // A later release may have other signatures: ours beside them would only make calls ambiguous.
  if ([...functions.values()].some((detail) => versionOf(detail) > ENQUEUE_VERSION)) return [];
  const wanted = `version ${ENQUEUE_VERSION}, log ${settings.log}`;
  return publicFunctionsOf(settings).flatMap((name) => {
    const detail = functions.get(name);
    if (detail === wanted) return [];
    return [`function ${name}${detail === undefined ? "" : ` of ${wanted}`}`];
  });
}
