import { PgQueuerError } from "../errors.ts";
import type { JobId } from "../job.ts";
import type { Settings } from "../settings.ts";
import { explained, isDuplicateKey } from "./database_error.ts";
import type { LogStore, RequeueResult } from "./log.ts";

/**
 * Queues held jobs again. Between the statement's look at the live keys and its update a producer may take one of them:
 * the statement then fails as a whole, and its next look sees the producer's job.
 *
 * @param attempts How often to send the statement.
 */
export async function requeue(
  log: LogStore,
  jobIds: readonly JobId[],
  attempts: number,
  settings: Settings,
): Promise<RequeueResult> {
  for (let attempt = 1;; attempt++) {
    try {
      return await log.requeue(jobIds);
    } catch (error) {
      if (!isDuplicateKey(error, settings)) throw explained(error, "requeue", settings);
      if (attempt < attempts) continue;
      throw new PgQueuerError(
        "Cannot requeue as another session took a dedupe key at the same instant, and no job was queued: call it again",
        { cause: error },
      );
    }
  }
}
