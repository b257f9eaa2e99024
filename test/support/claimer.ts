/** Claimers for tests. */
import { randomUUID } from "node:crypto";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import type { QueueStore } from "../../src/queries/queue.ts";
import { silentLogger } from "../../src/logger.ts";
import { Claimer, type ClaimerParts } from "../../src/worker/claimer.ts";

/** What came beside the claims of each. */
const besides = new WeakMap<Claimer, ClaimedJob[]>();

/** A claimer of entrypoints without limits. */
export function claimerOf(
  queue: QueueStore,
  names: readonly string[],
  parts: Partial<ClaimerParts> = {},
): Claimer {
  const beside: ClaimedJob[] = [];
  const made = new Claimer({
    queueManagerId: randomUUID(),
    queue,
    logger: silentLogger,
    gates: names.map((entrypoint) => ({
      entrypoint,
      concurrencyLimit: 0,
      requestsPerSecond: Infinity,
      serializedDispatch: false,
      leaseMs: 30_000,
      maxTakeOvers: 5,
    })),
    deliver: ({ jobs }) => Promise.resolve(void beside.push(...jobs)),
    listener: { wake: () => {} },
    attempts: { roomBeside: () => 0, wake: () => {} },
    ...parts,
  });
  besides.set(made, beside);
  return made;
}

/** Jobs of a claim, and of a look beside it. */
export async function claim(from: Claimer, limit: number): Promise<ClaimedJob[]> {
  const { jobs } = await from.claim({ limit, startable: limit });
  await from.settled();
  return [...jobs, ...deliveredTo(from)];
}

/** What came beside the claims of one and was not asked for yet. */
export function deliveredTo(claimer: Claimer): ClaimedJob[] {
  return besides.get(claimer)!.splice(0);
}
