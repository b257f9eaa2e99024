import type { Settings } from "../settings.ts";
import { parts, statements } from "./generated.ts";

/** Name of a statement in `sql/queries`. */
export type StatementName = keyof typeof statements;

/** The database objects that SQL text may mention as `{queue_table}` and so on. `…_name` is without the schema. */
export type ObjectNames = Readonly<Record<string, string>>;

/** Goes up with every change of `sql/enqueue.sql`, whose names do not. */
export const ENQUEUE_VERSION = 2;

/** The functions of `sql/functions`. The number of each goes up when what it does or takes changes. */
const FUNCTIONS: Readonly<Record<string, number>> = {
  acknowledge: 2,
  acknowledge_failure: 1,
  aggregate: 2,
  cancel: 1,
  claim: 6,
  count: 1,
  dequeue: 3,
  due: 3,
  heartbeat: 1,
  hold: 1,
  job_status: 1,
  keep_leases: 1,
  look_ahead: 2,
  payload: 1,
  prune_log: 2,
  ready: 1,
  release: 1,
  release_unknown: 1,
  retry: 1,
  share: 1,
  take_over: 1,
  wake: 1,
};

/** Names of the functions of `sql/functions`, without the schema. */
export function workerFunctionsOf({ prefix }: Pick<Settings, "prefix">): string[] {
  return Object.entries(FUNCTIONS).map(([name, number]) =>
    `${prefix}fn_pgqueuer_${name}_${number}`
  );
}

/** When the log rows of new jobs are counted into the statistics: see `sql/parts/new_jobs.sql`. */
export type Counting = "later" | "at once";

/** What the holes of the SQL texts stand for under some settings. */
export function objectNames(settings: Settings, counting: Counting = "later"): ObjectNames {
  const qualified = (name: string): string => settings.schema ? `${settings.schema}.${name}` : name;
  const workerFunctions = workerFunctionsOf(settings);
  const names: ObjectNames = {
    queue_table: qualified(settings.queueTable),
    queue_table_name: settings.queueTable,
    queue_table_log: qualified(settings.queueTableLog),
    queue_table_log_name: settings.queueTableLog,
    statistics_table: qualified(settings.statisticsTable),
    statistics_table_name: settings.statisticsTable,
    schedules_table: qualified(settings.schedulesTable),
    schedules_table_name: settings.schedulesTable,
    limits_table: qualified(settings.limitsTable),
    limits_table_name: settings.limitsTable,
    ...Object.fromEntries(
      Object.keys(FUNCTIONS).map((
        name,
        index,
      ) => [`${name}_function`, qualified(workerFunctions[index]!)]),
    ),
    worker_functions: workerFunctions.map(qualified).join(",\n    "),
    worker_function_names: workerFunctions.map((name) => `'${name}'`).join(", "),
    enqueue_function: qualified(`${settings.prefix}pgqueuer_enqueue`),
    enqueue_function_name: `${settings.prefix}pgqueuer_enqueue`,
    enqueue_version: String(ENQUEUE_VERSION),
    queue_status_type: qualified(settings.queueStatusType),
    queue_status_type_name: settings.queueStatusType,
    legacy_status_type: qualified(`${settings.prefix}pgqueuer_statistics_status`),
    function: qualified(settings.function),
    function_name: settings.function,
    trigger_name: settings.trigger,
    channel: settings.channel,
    log_level: settings.log,
    log_steps: String(settings.log === "full"),
    schema_name: settings.schema ?? "",
    schema_prefix: settings.schema ? `${settings.schema}.` : "",
    prefix: settings.prefix,
  };
  const logged = counting === "later" ? parts.logged_to_count_later : parts.logged_and_counted;
  return { ...names, log_new_jobs: render(logged, names) };
}

/**
 * Fills the `{name}` holes of one SQL text.
 *
 * @throws {RangeError} If the text has a hole that no name fills.
 */
export function render(text: string, names: ObjectNames): string {
  return text.replace(/\{([a-z_]+)\}/g, (hole, key: string) => {
    if (Object.hasOwn(names, key)) return names[key]!;
    throw new RangeError(`Cannot render SQL as ${hole} is not a known object name`);
  });
}

/** The statements of `sql/queries` under one group of settings, each rendered when first used. */
export class Statements {
  readonly #names: ObjectNames;
  readonly #rendered = new Map<StatementName, string>();

  /** @param counting For those that enqueue. */
  constructor(settings: Settings, counting: Counting = "later") {
    this.#names = objectNames(settings, counting);
  }

  /** The text of one statement. */
  get(name: StatementName): string {
    let text = this.#rendered.get(name);
    if (text === undefined) {
      text = render(statements[name], this.#names);
      this.#rendered.set(name, text);
    }
    return text;
  }

  /** Any other text with the same holes, such as a script. */
  render(text: string): string {
    return render(text, this.#names);
  }
}
