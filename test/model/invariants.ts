/** What must hold in the tables after every step, whatever the model says: a model can be wrong too. */
import type { Gate } from "../../src/queries/gate.ts";
import type { StateRow } from "./real_queue.ts";
import { COLUMN } from "./rows.ts";

/** That a job was claimed to be run. */
export interface Start {
  readonly at: number;
  readonly entrypoint: string;
}

/** What is broken. */
export function breaches(
  before: readonly StateRow[],
  after: readonly StateRow[],
  starts: readonly Start[],
  gates: readonly Gate[],
): string[] {
  const picked = (rows: readonly StateRow[], entrypoint: string): StateRow[] =>
    rows.filter((row) => row[COLUMN.entrypoint] === entrypoint && row[COLUMN.status] === "picked");
  const found: string[] = [];

  for (const { entrypoint, concurrencyLimit, requestsPerSecond } of gates) {
    const running = picked(after, entrypoint);
    // A limit that was lowered ends no job.
    const most = Math.max(concurrencyLimit, picked(before, entrypoint).length);
    if (concurrencyLimit > 0 && running.length > most) {
      found.push(`G4: ${running.length} jobs of ${entrypoint} run, the limit is ${most}`);
    }
    const seats = running.flatMap((row) => row[COLUMN.slot] === null ? [] : [row[COLUMN.slot]]);
    if (new Set(seats).size < seats.length) {
      found.push(`G4: a seat of ${entrypoint} is taken twice`);
    }
    if (exceeds(starts.filter((start) => start.entrypoint === entrypoint), requestsPerSecond)) {
      found.push(`G5: more jobs of ${entrypoint} started than ${requestsPerSecond} a second`);
    }
  }
  const keys = after.filter((row) =>
    row[COLUMN.dedupeKey] !== null && row[COLUMN.status] !== "failed"
  )
    .map((row) => row[COLUMN.dedupeKey]);
  if (new Set(keys).size < keys.length) found.push("G7: two live jobs have one dedupe key");
  for (const row of after) {
    const isPicked = row[COLUMN.status] === "picked";
    if (isPicked !== (row[COLUMN.manager] !== null)) found.push(`${row[COLUMN.id]}: whose is it?`);
    if (!isPicked && row[COLUMN.slot] !== null) found.push(`${row[COLUMN.id]}: has a seat`);
  }
  return found;
}

/** Whether any window that ends with the last start holds more than the rate and its burst. */
function exceeds(starts: readonly Start[], perSecond: number): boolean {
  const last = starts.at(-1);
  if (last === undefined || perSecond === Infinity) return false;
  return starts.some(({ at }, index) =>
    starts.length - index > (last.at - at) / 1_000 * perSecond + Math.max(1, perSecond)
  );
}
