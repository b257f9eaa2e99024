import { environmentOf } from "./environment.ts";
import { knownOptions, oneOf, shown } from "./validate.ts";

/** Which tables survive a crash of the database server. See {@linkcode SettingsOptions.durability}. */
export type Durability = "durable" | "balanced" | "volatile";

/** Which rows a job leaves in the log. See {@linkcode SettingsOptions.log}. */
export type LogLevel = "full" | "terminal";

/** What the database objects are called. Every field has a default, so `{}` is the shared queue of a database. */
export interface SettingsOptions {
  /**
   * Put in front of every name that is not given itself, without a separator. Makes room for several queues in one
   * database.
   *
   * @default {""} or `PGQUEUER_PREFIX`
   */
  prefix?: string | undefined;
  /**
   * PostgreSQL schema that holds the tables. Two schemas with the same prefix still share one notification channel: use a
   * prefix as well.
   *
   * @default the first of the connection's `search_path`, or `PGQUEUER_SCHEMA`
   */
  schema?: string | null | undefined;
  /** Notification channel. It may have dots, dashes and capitals too. @default {"ch_pgqueuer"} */
  channel?: string | undefined;
  /** Trigger function. @default {"fn_pgqueuer_changed"} */
  function?: string | undefined;
  /** Trigger on the queue table. @default {"tg_pgqueuer_changed"} */
  trigger?: string | undefined;
  /** Enum of a job's status. @default {"pgqueuer_status"} */
  queueStatusType?: string | undefined;
  /** Jobs that are not finished. @default {"pgqueuer"} */
  queueTable?: string | undefined;
  /** One row for each change of a job's status. @default {"pgqueuer_log"} */
  queueTableLog?: string | undefined;
  /** Counts per second. @default {"pgqueuer_statistics"} */
  statisticsTable?: string | undefined;
  /** Cron expressions. @default {"pgqueuer_schedules"} */
  schedulesTable?: string | undefined;
  /** Limits of entrypoints; ours alone. @default {"pgqueuer_limits"} */
  limitsTable?: string | undefined;
  /**
   * Read by `install` only. `"durable"`: every table survives a crash of the server. `"balanced"`: the log and the
   * statistics are emptied by one. `"volatile"`: the jobs too. Less durable is faster.
   *
   * @default {"durable"}
   */
  durability?: Durability | undefined;
  /**
   * `"full"`: a row for each change of a job's status, which the Python project's dashboards read. `"terminal"`: only how a
   * job ended, and why it was tried again; about a third of the work of a job less. Then nothing tells how long jobs waited
   * and ran, and a job that TRUNCATE removed is not known. Use the same in producers and workers.
   *
   * @default {"full"} or `PGQUEUER_LOG`
   */
  log?: LogLevel | undefined;
}

/** {@linkcode SettingsOptions} with every name filled in and checked. */
export interface Settings {
  readonly prefix: string;
  readonly schema: string | null;
  readonly channel: string;
  readonly function: string;
  readonly trigger: string;
  readonly queueStatusType: string;
  readonly queueTable: string;
  readonly queueTableLog: string;
  readonly statisticsTable: string;
  readonly schedulesTable: string;
  readonly limitsTable: string;
  readonly durability: Durability;
  readonly log: LogLevel;
}

/** Names of environment variables, the preferred one first. The Python project reads the same. */
const ENVIRONMENT: Record<keyof SettingsOptions, readonly string[]> = {
  prefix: ["PGQUEUER_PREFIX"],
  schema: ["PGQUEUER_SCHEMA"],
  channel: ["PGQUEUER_CHANNEL", "CHANNEL"],
  function: ["PGQUEUER_FUNCTION", "FUNCTION"],
  trigger: ["PGQUEUER_TRIGGER", "TRIGGER"],
  queueStatusType: ["PGQUEUER_QUEUE_STATUS_TYPE", "QUEUE_STATUS_TYPE"],
  queueTable: ["PGQUEUER_QUEUE_TABLE", "QUEUE_TABLE"],
  queueTableLog: ["PGQUEUER_QUEUE_TABLE_LOG", "QUEUE_TABLE_LOG"],
  statisticsTable: ["PGQUEUER_STATISTICS_TABLE", "STATISTICS_TABLE"],
  schedulesTable: ["PGQUEUER_SCHEDULES_TABLE", "SCHEDULES_TABLE"],
  limitsTable: ["PGQUEUER_LIMITS_TABLE"],
  durability: ["PGQUEUER_DURABILITY", "DURABILITY"],
  log: ["PGQUEUER_LOG"],
};

/** PostgreSQL takes no longer name in LISTEN. */
const MAX_CHANNEL_LENGTH = 63;

const DEFAULT_CHANNEL = "ch_pgqueuer";
const DEFAULT_NAMES = {
  function: "fn_pgqueuer_changed",
  trigger: "tg_pgqueuer_changed",
  queueStatusType: "pgqueuer_status",
  queueTable: "pgqueuer",
  queueTableLog: "pgqueuer_log",
  statisticsTable: "pgqueuer_statistics",
  schedulesTable: "pgqueuer_schedules",
  limitsTable: "pgqueuer_limits",
} as const;

/** PostgreSQL cuts identifiers at 63 bytes; our longest index name adds 28 to a table's. */
const MAX_NAME_LENGTH = 35;

/**
 * Fills in the names: an option wins over its environment variable, which wins over the default.
 *
 * @example A queue of its own in a schema of its own
 * ```ts
 * import { resolveSettings } from "pgqueuer";
 * import assert from "node:assert/strict";
 *
 * const { queueTable, schema, channel } = resolveSettings({ prefix: "mail_", schema: "jobs" }, {});
 * assert.deepEqual([queueTable, schema, channel], ["mail_pgqueuer", "jobs", "mail_ch_pgqueuer"]);
 * ```
 *
 * @param options Names that differ from the defaults.
 * @param environment Variables to read, such as `process.env`. By default those of the process, where it has any.
 * @returns Settings for every call that takes them.
 * @throws {TypeError} If an option is unknown.
 * @throws {RangeError} If a name is no plain SQL identifier, since names are sent unquoted.
 */
export function resolveSettings(
  options: SettingsOptions = {},
  environment: Readonly<Record<string, string | undefined>> = environmentOf(
    Object.values(ENVIRONMENT).flat(),
  ),
): Settings {
  knownOptions("settings", options, Object.keys(ENVIRONMENT));
  const given = (key: keyof SettingsOptions): string | undefined =>
    options[key] ?? ENVIRONMENT[key].map((name) => environment[name]).find((value) => value);

  const prefix = given("prefix") ?? "";
  if (prefix !== "") identifier("prefix", prefix);
  const schema = given("schema") || null;
  const names = Object.fromEntries(
    Object.entries(DEFAULT_NAMES).map(([key, fallback]) => [
      key,
      identifier(key, given(key as keyof SettingsOptions) ?? prefix + fallback),
    ]),
  ) as Record<keyof typeof DEFAULT_NAMES, string>;
  return {
    ...names,
    channel: channelName(given("channel") ?? prefix + DEFAULT_CHANNEL),
    prefix,
    schema: schema === null ? null : identifier("schema", schema.toLowerCase()),
    durability: oneOf("durability", given("durability") ?? "durable", [
      "durable",
      "balanced",
      "volatile",
    ]),
    log: oneOf("log", given("log") ?? "full", ["full", "terminal"]),
  };
}

/** A channel is sent as a string or in quotes, so it may hold more than an identifier, as in the Python project. */
function channelName(value: string): string {
  if (typeof value === "string" && /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(value)) {
    if (value.length <= MAX_CHANNEL_LENGTH) return value;
    throw new RangeError(
      `Cannot use "channel" as it must have at most ${MAX_CHANNEL_LENGTH} characters: "${value}" has ${value.length}`,
    );
  }
  throw new RangeError(
    `Cannot use "channel" as it must be of letters, digits, _, . and -, and begin with none of the last two: current value is ${
      shown(value)
    }`,
  );
}

function identifier(name: string, value: string): string {
  if (typeof value !== "string" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(value)) {
    throw new RangeError(
      `Cannot use "${name}" as it must be a plain SQL identifier (letters, digits and _, not starting with a digit): current value is ${
        shown(value)
      }`,
    );
  }
  // PostgreSQL folds unquoted names to lower case, but neither pg_notify() nor the catalog does.
  if (value !== value.toLowerCase()) {
    throw new RangeError(
      `Cannot use "${name}" as it must be in lower case: current value is "${value}"`,
    );
  }
  if (value.length > MAX_NAME_LENGTH) {
    throw new RangeError(
      `Cannot use "${name}" as it must have at most ${MAX_NAME_LENGTH} characters: "${value}" has ${value.length}`,
    );
  }
  return value;
}
