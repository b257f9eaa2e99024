/** What this version needs in the catalog. The source is `sql/`; a test compares this list with a fresh install. */
import type { Settings } from "../settings.ts";
import { workerFunctionsOf } from "../sql/render.ts";

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
const INSTANT = `${TIMESTAMP} not null default now()`;
/** Of an id: its sequence may have any name. */
export const SERIAL = "bigint not null default nextval";

/** Columns with type, `not null` and default as `inspect` spells them, by table. */
export function tablesOf(settings: Settings): Record<string, Record<string, string>> {
  const status = settings.queueStatusType;
  return {
    [settings.queueTable]: {
      id: SERIAL,
      priority: "integer not null",
      queue_manager_id: "uuid",
      created: INSTANT,
      updated: INSTANT,
      heartbeat: INSTANT,
      execute_after: INSTANT,
      status: `${status} not null`,
      entrypoint: "text not null",
      dedupe_key: "text",
      payload: "bytea",
      headers: "jsonb",
      attempts: "integer not null default 0",
      slot: "bigint",
      take_overs: "integer not null default 0",
      cancel_requested: "boolean not null default false",
    },
    [settings.queueTableLog]: {
      id: "bigint not null default identity",
      created: INSTANT,
      job_id: "bigint not null",
      status: `${status} not null`,
      priority: "integer not null",
      entrypoint: "text not null",
      traceback: "jsonb",
      aggregated: "boolean default false",
    },
    [settings.statisticsTable]: {
      id: SERIAL,
      created: `${TIMESTAMP} not null default date_trunc('sec'::text, now())`,
      count: "bigint not null",
      priority: "integer not null",
      status: `${status} not null`,
      entrypoint: "text not null",
    },
    [settings.schedulesTable]: {
      id: SERIAL,
      expression: "text not null",
      entrypoint: "text not null",
      heartbeat: INSTANT,
      created: INSTANT,
      updated: INSTANT,
      next_run: INSTANT,
      last_run: TIMESTAMP,
      status: `${status} default 'queued'::${status}`,
    },
    [settings.limitsTable]: {
      entrypoint: "text not null",
      tokens: "double precision not null",
      refilled: `${TIMESTAMP} not null`,
    },
  };
}

/** Primary and unique keys, by the table and the text of the constraint. */
export function keysOf(settings: Settings): string[] {
  const { queueTable, queueTableLog, statisticsTable, schedulesTable, limitsTable } = settings;
  return [
    ...[queueTable, queueTableLog, statisticsTable, schedulesTable]
      .map((table) => `${table} PRIMARY KEY (id)`),
    `${limitsTable} PRIMARY KEY (entrypoint)`,
    `${schedulesTable} UNIQUE (expression, entrypoint)`,
  ];
}

/** Indexes besides those of keys, with their definitions as the server spells them, by name. */
export function indexesOf(settings: Settings): Record<string, string> {
  const { queueTable, queueTableLog, statisticsTable, queueStatusType } = settings;
  const is = (status: string): string => `status = '${status}'::${queueStatusType}`;
  const ready = `(${is("queued")}) AND (execute_after <= created)`;
  const deferred = `((${is("queued")}) AND (execute_after > created))`;
  const live = `(status = ANY (ARRAY['queued'::${queueStatusType}, 'picked'::${queueStatusType}]))`;
  const definitions: Record<string, [table: string, definition: string, unique?: "UNIQUE"]> = {
    ready_idx: [queueTable, `btree (entrypoint COLLATE "C", priority DESC, id) WHERE (${ready})`],
    keyed_idx: [
      queueTable,
      `btree (entrypoint COLLATE "C", priority DESC, id) WHERE (${ready} AND (dedupe_key IS NOT NULL))`,
    ],
    deferred_idx: [queueTable, `btree (entrypoint COLLATE "C", execute_after) WHERE ${deferred}`],
    keyed_deferred_idx: [
      queueTable,
      `btree (entrypoint COLLATE "C", execute_after) WHERE ((${
        is("queued")
      }) AND (execute_after > created) AND (dedupe_key IS NOT NULL))`,
    ],
    due_idx: [
      queueTable,
      `btree (entrypoint COLLATE "C", priority DESC, execute_after) WHERE ${deferred}`,
    ],
    failed_idx: [queueTable, `btree (created DESC, id DESC) WHERE (${is("failed")})`],
    unique_dedupe_key: [
      queueTable,
      `btree (dedupe_key) WHERE (${live} AND (dedupe_key IS NOT NULL))`,
      "UNIQUE",
    ],
    picked_heartbeat_idx: [queueTable, `btree (heartbeat) WHERE (${is("picked")})`],
    queue_manager_id_idx: [
      queueTable,
      "btree (queue_manager_id) WHERE (queue_manager_id IS NOT NULL)",
    ],
    picked_slot_idx: [
      queueTable,
      `btree (entrypoint, slot) WHERE ((${is("picked")}) AND (slot IS NOT NULL))`,
      "UNIQUE",
    ],
    ep_prio_id_idx: [queueTable, `btree (entrypoint, priority DESC, id) WHERE (${is("queued")})`],
    ep_ea_idx: [queueTable, `btree (entrypoint, execute_after) WHERE (${is("queued")})`],
    not_aggregated: [queueTableLog, "btree ((1)) WHERE (NOT aggregated)"],
    job_id_status: [queueTableLog, "btree (job_id, created DESC)"],
    unique_count: [
      statisticsTable,
      "btree (priority, date_trunc('sec'::text, timezone('UTC'::text, created)), status, entrypoint)",
      "UNIQUE",
    ],
    created: [statisticsTable, "btree (created)"],
  };
  return Object.fromEntries(
    Object.entries(definitions).map(([suffix, [table, definition, unique]]) => {
      const name = `${table}_${suffix}`;
      const kind = unique === undefined ? "INDEX" : "UNIQUE INDEX";
      return [name, `${kind} ${name} ON ${table} USING ${definition}`];
    }),
  );
}

/** Indexes of the Python project that cost each job more than they give: a step of the upgrade takes them away. */
export function costlyIndexesOf({ queueTable, queueTableLog }: Settings): string[] {
  return [
    `${queueTable}_priority_id_id1_idx`,
    `${queueTable}_updated_id_id1_idx`,
    `${queueTableLog}_created`,
    `${queueTableLog}_status`,
  ];
}

/** Storage parameters that new tables get, and older ones where an operator has set none of that name. */
export function parametersOf(settings: Settings): Record<string, string> {
  const { queueTable, queueTableLog } = settings;
  return {
    [`${queueTable}.autovacuum_vacuum_scale_factor`]: "0.01",
    [`${queueTable}.autovacuum_vacuum_threshold`]: "1000",
    [`${queueTable}.autovacuum_vacuum_cost_delay`]: "0",
    [`${queueTable}.autovacuum_analyze_scale_factor`]: "0.02",
    [`${queueTable}.autovacuum_analyze_threshold`]: "500",
    [`${queueTableLog}.autovacuum_vacuum_cost_delay`]: "0",
  };
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
  return [settings.function, ...workerFunctionsOf(settings)];
}

/** Functions for everybody who speaks SQL, one for each type of the payload. */
export function publicFunctionsOf(settings: Settings): string[] {
  return ["bytea", "text", "jsonb"].map((type) => `${settings.prefix}pgqueuer_enqueue(${type})`);
}
