import { reconnectDelayMs } from "../backoff.ts";
import type { Driver, Subscription } from "../driver.ts";
import { type Duration, toPositiveMs } from "../duration.ts";
import { JobNotFoundError, PgQueuerError, WaitTimeoutError } from "../errors.ts";
import { parseEvent } from "../event.ts";
import { checkIds, type JobId, type JobStatus } from "../job.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { explained, sqlState } from "../queries/database_error.ts";
import { LogStore } from "../queries/log.ts";
import { resolveSettings, type Settings, type SettingsOptions } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import { knownOptions, MAX_TIMER_MS, shown } from "../validate.ts";
import { Wake } from "./wake.ts";

/** Options for {@linkcode CompletionWatcher}. */
export interface CompletionWatcherOptions extends SettingsOptions {
  /**
   * Longest wait between two looks while no notification comes. Bounds how late a wait ends if one is lost.
   *
   * @default {{ seconds: 5 }}
   */
  pollInterval?: Duration | undefined;
  /** Is told when the database cannot be asked. @default nobody */
  logger?: Logger | undefined;
}

/** Options for one wait. */
export interface WaitOptions {
  /** Ends the wait: it rejects with the signal's reason. The jobs go on. */
  signal?: AbortSignal | undefined;
  /** Longest wait. After it the wait rejects with a {@linkcode WaitTimeoutError}. @default no bound */
  timeout?: Duration | undefined;
}

/** How a job ended. `failed`: its handler threw and it is held. `exception`: its handler threw and it is gone. */
export type EndedStatus = Exclude<JobStatus, "queued" | "picked">;

/** One call that waits. */
interface Waiter {
  /** The jobs that have not ended, as far as is known. */
  readonly left: Set<JobId>;
  readonly ended: Map<JobId, EndedStatus>;
  /** Whether one ended job is enough. */
  readonly first: boolean;
  readonly resolve: (ended: Map<JobId, EndedStatus>) => void;
  readonly reject: (reason: unknown) => void;
}

/** Shortest time between two looks: a thousand jobs that end within it are one query. */
const MIN_GAP_MS = 50;

/**
 * Waits until jobs have ended, wherever they run. It wakes by LISTEN, and one query asks for all jobs that anybody waits
 * for. A poll makes up for lost notifications, and after a lost connection it looks again.
 *
 * A job has ended when it is gone, or held after a failure. A wait for an id that neither queue nor log knows rejects
 * after the first look: wait only after the transaction that enqueued the job has committed.
 *
 * @example Enqueue and wait for the end
 * ```ts ignore
 * import { CompletionWatcher, openWorkerDriver, Queries } from "pgqueuer";
 *
 * const driver = await openWorkerDriver(process.env.DATABASE_URL);
 * const watcher = new CompletionWatcher(driver);
 * const id = await new Queries(driver).enqueue("index_article", null);
 *
 * console.log(await watcher.waitFor(id!, { timeout: { minutes: 1 } }));
 *
 * await watcher.close();
 * await driver.close();
 * ```
 */
export class CompletionWatcher implements AsyncDisposable {
  readonly #driver: Driver;
  readonly #settings: Settings;
  readonly #log: LogStore;
  readonly #pollMs: number;
  readonly #logger: Logger;
  /** Set when there is a reason to look. */
  readonly #wake = new Wake();
  readonly #waiters = new Set<Waiter>();
  /** Looks as long as somebody waits. */
  #loop: Promise<void> | undefined;
  /** Made by the first wait, kept until `close()`. */
  #subscription: Subscription | undefined;
  #closed = false;

  /**
   * @param driver What {@linkcode openWorkerDriver} or {@linkcode fromPostgresJs} gave. The watcher does not close it.
   * @param options Names of the database objects, where they differ from the defaults, and the interval of the poll.
   * @throws {TypeError} If `driver` is none or an option is unknown.
   * @throws {RangeError} If the interval is 0.
   */
  constructor(driver: Driver, options: CompletionWatcherOptions = {}) {
    if (typeof driver?.query !== "function" || typeof driver.listen !== "function") {
      throw new TypeError(
        `Cannot make a CompletionWatcher as it must get a driver: current value is ${
          shown(driver)
        }, write new CompletionWatcher(await openWorkerDriver(dsn))`,
      );
    }
    const { pollInterval = { seconds: 5 }, logger = silentLogger, ...settings } = options;
    this.#driver = driver;
    this.#settings = resolveSettings(settings);
    this.#log = new LogStore(driver, new Statements(this.#settings));
    this.#pollMs = toPositiveMs("pollInterval", pollInterval);
    this.#logger = logger;
  }

  /**
   * Waits until a job has ended.
   *
   * @param id The job.
   * @param options A signal and a time-out.
   * @returns How it ended.
   * @throws {JobNotFoundError} If neither the queue nor the log knows the job.
   * @throws {WaitTimeoutError} If it has not ended in time.
   * @throws {SchemaError} If the tables are missing or may not be read.
   * @throws {RangeError} If `id` is none, such as the `null` of a job that was dropped as a duplicate.
   */
  async waitFor(id: JobId, options: WaitOptions = {}): Promise<EndedStatus> {
    return (await this.#wait([id], true, options)).get(id)!;
  }

  /**
   * Waits until every one of several jobs has ended.
   *
   * @param ids The jobs. None is fine, and done at once.
   * @param options A signal and a time-out for all of them.
   * @returns How each ended.
   * @throws {JobNotFoundError} If one of the jobs is not known.
   * @throws {WaitTimeoutError} If one has not ended in time.
   */
  async waitForAll(
    ids: readonly JobId[],
    options: WaitOptions = {},
  ): Promise<Map<JobId, EndedStatus>> {
    return await this.#wait(ids, false, options);
  }

  /**
   * Waits until one of several jobs has ended.
   *
   * @param ids The jobs, at least one.
   * @param options A signal and a time-out.
   * @returns The job that ended and how. Of several that ended since the last look it is the first in the order of `ids`.
   * @throws {JobNotFoundError} If one of the jobs is not known.
   * @throws {WaitTimeoutError} If none has ended in time.
   * @throws {RangeError} If `ids` is empty.
   */
  async waitForFirst(
    ids: readonly JobId[],
    options: WaitOptions = {},
  ): Promise<{ id: JobId; status: EndedStatus }> {
    if (ids.length === 0) {
      throw new RangeError(`Cannot use "ids" as it must have at least one job id: it is empty`);
    }
    const [id, status] = [...await this.#wait(ids, true, options)][0]!;
    return { id, status };
  }

  /** Stops listening. Waits under way reject; the driver stays open. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiters) {
      reject(new PgQueuerError("Cannot go on waiting as the watcher was closed"));
    }
    // Ends the loop. It is not awaited, since a statement under way may have nobody to answer it.
    this.#wake.set();
    await this.#subscription?.close();
    this.#subscription = undefined;
  }

  /** The same as {@linkcode CompletionWatcher.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #wait(
    ids: readonly JobId[],
    first: boolean,
    options: WaitOptions,
  ): Promise<Map<JobId, EndedStatus>> {
    knownOptions("options", options, ["signal", "timeout"]);
    const { signal, timeout } = options;
    const timeoutMs = timeout === undefined ? undefined : toPositiveMs("timeout", timeout);
    const left = new Set(checkIds(ids));
    if (this.#closed) throw new PgQueuerError("Cannot wait as the watcher was closed");
    signal?.throwIfAborted();
    if (left.size === 0) return new Map();

    let waiter!: Waiter;
    const result = new Promise<Map<JobId, EndedStatus>>((resolve, reject) => {
      waiter = { left, ended: new Map(), first, resolve, reject };
    });
    const abort = (): void => waiter.reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    const timer = timeoutMs === undefined ? undefined : setTimeout(
      () => waiter.reject(new WaitTimeoutError([...left], timeoutMs)),
      Math.min(timeoutMs, MAX_TIMER_MS),
    );
    this.#waiters.add(waiter);
    this.#wake.set();
    this.#loop ??= this.#look();
    try {
      return await result;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#waiters.delete(waiter);
      // The last one out ends the loop.
      if (this.#waiters.size === 0) this.#wake.set();
    }
  }

  /** Looks whenever there is a reason to, until nobody waits any more. */
  async #look(): Promise<void> {
    let failures = 0;
    while (this.#waiters.size > 0 && !this.#closed) {
      try {
        // Before the look, so that a job which ends after the look is heard of.
        if (!this.#driver.polls) this.#subscription ??= await this.#subscribe();
        // What comes from here on is a reason to look again: nothing is lost between a look and the wait after it.
        this.#wake.clear();
        // Those who come while the query is under way are not judged by it: their jobs may be younger than its snapshot.
        const waiters = [...this.#waiters];
        const ids = new Set(waiters.flatMap(({ left }) => [...left]));
        const statuses = await this.#log.jobStatus([...ids]);
        for (const waiter of waiters) judge(waiter, statuses);
        failures = 0;
      } catch (error) {
        failures++;
        this.#fail(error);
      }
      // Lets those whose wait is over leave.
      await sleep(failures > 0 ? reconnectDelayMs(failures) : MIN_GAP_MS);
      if (failures === 0 && this.#waiters.size > 0) await this.#wake.wait(this.#pollMs);
    }
    this.#loop = undefined;
  }

  /** Gives up what time does not mend. Anything else is tried again, until a wait is over for its own reasons. */
  #fail(error: unknown): void {
    if (this.#closed) return;
    if (isLasting(error)) {
      const problem = explained(error, "wait for jobs", this.#settings);
      for (const { reject } of this.#waiters) reject(problem);
    } else {
      this.#logger.warn(`Cannot look how jobs stand, trying again: ${error}`);
    }
  }

  async #subscribe(): Promise<Subscription> {
    const subscription = await this.#driver.listen(this.#settings.channel, {
      onPayload: (payload) => {
        const event = parseEvent(payload);
        // A job ends by a DELETE; an insert ends none. Other installs may share the channel.
        const ending = event?.type === "table_changed_event" && event.operation !== "insert" &&
          event.table === this.#settings.queueTable;
        if (ending) this.#wake.set();
      },
      // Also after a lost connection: what was sent meanwhile was not heard.
      onListening: () => this.#wake.set(),
    });
    if (this.#closed) await subscription.close();
    return subscription;
  }
}

/** Ends a wait that is over by what a look has found. */
function judge(waiter: Waiter, statuses: ReadonlyMap<JobId, JobStatus>): void {
  const unknown = [...waiter.left].filter((id) => !statuses.has(id));
  if (unknown.length > 0) return waiter.reject(new JobNotFoundError(unknown));
  for (const id of waiter.left) {
    const status = statuses.get(id)!;
    if (status === "queued" || status === "picked") continue;
    waiter.left.delete(id);
    waiter.ended.set(id, status);
  }
  if (waiter.left.size === 0 || (waiter.first && waiter.ended.size > 0)) {
    waiter.resolve(waiter.ended);
  }
}

/** Whether the server has refused for a reason that time does not mend, such as a missing table. */
function isLasting(error: unknown): boolean {
  const state = sqlState(error);
  // Lost connections, lack of resources, shutdowns, conflicts with other sessions.
  return state !== undefined && !/^(08|25|40|53|55|57)/.test(state);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
