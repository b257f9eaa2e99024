/** What this version needs in the catalog. The source is `sql/`; a test compares this list with a fresh install. */
import type { Settings } from "../settings.ts";

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

/** Functions besides that of the trigger. */
export function functionsOf(settings: Settings): string[] {
  return ["claim_2", "due_1"].map((name) => `${settings.prefix}fn_pgqueuer_${name}`);
}
