import { Overview, type RemovedSchedule, type ScheduleInfo } from "../queries/overview.ts";
import { durationText } from "./amounts.ts";
import type { Command, Surroundings } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { printJson, printTable, wantsJson } from "./output.ts";
import type { Column } from "./table.ts";

/** `pgq schedules` */
export const schedules: Command = {
  name: "schedules",
  summary: "List the cron schedules, or remove some",
  args: [],
  flags: [{
    flags: "-r, --remove <names...>",
    summary: "delete schedules by their id or entrypoint",
  }],
  notes:
    `A worker that registers a removed schedule adds it again when it starts. Ends with code 1 if a name
stands for no schedule.

Example:
  pgq schedules
  pgq schedules --remove nightly_report`,

  async run(input, surroundings) {
    const { remove: names } = readFlags(input.flags, ["remove"]);
    if (names !== undefined) {
      const removed = await withDatabase(
        input,
        surroundings,
        ({ driver, settings }) => new Overview(driver, settings).removeSchedules(names),
      );
      return reportRemoved(surroundings, names, removed, wantsJson(input));
    }
    const found = await withDatabase(
      input,
      surroundings,
      ({ driver, settings }) => new Overview(driver, settings).schedules(),
    );
    if (wantsJson(input)) printJson(surroundings, found.map(scheduleJson));
    else if (found.length === 0) surroundings.say("No schedules");
    else printTable(surroundings, COLUMNS, found);
    return 0;
  },
};

const COLUMNS: readonly Column<ScheduleInfo>[] = [
  { title: "ID", right: true, text: ({ id }) => id },
  { title: "ENTRYPOINT", text: ({ entrypoint }) => entrypoint },
  { title: "EXPRESSION", text: ({ expression }) => expression },
  {
    title: "STATUS",
    text: ({ status, nextRun }) => nextRun === null ? "paused" : status,
    style: ({ status }) => status === "picked" ? "cyan" : undefined,
  },
  { title: "NEXT", right: true, text: ({ nextRun, now }) => nextText(nextRun, now) },
  { title: "LAST", right: true, text: ({ lastRun, now }) => lastText(lastRun, now) },
];

function nextText(next: Date | null, now: Date): string {
  if (next === null) return "-";
  const left = next.getTime() - now.getTime();
  return left >= 0 ? `in ${durationText(left)}` : `${durationText(-left)} late`;
}

function lastText(last: Date | null, now: Date): string {
  return last === null ? "never" : `${durationText(now.getTime() - last.getTime())} ago`;
}

function scheduleJson(schedule: ScheduleInfo): unknown {
  return {
    id: schedule.id,
    entrypoint: schedule.entrypoint,
    expression: schedule.expression,
    status: schedule.status,
    next_run: schedule.nextRun,
    last_run: schedule.lastRun,
    created: schedule.created,
    updated: schedule.updated,
    heartbeat: schedule.heartbeat,
  };
}

function reportRemoved(
  surroundings: Surroundings,
  names: readonly string[],
  removed: readonly RemovedSchedule[],
  json: boolean,
): number {
  const missing = names.filter((name) =>
    !removed.some(({ id, entrypoint }) => String(id) === name || entrypoint === name)
  );
  if (json) printJson(surroundings, { removed, not_found: missing });
  else {
    surroundings.print(
      `Removed ${removed.length} ${removed.length === 1 ? "schedule" : "schedules"}`,
    );
  }
  for (const name of missing) surroundings.say(`No schedule has the id or entrypoint "${name}"`);
  return missing.length === 0 ? 0 : 1;
}
