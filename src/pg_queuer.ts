import type { Driver } from "./driver.ts";
import { type Logger, silentLogger } from "./logger.ts";
import type { PgQueuerOptions } from "./pg_queuer_options.ts";
import { Queries } from "./queries/queries.ts";
import {
  addSchedule,
  type Schedule,
  type ScheduleHandler,
  type ScheduleOptions,
} from "./schedule.ts";
import { resolveSettings, type Settings } from "./settings.ts";
import { type Task, taskEntrypoint } from "./task.ts";
import { shown } from "./validate.ts";
import {
  addEntrypoint,
  type Entrypoint,
  type EntrypointOptions,
  optionsFirst,
  type TransactionalOptions,
} from "./worker/entrypoint.ts";
import type {
  Handler,
  TaskHandler,
  TransactionalHandler,
  TransactionalTaskHandler,
} from "./worker/run_job.ts";
import type { HealthOptions, WorkerHealth } from "./worker/health.ts";
import { Life } from "./worker/life.ts";
import { resolveRunOptions, type RunOptions } from "./worker/run_options.ts";
import { work, type WorkParts } from "./worker/work.ts";
import type { Duration } from "./duration.ts";

/**
 * A worker: claims jobs and runs the handler of their entrypoint. `Resources` is the type of the option `resources`,
 * `Transaction` what the driver's client calls a transaction; a plain `PgQueuer` stands for any worker.
 *
 * @example A worker factory, for `pgq run ./main.ts:main`
 * ```ts ignore
 * import { openWorkerDriver, PgQueuer } from "pgqueuer";
 *
 * export async function main() {
 *   const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));
 *   pgq.entrypoint("index_article", async (job) => {
 *     // A job may run more than once, after a crash for instance: make what you do safe to repeat.
 *     console.log("indexing", new TextDecoder().decode(job.payload!));
 *   });
 *   return pgq;
 * }
 * ```
 */
export class PgQueuer<Resources = unknown, Transaction = unknown> implements AsyncDisposable {
  /** What handlers share: the option `resources`. */
  readonly resources: Resources;
  readonly #driver: Driver<Transaction>;
  readonly #logger: Logger | undefined;
  readonly #settings: Settings;
  /** One for all: it gathers what handlers enqueue at the same time. */
  #queries: Queries | undefined;
  readonly #entrypoints = new Map<string, Entrypoint>();
  readonly #schedules: Schedule[] = [];
  /** The run under way, and the end of it. */
  readonly #life: Life;

  /**
   * @param driver What {@linkcode openWorkerDriver} gave; it is closed when `run` ends. Or {@linkcode fromPostgresJs} of
   * a client that you close yourself.
   * @param options What handlers share, names of the database objects, where they differ from the defaults, and a logger.
   * @throws {TypeError} If `driver` is none.
   */
  constructor(
    driver: Driver<Transaction>,
    options: PgQueuerOptions<Resources> & { readonly resources: Resources },
  );
  /** A worker whose handlers share nothing. A type that says otherwise must come with a value. */
  constructor(
    driver: Driver<Transaction>,
    ...options: unknown extends Resources ? [options?: PgQueuerOptions] : [options: never]
  );
  constructor(driver: Driver<Transaction>, options: PgQueuerOptions<Resources> = {}) {
    if (typeof driver?.query !== "function" || typeof driver.listen !== "function") {
      throw new TypeError(
        `Cannot make a PgQueuer as it must get a driver: current value is ${
          shown(driver)
        }, write new PgQueuer(await openWorkerDriver(dsn))`,
      );
    }
    const { logger, resources, ...settings } = options;
    // The signatures have seen to it that it is there, or that its type is unknown.
    this.resources = resources as Resources;
    this.#driver = driver;
    this.#life = new Life(driver);
    this.#logger = logger;
    this.#settings = resolveSettings(settings);
  }

  /** Queries on the worker's own connections, for a handler that enqueues outside a transaction. */
  get queries(): Queries {
    return this.#queries ??= new Queries(this.#driver, this.#settings);
  }

  /** Names of the entrypoints that have a handler. */
  get entrypoints(): readonly string[] {
    return [...this.#entrypoints.keys()];
  }

  /**
   * Registers the handler of an entrypoint.
   *
   * @param name Jobs enqueued under this name run it.
   * @param handler Runs one attempt of a job.
   * @throws {TypeError} If an argument is of the wrong kind, an option is unknown, or the driver has no transactions.
   * @throws {RangeError} If the name is empty or has a handler already, or the driver has no connections for transactions.
   */
  entrypoint(name: string, handler: Handler<Resources>): void;
  /** The same with a transaction for the handler, in which its job ends. */
  entrypoint(
    name: string,
    options: TransactionalOptions,
    handler: TransactionalHandler<Transaction, Resources>,
  ): void;
  /** The same with options that say how its jobs are run. */
  entrypoint(name: string, options: EntrypointOptions, handler: Handler<Resources>): void;
  entrypoint(
    name: string,
    second: EntrypointOptions | TransactionalOptions | Handler<Resources>,
    third?: Handler<Resources> | TransactionalHandler<Transaction, Resources>,
  ): void {
    const [options, handler] = optionsFirst(name, second, third);
    this.#refuseWhileRunning("entrypoint", name);
    // What a handler is called with has our resources, and a transaction where that was asked for.
    addEntrypoint(this.#entrypoints, name, options, handler as Handler, this.#driver);
  }

  /**
   * Registers the handler of a task: an entrypoint that gets its input read and checked. A job whose payload does not fit
   * is held with the reason and not tried again.
   *
   * @param task What {@linkcode task} gave.
   * @param handler Runs one attempt with the task's input.
   * @throws {TypeError} If an argument is of the wrong kind, or the driver has no transactions.
   * @throws {RangeError} If the task's name has a handler already.
   */
  register<Input, Output>(
    task: Task<Input, Output>,
    handler: TaskHandler<NoInfer<Output>, Resources>,
  ): void;
  /** The same with a transaction for the handler, in which its job ends. */
  register<Input, Output>(
    task: Task<Input, Output>,
    options: { transactional: true },
    handler: TransactionalTaskHandler<NoInfer<Output>, Transaction, Resources>,
  ): void;
  register<Input, Output>(
    task: Task<Input, Output>,
    second: { transactional: true } | TaskHandler<Output, Resources>,
    third?: TransactionalTaskHandler<Output, Transaction, Resources>,
  ): void {
    const [options, handler] = optionsFirst(task?.name, second, third);
    const { name, options: own, run } = taskEntrypoint(task, handler as TaskHandler<Output>);
    this.#refuseWhileRunning("entrypoint", name);
    addEntrypoint(this.#entrypoints, name, { ...own, ...options }, run, this.#driver);
  }

  /**
   * Registers a schedule: `handler` runs once at each due time, in one worker of all that register it. It is not a job:
   * it is not retried and does not count against `maxConcurrentTasks`. With the option `enqueue` a fire becomes one.
   *
   * @example Every night at three in Oslo, whatever the season
   * ```ts ignore
   * pgq.schedule("nightly_report", "0 3 * * *", { timeZone: "Europe/Oslo" }, async ({ due }) => {
   *   await writeReport(due);
   * });
   * ```
   *
   * @param entrypoint Name of the schedule. With the expression it is the key of its row.
   * @param cron Five fields, or six with the seconds **last**, or a nickname such as `@hourly`. See
   * {@linkcode ScheduleOptions.timeZone} for what happens where clocks change.
   * @param handler Runs one fire.
   * @throws {TypeError} If an argument is of the wrong kind or an option is unknown.
   * @throws {RangeError} If the expression or the time zone is none, or the schedule is registered already.
   */
  schedule(entrypoint: string, cron: string, handler: ScheduleHandler<Resources>): void;
  /** Registers a schedule with options, and without a handler where `enqueue` is one of them. */
  schedule(
    entrypoint: string,
    cron: string,
    options: ScheduleOptions,
    handler?: ScheduleHandler<Resources>,
  ): void;
  schedule(
    entrypoint: string,
    cron: string,
    options?: ScheduleOptions | ScheduleHandler<Resources>,
    handler?: ScheduleHandler<Resources>,
  ): void {
    this.#refuseWhileRunning("schedule", entrypoint);
    addSchedule(
      this.#schedules,
      entrypoint,
      cron,
      options as ScheduleOptions | ScheduleHandler,
      handler as ScheduleHandler,
    );
  }

  /**
   * Runs jobs until {@linkcode PgQueuer.stop} is called or `signal` aborts, or in drain mode until none is ready. Every
   * claimed job has ended or is back in the queue when it resolves, and the driver is closed. Survives a lost database:
   * it reconnects and goes on.
   *
   * @param options Sizes, timeouts and the mode.
   * @throws {SchemaError} If the tables are missing, older than this version, or may not be used.
   * @throws {TypeError} If an option is unknown or of the wrong kind.
   * @throws {RangeError} If an option is out of range.
   * @throws {Error} If no entrypoint or schedule is registered, the worker runs already, or the database cannot be reached at start.
   */
  async run(options: RunOptions = {}): Promise<void> {
    await this.#work(options, (parts) => parts, () => this.#driver.close());
  }

  /**
   * Runs on parts that `adapt` has changed, and leaves the driver open: for the testing kit.
   *
   * @internal
   */
  async runAdapted(options: RunOptions, adapt: (parts: WorkParts) => WorkParts): Promise<void> {
    await this.#work(options, adapt, () => Promise.resolve());
  }

  #refuseWhileRunning(what: string, name: string): void {
    if (!this.#life.runs) return;
    throw new Error(`Cannot register ${what} "${name}" as the worker runs: do it before run()`);
  }

  async #work(
    options: RunOptions,
    adapt: (parts: WorkParts) => WorkParts,
    close: () => Promise<void>,
  ): Promise<void> {
    const resolved = resolveRunOptions(options);
    if (this.#entrypoints.size === 0 && this.#schedules.length === 0) {
      throw new Error(
        "Cannot run as no entrypoint is registered: call entrypoint() or schedule() first",
      );
    }
    if (this.#life.runs) throw new Error("Cannot run as the worker runs already");

    const begin = async (hooks: Pick<WorkParts, "stopped" | "onManager">): Promise<void> =>
      await work(adapt({
        driver: this.#driver,
        settings: this.#settings,
        entrypoints: new Map(this.#entrypoints),
        schedules: [...this.#schedules],
        statistics: true,
        options: resolved,
        resources: this.resources,
        logger: this.#logger ?? resolved.logger ?? silentLogger,
        ...hooks,
      }));
    await this.#life.run(resolved.signal, begin, close);
  }

  /**
   * Stops the worker: claims no further job and waits for running handlers, at most the run's `shutdownTimeout`. Safe to
   * call again. A run that has not begun ends at once.
   *
   * @param options `timeout: 0` waits no longer: signals abort, and jobs that do not end within a second are put back.
   * @returns Resolves when the run has ended.
   */
  async stop(options: { timeout?: Duration } = {}): Promise<void> {
    await this.#life.stop(options.timeout);
  }

  /**
   * Says how the worker is, for the probes of an orchestrator and for monitoring; asks the database at most twice a second
   * for it. `pgq run --health-port` answers with it. See {@linkcode WorkerProbe} for a worker of `runWorker()`.
   *
   * @example Refuse traffic while the worker cannot take jobs
   * ```ts ignore
   * const { ready, problems } = await pgq.health();
   * return new Response(problems.join("\n"), { status: ready ? 200 : 503 });
   * ```
   *
   * @param options How long to wait, and from when on a loop is stuck.
   * @returns What is known. Never rejects because of the database.
   * @throws {TypeError} If an option is unknown or of the wrong kind.
   */
  async health(options: HealthOptions = {}): Promise<WorkerHealth> {
    return await this.#life.health(this.entrypoints, options);
  }

  /** Stops the worker and closes the driver, also one that has never run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#driver.close();
  }
}
