import type { Driver, Executor } from "../driver.ts";
import { type Duration, toMs } from "../duration.ts";
import { checkIds, type JobId, type JobStatus } from "../job.ts";
import {
  checkJobs,
  checkOnConflict,
  checkSingle,
  type EnqueueableTask,
  type EnqueueBatchOptions,
  type EnqueueOptions,
  type NewJob,
  type OnConflict,
  spreadBatch,
} from "../new_job.ts";
import { resolveSettings, type Settings } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import { int4, integerAtLeast, knownOptions, shown } from "../validate.ts";
import { cancel } from "./cancel.ts";
import { explained } from "./database_error.ts";
import { Enqueuer, type QueriesOptions } from "./enqueue.ts";
import {
  type FailedJob,
  type LogStatistics,
  LogStore,
  type QueueSize,
  type RequeueResult,
} from "./log.ts";
import { QueueStore } from "./queue.ts";
import { requeue } from "./requeue.ts";
import { type InstallResult, schemaOf } from "./schema.ts";

/**
 * What producers and operators call. Made from a driver it works outside transactions; {@linkcode getQueue} makes one
 * that works inside the caller's.
 *
 * @example Enqueue outside a transaction
 * ```ts ignore
 * import postgres from "postgres";
 * import { fromPostgresJs, Queries } from "pgqueuer";
 *
 * const sql = postgres(process.env.DATABASE_URL!);
 * const queries = new Queries(fromPostgresJs(sql));
 *
 * await queries.enqueue("send_welcome", new TextEncoder().encode("42"), { priority: 5 });
 * ```
 */
export class Queries {
  /** What runs the statements. */
  readonly executor: Executor;
  readonly #settings: Settings;
  readonly #enqueuer: Enqueuer;
  readonly #queue: QueueStore;
  readonly #log: LogStore;

  /**
   * @param executor A driver, or anything else that runs a statement.
   * @param options Names of the database objects, where they differ from the defaults.
   * @throws {TypeError} If `executor` cannot run statements.
   */
  constructor(executor: Executor | Driver, options: QueriesOptions = {}) {
    if (typeof executor?.query !== "function") {
      throw new TypeError(
        `Cannot make Queries as it must get a driver, such as fromPostgresJs(postgres(dsn)): current value is ${
          shown(executor)
        }`,
      );
    }
    this.executor = executor;
    const { coalesce = "listen" in executor, ...settings } = options;
    this.#settings = resolveSettings(settings);
    const statements = new Statements(this.#settings);
    this.#enqueuer = new Enqueuer({ executor, statements, settings: this.#settings, coalesce });
    this.#queue = new QueueStore(executor, statements);
    this.#log = new LogStore(executor, statements);
  }

  /** Names of the database objects that this instance uses. */
  get settings(): Settings {
    return this.#settings;
  }

  /**
   * Adds one job.
   *
   * @param entrypoint Name of the handler that runs it.
   * @param payload Bytes for the handler, or `null`.
   * @param options Priority, delay, dedupe key and headers.
   * @returns The job's id, or `null` if it was dropped as a duplicate.
   * @throws {TypeError} If a value is of the wrong kind, such as a payload that is a string. Nothing was sent.
   * @throws {RangeError} If a value is out of range. Nothing was sent.
   * @throws {DuplicateJobError} If the dedupe key is in use and `onConflict` is `"raise"`.
   * @throws {SchemaError} If the tables are missing or may not be written.
   */
  enqueue(
    entrypoint: string,
    payload?: Uint8Array | null,
    options?: EnqueueOptions,
  ): Promise<JobId | null>;
  /**
   * Adds several jobs in one round trip, all or none.
   *
   * @param entrypoint One name for all, or one for each.
   * @param payload One for each job.
   * @param options Single values count for all jobs; arrays have one value for each.
   * @returns Ids in the order of the payloads, `null` for a job that was dropped as a duplicate.
   * @throws {RangeError} If two arrays differ in length. Nothing was sent.
   */
  enqueue(
    entrypoint: string | readonly string[],
    payload: readonly (Uint8Array | null)[],
    options?: EnqueueBatchOptions,
  ): Promise<(JobId | null)[]>;
  async enqueue(
    entrypoint: string | readonly string[],
    payload?: Uint8Array | null | readonly (Uint8Array | null)[],
    options: EnqueueOptions | EnqueueBatchOptions = {},
  ): Promise<JobId | null | (JobId | null)[]> {
    if (Array.isArray(entrypoint) || Array.isArray(payload)) {
      const { onConflict, ...columns } = options;
      return await this.enqueueMany(spreadBatch(entrypoint, payload, columns), { onConflict });
    }
    const checked = checkSingle(entrypoint, payload, options as EnqueueOptions);
    return await this.#enqueuer.one(checked.job, checked.onConflict);
  }

  /**
   * Adds several jobs in one round trip, all or none.
   *
   * @param jobs The jobs, each with its own options.
   * @param options What to do about dedupe keys that are in use.
   * @returns Ids in the order of the jobs, `null` for one that was dropped as a duplicate.
   * @throws What {@linkcode Queries.enqueue} throws. Then no job is stored.
   */
  async enqueueMany(
    jobs: readonly NewJob[],
    options: { onConflict?: OnConflict | undefined } = {},
  ): Promise<(JobId | null)[]> {
    knownOptions("options", options, ["onConflict"]);
    const onConflict = checkOnConflict(options.onConflict);
    return await this.#enqueuer.many(checkJobs(jobs, onConflict), onConflict);
  }

  /**
   * Adds one job of a task: checks the value, writes it as the task says, and enqueues it.
   *
   * @param task What {@linkcode task} gave.
   * @param value Its input.
   * @param options As for {@linkcode Queries.enqueue}.
   * @returns The job's id, or `null` if it was dropped as a duplicate.
   * @throws {TypeError} If the value does not fit the task's schema, with the path of what does not. Nothing was sent.
   */
  async enqueueTask<Input>(
    task: EnqueueableTask<Input>,
    value: NoInfer<Input>,
    options?: EnqueueOptions,
  ): Promise<JobId | null> {
    return await this.enqueue(task.name, await task.encode(value), options);
  }

  /**
   * Cancels jobs: a queued or held one is deleted, a picked one is stopped by its worker, whose handler's signal aborts.
   * Until it has stopped, it keeps its dedupe key and its seat.
   *
   * @param jobIds Ids of any number of jobs.
   * @returns Those that were there, in no order. The others had ended already, or never were.
   * @throws {RangeError} If an id is no whole number above 0.
   * @throws {SchemaError} If the tables are missing or may not be written.
   */
  async cancel(jobIds: readonly JobId[]): Promise<JobId[]> {
    return await cancel(this.#queue, checkIds(jobIds), this.#settings);
  }

  /**
   * Says where jobs stand: `queued`, `picked` or `failed` (held) for one in the queue, how it ended for one that is gone.
   *
   * @param ids The jobs.
   * @returns A status for each id. One that was never enqueued, or ended longer ago than the log goes back, is not in it.
   * @throws {RangeError} If an id is none. Nothing was sent.
   * @throws {SchemaError} If the tables are missing or may not be read.
   */
  async jobStatus(ids: readonly JobId[]): Promise<Map<JobId, JobStatus>> {
    const checked = checkIds(ids);
    if (checked.length === 0) return new Map();
    return await this.#explain("read the status of jobs", () => this.#log.jobStatus(checked));
  }

  /**
   * Counts what stands in the queue, held jobs included.
   *
   * @returns One row for each entrypoint, priority and status, the largest first.
   * @throws {SchemaError} If the tables are missing or may not be read.
   */
  async queueSize(): Promise<QueueSize[]> {
    return await this.#explain("count jobs", () => this.#log.queueSize());
  }

  /**
   * Counts how many jobs came to each status, by second. It reads the statistics and what is not counted there yet, so it
   * is exact at any time and writes nothing.
   *
   * @param options `last`: how far back to look, by default as far as there is anything. `limit`: most rows, by default
   * 1,000.
   * @returns One row for each second, entrypoint, priority and status, the newest first.
   * @throws {TypeError} If an option is unknown or of the wrong kind. Nothing was sent.
   * @throws {RangeError} If an option is out of range. Nothing was sent.
   * @throws {SchemaError} If the tables are missing or may not be read.
   */
  async logStatistics(
    options: { last?: Duration | undefined; limit?: number | undefined } = {},
  ): Promise<LogStatistics[]> {
    knownOptions("options", options, ["last", "limit"]);
    const lastMs = options.last === undefined ? null : toMs("last", options.last);
    const limit = rowLimit(options.limit, 1_000);
    return await this.#explain("read statistics", () => this.#log.statistics(lastMs, limit));
  }

  /**
   * Lists held jobs: those that failed and were kept by `onFailure: "hold"`.
   *
   * @param options `limit`: most jobs, by default 100.
   * @returns The jobs, the newest first, each with the traceback of its last failure.
   * @throws {RangeError} If an option is out of range. Nothing was sent.
   * @throws {SchemaError} If the tables are missing or may not be read.
   */
  async listFailed(options: { limit?: number | undefined } = {}): Promise<FailedJob[]> {
    knownOptions("options", options, ["limit"]);
    const limit = rowLimit(options.limit, 100);
    return await this.#explain("list failed jobs", () => this.#log.listFailed(limit));
  }

  /**
   * Queues held jobs again, ready at once, as if they had not been tried. A job whose dedupe key belongs to a queued or
   * running job stays held, since two live jobs may not share one.
   *
   * @param ids The jobs.
   * @returns Which were queued, which stay held because of their key, and which are not held.
   * @throws {RangeError} If an id is none. Nothing was sent.
   * @throws {PgQueuerError} If another session takes a key at the same instant, inside a transaction of yours.
   * @throws {SchemaError} If the tables are missing or may not be written.
   */
  async requeue(ids: readonly JobId[]): Promise<RequeueResult> {
    const checked = checkIds(ids);
    if (checked.length === 0) return { requeued: [], duplicates: [], notHeld: [] };
    // In a transaction the first error ends it.
    const outside = "script" in this.executor || this.executor.inTransaction === false;
    const attempts = outside ? 5 : 1;
    return await requeue(this.#log, checked, attempts, this.#settings);
  }

  async #explain<Result>(action: string, run: () => Promise<Result>): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      throw explained(error, action, this.#settings);
    }
  }

  /**
   * Creates the tables, or adds what older ones lack: those of an earlier release, or of the Python project. On tables
   * that have everything it changes nothing. Older ones are brought up to date while jobs run. If that is interrupted, call
   * it again.
   *
   * @param options `createSchema: false` refuses to create the schema that the settings name; `widenId: false` keeps ids of four bytes.
   * @returns What was done.
   * @throws {SchemaError} If a table of that name is not ours, or a right is missing. Nothing was changed.
   * @throws {TypeError} If this instance works inside a transaction.
   */
  async install(
    { createSchema = true, widenId = true }: { createSchema?: boolean; widenId?: boolean } = {},
  ): Promise<InstallResult> {
    return await schemaOf(this.executor, this.#settings, "install")
      .install({ createSchema, widenId });
  }

  /**
   * Removes the tables with all jobs and logs, the function, the trigger and the type. The schema stays.
   *
   * @returns Names of the tables that were removed.
   * @throws {SchemaError} If a table of that name is not ours, or we are not its owner. Nothing was changed.
   */
  async uninstall(): Promise<string[]> {
    return await schemaOf(this.executor, this.#settings, "uninstall").uninstall();
  }

  /**
   * Compares the catalog with what this version needs.
   *
   * @param expect `"present"`: everything must be there; `"absent"`: nothing may be.
   * @returns What differs, such as `index pgqueuer_ready_idx`. Empty if all is well.
   */
  async verify(expect: "present" | "absent"): Promise<string[]> {
    const schema = schemaOf(this.executor, this.#settings, "verify");
    return expect === "present" ? await schema.missing() : await schema.present();
  }
}

function rowLimit(value: number | undefined, fallback: number): number {
  return int4("limit", integerAtLeast("limit", value ?? fallback, 1));
}
