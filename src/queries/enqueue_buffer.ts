import type { JobId } from "../job.ts";
import type { CheckedJob } from "../new_job.ts";
import { sqlState } from "./database_error.ts";

/** More in one statement brings nothing. */
const MAX_BATCH = 1_000;

/** Bytes of payloads in one statement: a few large ones are not worth their wait for each other. */
const MAX_BATCH_BYTES = 1_000_000;

/** Promise turns that callers get to enqueue again after an answer, before the next statement is sent. Microseconds. */
const TURNS = 16;

interface Waiting {
  readonly job: CheckedJob;
  readonly resolve: (id: JobId | null) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends jobs that several callers enqueue at the same time as one statement: what comes while a statement is on its way
 * goes with the next. A caller alone waits for nobody; together they share one round trip, one notification and one
 * commit. Each gets its own answer.
 */
export class EnqueueBuffer {
  readonly #send: (jobs: readonly CheckedJob[]) => Promise<(JobId | null)[]>;
  #waiting: Waiting[] = [];
  #sending = false;

  /** @param send Inserts jobs all or none. Gives `null` for a duplicate. */
  constructor(send: (jobs: readonly CheckedJob[]) => Promise<(JobId | null)[]>) {
    this.#send = send;
  }

  /** Adds one job. Gives its id, or `null` if it was a duplicate. */
  add(job: CheckedJob): Promise<JobId | null> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      if (!this.#sending) void this.#sendAll();
    });
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    while (this.#waiting.length > 0) {
      for (let turn = 0; turn < TURNS; turn++) await undefined;
      await this.#sendBatch(this.#take());
      if (this.#waiting.length === 0) {
        for (let turn = 0; turn < TURNS; turn++) await undefined;
      }
    }
    this.#sending = false;
  }

  /** The longest row of waiting jobs that fits in one statement; at least one. */
  #take(): Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const { job } of this.#waiting) {
      bytes += job.payload?.length ?? 0;
      if (count > 0 && (count === MAX_BATCH || bytes > MAX_BATCH_BYTES)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #sendBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const ids = await this.#send(batch.map(({ job }) => job));
      batch.forEach(({ resolve }, index) => resolve(ids[index]!));
    } catch (error) {
      if (batch.length > 1 && blamesJob(error)) {
        // Nothing is stored. Each alone, so that the others do not fail with the one that is to blame.
        for (const waiting of batch) await this.#sendBatch([waiting]);
      } else {
        for (const { reject } of batch) reject(error);
      }
    }
  }
}

/** Whether the server refused what a job holds: data, a constraint, or a limit of size. */
function blamesJob(error: unknown): boolean {
  return ["22", "23", "54"].includes(sqlState(error)?.slice(0, 2) ?? "");
}
