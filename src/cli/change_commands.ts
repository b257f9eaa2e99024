import type { Command } from "./command.ts";
import { withQueries } from "./connection.ts";
import { readJobIds } from "./job_view.ts";
import { printJson, wantsJson } from "./output.ts";

const ID_ARGS: Command["args"] = [{ name: "<ids...>", summary: "the jobs" }];

/** `pgq requeue` */
export const requeue: Command = {
  name: "requeue",
  summary: "Queue held jobs again, as if they had not been tried",
  args: ID_ARGS,
  flags: [],
  notes:
    `A job whose dedupe key belongs to a queued or running job stays held. Ends with code 1 if one of the jobs
was not queued.

Example:
  pgq requeue 42 43`,

  async run(input, surroundings) {
    const ids = readJobIds(input.args);
    const { requeued, duplicates, notHeld } = await withQueries(
      input,
      surroundings,
      (queries) => queries.requeue(ids),
    );
    if (wantsJson(input)) printJson(surroundings, { requeued, duplicates, not_held: notHeld });
    else surroundings.print(`Requeued ${requeued.length} of ${jobs(ids.length)}`);
    if (duplicates.length > 0) {
      surroundings.say(`Still held, as a live job has the same dedupe key: ${list(duplicates)}`);
    }
    if (notHeld.length > 0) surroundings.say(`Not held: ${list(notHeld)}`);
    return requeued.length === ids.length ? 0 : 1;
  },
};

/** `pgq cancel` */
export const cancel: Command = {
  name: "cancel",
  summary: "Cancel jobs: queued, held and running ones",
  args: ID_ARGS,
  flags: [],
  notes:
    `A running job is stopped by its worker, whose handler's signal aborts: it is gone when the handler has ended.
Ends with code 1 if one of the jobs was not there.

Example:
  pgq cancel 42 43`,

  async run(input, surroundings) {
    const ids = readJobIds(input.args);
    const found = new Set(
      await withQueries(input, surroundings, (queries) => queries.cancel(ids)),
    );
    const canceled = ids.filter((id) => found.has(id));
    const missing = ids.filter((id) => !found.has(id));
    if (wantsJson(input)) printJson(surroundings, { canceled, not_found: missing });
    else surroundings.print(`Canceled ${canceled.length} of ${jobs(ids.length)}`);
    if (missing.length > 0) surroundings.say(`Not in the queue: ${list(missing)}`);
    return missing.length === 0 ? 0 : 1;
  },
};

function jobs(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}

function list(ids: readonly number[]): string {
  const more = ids.length > 20 ? ` and ${ids.length - 20} more` : "";
  return `${ids.slice(0, 20).join(", ")}${more}`;
}
