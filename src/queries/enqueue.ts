import type { Executor } from "../driver.ts";
import { DuplicateJobError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { CheckedJob, OnConflict } from "../new_job.ts";
import type { Settings, SettingsOptions } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import { shown } from "../validate.ts";
import { explained, isDuplicateKey, sqlState } from "./database_error.ts";
import { EnqueueBuffer } from "./enqueue_buffer.ts";
import { QueueStore } from "./queue.ts";

/** Jobs and bytes of payloads in one statement. More would only cost memory, here and in the server. */
const MAX_SLICE = { jobs: 10_000, bytes: 8_000_000 };

/** Jobs in a statement from which it counts its log rows itself. For fewer that saves the server nothing. */
const MIN_COUNTED = 10;

/** Options for {@linkcode Queries}. */
export interface QueriesOptions extends SettingsOptions {
  /**
   * Whether jobs that several callers enqueue one by one at the same time go into one statement. Each still waits for the
   * commit and gets its own answer; one that is refused fails alone.
   *
   * @default {true} on a driver, outside transactions
   */
  coalesce?: boolean | undefined;
}

/** What an enqueuer is made from. */
export interface EnqueuerParts {
  readonly executor: Executor;
  readonly statements: Statements;
  readonly settings: Settings;
  /** Whether single jobs of callers at the same time go into one statement. */
  readonly coalesce: boolean;
}

/** Inserts jobs that have passed every check. */
export class Enqueuer {
  readonly #parts: EnqueuerParts;
  readonly #buffer: EnqueueBuffer | undefined;
  /** What counts its log rows. `null` where we may not, `undefined` while we do not know. */
  #counting: Statements | null | undefined;

  constructor(parts: EnqueuerParts) {
    if (typeof parts.coalesce !== "boolean") {
      throw new TypeError(
        `Cannot use "coalesce" as it must be true or false: current value is ${
          shown(parts.coalesce)
        }`,
      );
    }
    this.#parts = parts;
    // A driver works outside of the caller's transactions, but for that of a test. In one the counts would be locked until its end.
    const outside = "listen" in parts.executor && !parts.executor.inTransaction;
    this.#counting = outside && parts.settings.log === "full" ? undefined : null;
    if (parts.coalesce) this.#buffer = new EnqueueBuffer((jobs) => this.#insert(jobs, "skip"));
  }

  /** Inserts one job. Gives its id, or `null` if it was left out as a duplicate. */
  async one(job: CheckedJob, onConflict: OnConflict): Promise<JobId | null> {
    // A key may be in a statement only once where it raises a priority, and callers may share one.
    if (this.#buffer === undefined || onConflict === "update_priority") {
      const [id] = await this.#insert([job], onConflict);
      return id!;
    }
    const id = await this.#buffer.add(job);
    if (id === null && onConflict === "raise") throw new DuplicateJobError([job.dedupeKey!]);
    return id;
  }

  /** Inserts several jobs, all or none. Sends nothing for none. */
  async many(jobs: readonly CheckedJob[], onConflict: OnConflict): Promise<(JobId | null)[]> {
    switch (jobs.length) {
      case 0:
        return [];
      case 1:
        return [await this.one(jobs[0]!, onConflict)];
      default:
        return await this.#insert(jobs, onConflict);
    }
  }

  async #insert(jobs: readonly CheckedJob[], onConflict: OnConflict): Promise<(JobId | null)[]> {
    const { executor, settings } = this.#parts;
    try {
      const slices = executor.transaction ? slicesOf(jobs) : [jobs];
      return slices.length === 1
        ? await this.#insertAtOnce(jobs, onConflict)
        // These do not count: the first would have the counts locked until the last is there.
        : await executor.transaction!(async (transaction) => {
          const ids: (JobId | null)[] = [];
          for (const slice of slices) {
            for (const id of await this.#send(slice, onConflict, transaction)) ids.push(id);
          }
          return ids;
        });
    } catch (error) {
      if (isDuplicateKey(error, settings)) {
        const keys = jobs.flatMap(({ dedupeKey }) => dedupeKey === null ? [] : [dedupeKey]);
        throw new DuplicateJobError(keys, { cause: error });
      }
      throw explained(error, "enqueue", settings);
    }
  }

  async #insertAtOnce(
    jobs: readonly CheckedJob[],
    onConflict: OnConflict,
  ): Promise<(JobId | null)[]> {
    const { executor } = this.#parts;
    const counting = jobs.length < MIN_COUNTED ? null : await this.#whatCounts();
    if (counting === null) return await this.#send(jobs, onConflict, executor);
    try {
      return await this.#send(jobs, onConflict, executor, counting);
    } catch (error) {
      if (!isRefused(error)) throw error;
      // The right to count, or the function for it, was taken away meanwhile. Nothing is stored.
      this.#counting = null;
      return await this.#send(jobs, onConflict, executor);
    }
  }

  #send(
    jobs: readonly CheckedJob[],
    onConflict: OnConflict,
    executor: Executor,
    statements: Statements = this.#parts.statements,
  ): Promise<(JobId | null)[]> {
    return new QueueStore(executor, statements).enqueue(jobs, onConflict);
  }

  async #whatCounts(): Promise<Statements | null> {
    if (this.#counting === undefined) {
      const { executor, statements, settings } = this.#parts;
      const may = await new QueueStore(executor, statements).mayCount();
      this.#counting = may ? new Statements(settings, "at once") : null;
    }
    return this.#counting;
  }
}

/** Whether a right or a function is missing. */
function isRefused(error: unknown): boolean {
  return ["42501", "42883"].includes(sqlState(error) ?? "");
}

function slicesOf(jobs: readonly CheckedJob[]): (readonly CheckedJob[])[] {
  const slices: (readonly CheckedJob[])[] = [];
  let start = 0;
  let bytes = 0;
  jobs.forEach(({ payload }, index) => {
    const size = payload?.length ?? 0;
    const full = index - start === MAX_SLICE.jobs || bytes + size > MAX_SLICE.bytes;
    if (full && index > start) {
      slices.push(jobs.slice(start, index));
      start = index;
      bytes = 0;
    }
    bytes += size;
  });
  slices.push(start === 0 ? jobs : jobs.slice(start));
  return slices;
}
