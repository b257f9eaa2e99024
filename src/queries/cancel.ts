import type { JobId } from "../job.ts";
import type { Settings } from "../settings.ts";
import { explained } from "./database_error.ts";
import type { QueueStore } from "./queue.ts";

/** Statements in which a cancel may find a job that changes at the same instant. */
const ROUNDS = 3;

/**
 * Cancels jobs. One that was claimed or put back while the statement waited for its row is seen by the next statement.
 *
 * @returns The jobs that were there.
 */
export async function cancel(
  queue: QueueStore,
  jobIds: readonly JobId[],
  settings: Settings,
): Promise<JobId[]> {
  const left = new Set(jobIds);
  const found: JobId[] = [];
  try {
    for (let round = 0; round < ROUNDS && left.size > 0; round++) {
      const done = await queue.cancel([...left]);
      for (const id of done) left.delete(id);
      found.push(...done);
    }
  } catch (error) {
    throw explained(error, "cancel", settings);
  }
  return found;
}
