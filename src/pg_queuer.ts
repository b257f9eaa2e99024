import type { Driver } from "./driver.ts";
import { type Logger, silentLogger } from "./logger.ts";
import { Queries } from "./queries/queries.ts";
import { QueueStore } from "./queries/queue.ts";
import { ScheduleStore } from "./queries/schedules.ts";
import { SchemaStore } from "./queries/schema.ts";
import {
  addSchedule,
  type Schedule,
  type ScheduleHandler,
  type ScheduleOptions,
} from "./schedule.ts";
import { resolveSettings, type Settings, type SettingsOptions } from "./settings.ts";
import { Statements } from "./sql/render.ts";
import { knownOptions, nonEmptyText, oneOf, shown } from "./validate.ts";
import { Acknowledger, type OnFailure } from "./worker/acknowledger.ts";
import { Listener } from "./worker/listener.ts";
import { type Entrypoint, QueueManager } from "./worker/queue_manager.ts";
import { ScheduleManager } from "./worker/schedule_manager.ts";
import { type Manager, together } from "./worker/together.ts";
import type { Handler } from "./worker/run_job.ts";
import { resolveRunOptions, type RunOptions } from "./worker/run_options.ts";
import { type Duration, toMs } from "./duration.ts";

/** Options for {@linkcode PgQueuer}. */
export interface PgQueuerOptions extends SettingsOptions {
  /** Where the worker writes what it does. `console` fits. @default nowhere */
  logger?: Logger | undefined;
}

/** Options for {@linkcode PgQueuer.entrypoint}. */
export interface EntrypointOptions {
  /**
   * What becomes of a job whose handler throws. `"delete"` removes it; the traceback stays in the log. `"hold"` keeps it
   * with status `failed` until somebody looks at it.
   *
   * @default {"delete"}
   */
  onFailure?: OnFailure | undefined;
}

/**
 * A worker: claims jobs and runs the handler of their entrypoint.
 *
 * @example A worker factory, for `pgq run ./main.ts:main`
 * ```ts ignore
 * import { openWorkerDriver, PgQueuer } from "pgqueuer";
 *
 * export async function main() {
 *   const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));
 *
 *   pgq.entrypoint("index_article", async (job) => {
 *     const id = new TextDecoder().decode(job.payload!);
 *     // A job may run more than once, after a crash for instance: make what you do safe to repeat.
 *     console.log("indexing", id);
 *   });
 *
 *   return pgq;
 * }
 * ```
 */
export class PgQueuer implements AsyncDisposable {
  readonly #driver: Driver;
  readonly #logger: Logger | undefined;
  readonly #settings: Settings;
  readonly #entrypoints = new Map<string, Entrypoint>();
  readonly #schedules: Schedule[] = [];
  /** The run under way. */
  #run: { readonly ended: Promise<void>; manager: Manager | undefined } | undefined;
  /** Whether the next run would have to end at once. */
  #stopped = false;

  /**
   * @param driver What {@linkcode openWorkerDriver} gave; it is closed when `run` ends. Or {@linkcode fromPostgresJs} of
   * a client that you close yourself.
   * @param options Names of the database objects, where they differ from the defaults, and a logger.
   * @throws {TypeError} If `driver` is none.
   */
  constructor(driver: Driver, options: PgQueuerOptions = {}) {
    if (typeof driver?.query !== "function" || typeof driver.listen !== "function") {
      throw new TypeError(
        `Cannot make a PgQueuer as it must get a driver: current value is ${
          shown(driver)
        }, write new PgQueuer(await openWorkerDriver(dsn))`,
      );
    }
    const { logger, ...settings } = options;
    this.#driver = driver;
    this.#logger = logger;
    this.#settings = resolveSettings(settings);
  }

  /** Queries on the worker's own connections, for a handler that enqueues outside a transaction. */
  get queries(): Queries {
    return new Queries(this.#driver, this.#settings);
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
   * @throws {TypeError} If an argument is of the wrong kind or an option is unknown.
   * @throws {RangeError} If the name is empty or has a handler already.
   */
  entrypoint(name: string, handler: Handler): void;
  /**
   * Registers the handler of an entrypoint.
   *
   * @param name Jobs enqueued under this name run it.
   * @param options How its jobs are run.
   * @param handler Runs one attempt of a job.
   */
  entrypoint(name: string, options: EntrypointOptions, handler: Handler): void;
  entrypoint(name: string, second: EntrypointOptions | Handler, third?: Handler): void {
    const [options, handler] = typeof second === "function" ? [{}, second] : [second, third];
    nonEmptyText("name", name);
    if (typeof handler !== "function") {
      throw new TypeError(
        `Cannot register entrypoint "${name}" as its handler must be a function: current value is ${
          shown(handler)
        }`,
      );
    }
    knownOptions(`options of entrypoint ${name}`, options, ["onFailure"]);
    if (this.#entrypoints.has(name)) {
      throw new RangeError(`Cannot register entrypoint "${name}" as it has a handler already`);
    }
    if (this.#run) {
      throw new Error(
        `Cannot register entrypoint "${name}" as the worker runs: do it before run()`,
      );
    }
    this.#entrypoints.set(name, {
      handler,
      onFailure: oneOf("onFailure", options.onFailure ?? "delete", ["delete", "hold"]),
    });
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
  schedule(entrypoint: string, cron: string, handler: ScheduleHandler): void;
  /** Registers a schedule with options, and without a handler where `enqueue` is one of them. */
  schedule(
    entrypoint: string,
    cron: string,
    options: ScheduleOptions,
    handler?: ScheduleHandler,
  ): void;
  schedule(
    entrypoint: string,
    cron: string,
    options?: ScheduleOptions | ScheduleHandler,
    handler?: ScheduleHandler,
  ): void {
    if (this.#run) {
      throw new Error(
        `Cannot register schedule "${entrypoint}" as the worker runs: do it before run()`,
      );
    }
    addSchedule(this.#schedules, entrypoint, cron, options, handler);
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
    const resolved = resolveRunOptions(options);
    if (this.#entrypoints.size === 0 && this.#schedules.length === 0) {
      throw new Error(
        "Cannot run as no entrypoint is registered: call entrypoint() or schedule() first",
      );
    }
    if (this.#run) throw new Error("Cannot run as the worker runs already");

    const stop = (): void => void this.stop();
    const run = { ended: Promise.resolve(), manager: undefined as Manager | undefined };
    this.#run = run;
    resolved.signal?.addEventListener("abort", stop);
    if (resolved.signal?.aborted) this.#stopped = true;
    const work = this.#work(resolved, run).finally(() => {
      resolved.signal?.removeEventListener("abort", stop);
      this.#run = undefined;
    });
    // stop() waits for the end and leaves the error to the caller of run().
    run.ended = work.catch(() => {});
    await work;
  }

  async #work(
    options: ReturnType<typeof resolveRunOptions>,
    run: { manager: Manager | undefined },
  ): Promise<void> {
    const queueManagerId = crypto.randomUUID();
    const logger = this.#logger ?? options.logger ?? silentLogger;
    const statements = new Statements(this.#settings);
    const queue = new QueueStore(this.#driver, statements);
    const listener = new Listener({
      driver: this.#driver,
      channel: this.#settings.channel,
      queueTable: this.#settings.queueTable,
      logger,
    });
    try {
      if (this.#stopped) return;
      const slow = await new SchemaStore(this.#driver, this.#settings).checkForWorker();
      if (slow.length > 0) {
        logger.warn(
          `Claims are slower than they could be, run "pgq install" to add ${slow.join(", ")}`,
        );
      }
      const managers: Manager[] = [];
      if (this.#schedules.length > 0) {
        const store = new ScheduleStore(this.#driver, statements);
        managers.push(new ScheduleManager({ schedules: this.#schedules, store, logger, options }));
      }
      if (this.#entrypoints.size > 0) {
        await listener.start();
        managers.push(
          new QueueManager({
            queueManagerId,
            entrypoints: new Map(this.#entrypoints),
            queue,
            listener,
            acknowledger: new Acknowledger(queue, queueManagerId, logger),
            logger,
            options,
          }),
        );
      }
      run.manager = together(managers, options.mode);
      if (this.#stopped) run.manager.stop();
      const names = [
        ...this.#entrypoints.keys(),
        ...this.#schedules.map((it) => `schedule ${it.entrypoint}`),
      ];
      logger.info(`Worker ${queueManagerId} runs ${names.join(", ")}`);
      await run.manager.run();
      logger.info(`Worker ${queueManagerId} has stopped`);
    } finally {
      await listener.close();
      await this.#driver.close();
    }
  }

  /**
   * Stops the worker: claims no further job and waits for running handlers, at most the run's `shutdownTimeout`. Safe to
   * call again. A run that has not begun ends at once.
   *
   * @param options `timeout: 0` waits no longer: signals abort, and jobs that do not end within a second are put back.
   * @returns Resolves when the run has ended.
   */
  async stop(options: { timeout?: Duration } = {}): Promise<void> {
    this.#stopped = true;
    const run = this.#run;
    run?.manager?.stop();
    if (options.timeout === undefined) {
      await run?.ended;
      return;
    }
    const timer = setTimeout(() => run?.manager?.hurry(), toMs("timeout", options.timeout));
    await run?.ended;
    clearTimeout(timer);
  }

  /** Stops the worker and closes the driver, also one that has never run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#driver.close();
  }
}
