import { DuplicateJobError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { CheckedJob, OnConflict } from "../new_job.ts";
import type { Settings } from "../settings.ts";
import { explained, isDuplicateKey } from "./database_error.ts";
import type { QueueStore } from "./queue.ts";

/** Inserts jobs that have passed every check. Sends nothing for none. */
export async function enqueue(
  queue: QueueStore,
  jobs: readonly CheckedJob[],
  onConflict: OnConflict,
  settings: Settings,
): Promise<(JobId | null)[]> {
  if (jobs.length === 0) return [];
  try {
    return await queue.enqueue(jobs, onConflict);
  } catch (error) {
    if (isDuplicateKey(error, settings)) {
      const keys = jobs.flatMap(({ dedupeKey }) => dedupeKey === null ? [] : [dedupeKey]);
      throw new DuplicateJobError(keys, { cause: error });
    }
    throw explained(error, "enqueue", settings);
  }
}
