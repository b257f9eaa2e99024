import { LIVE_STATUSES, Operator } from "../queries/operator.ts";
import { type Command, type Flag, type Input, type Surroundings, UsageError } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { FAILED_COLUMNS, JOB_COLUMNS, jobJson } from "./job_view.ts";
import { printJson, printTable, wantsJson } from "./output.ts";

const DEFAULT_LIMIT = 25;
/** What an `int4` of the database holds. */
const MAX_LIMIT = 2 ** 31 - 1;

const LIMIT_FLAG: Flag = {
  flags: "-n, --limit <number>",
  summary: `most jobs (default: ${DEFAULT_LIMIT})`,
};

/** `pgq ls` */
export const ls: Command = {
  name: "ls",
  summary: "List jobs, the newest first",
  args: [],
  flags: [
    {
      flags: "--status <names>",
      summary: "queued, picked or failed (held); or successful, exception, canceled or deleted, " +
        "which are gone and found in the log; several with commas (default: queued,picked,failed)",
    },
    { flags: "--entrypoint <name>", summary: "of this entrypoint only" },
    {
      flags: "--older-than <seconds>",
      summary: "enqueued, or ended where they are gone, at least so long ago",
    },
    { flags: "--newer-than <seconds>", summary: "at most so long ago" },
    LIMIT_FLAG,
  ],
  notes: `Payloads are not read: pgq show ID --payload prints one.

Example:
  pgq ls --status picked --older-than 600
  pgq ls --status exception --entrypoint send_welcome --newer-than 3600`,

  async run(input, surroundings) {
    const { status = LIVE_STATUSES, entrypoint, olderThan, newerThan, limit = DEFAULT_LIMIT } =
      readFlags(input.flags, ["status", "entrypoint", "olderThan", "newerThan", "limit"]);
    if (olderThan !== undefined && newerThan !== undefined && olderThan >= newerThan) {
      throw new UsageError(
        'Cannot list jobs as "--older-than" must be less than "--newer-than": no job is both',
      );
    }
    return await list(input, surroundings, {
      filter: {
        statuses: status,
        entrypoint,
        olderThanMs: olderThan,
        newerThanMs: newerThan,
        limit,
      },
      columns: JOB_COLUMNS,
      none: "No such jobs",
    });
  },
};

/** `pgq failed` */
export const failed: Command = {
  name: "failed",
  summary: "List held jobs: those that failed and wait for somebody to look at them",
  args: [],
  flags: [LIMIT_FLAG],
  notes:
    `A job is held where its entrypoint has onFailure "hold". Payloads are shown by their size in bytes.

Example:
  pgq failed --limit 1000 --json | jq '.[].id' | xargs pgq requeue`,

  async run(input, surroundings) {
    const { limit = DEFAULT_LIMIT } = readFlags(input.flags, ["limit"]);
    return await list(input, surroundings, {
      filter: { statuses: ["failed"], limit },
      columns: FAILED_COLUMNS,
      none: "No failed jobs",
    });
  },
};

async function list(
  input: Input,
  surroundings: Surroundings,
  { filter, columns, none }: {
    filter: Parameters<Operator["listJobs"]>[0];
    columns: typeof JOB_COLUMNS;
    none: string;
  },
): Promise<number> {
  const { limit } = filter;
  // One more than is shown, to know whether there are more.
  const found = await withDatabase(
    input,
    surroundings,
    ({ driver, settings }) =>
      new Operator(driver, settings).listJobs({ ...filter, limit: Math.min(limit + 1, MAX_LIMIT) }),
  );
  const jobs = found.slice(0, limit);
  if (wantsJson(input)) printJson(surroundings, jobs.map(jobJson));
  else if (jobs.length === 0) surroundings.say(none);
  else printTable(surroundings, columns, jobs);
  // Also beside JSON: a script that takes these for all leaves the others where they are.
  if (found.length > limit) surroundings.say(`There are more than these ${limit}: see --limit`);
  return 0;
}
