/** What is wrong with workers, jobs and schedules. */
import type { EntrypointStatus, ScheduleInfo, Status } from "../queries/overview.ts";
import { durationText, sessionsText } from "./amounts.ts";
import { error, type Found, note, number, ok, type Thresholds, warning } from "./finding.ts";

export function checkWorkers({ holders, listening }: Status, { silentAfter }: Thresholds): Found[] {
  const silent = holders.filter(({ silence }) => silence > silentAfter);
  if (silent.length > 0) {
    return silent.map(({ id, jobs, silence, entrypoints }) =>
      error(
        `${id} holds ${jobs} ${jobs === 1 ? "job" : "jobs"} of ${
          entrypoints.join(", ")
        } and is silent for ${durationText(silence * 1_000)}`,
        "run a worker of these entrypoints: it takes them over",
      )
    );
  }
  if (holders.length === 0 && listening === 0) {
    return [note("none is to be seen: no job is held, and no session listens", null)];
  }
  const leases = holders.length === 1
    ? "1 holds jobs and renews its lease"
    : `${holders.length} hold jobs and renew their leases`;
  return [ok(listening === null ? leases : `${leases}, ${sessionsText(listening)}`)];
}

export function checkEntrypoints(
  { entrypoints, windowMs }: Status,
  { waiting }: Thresholds,
): Found[] {
  // What was canceled need not have met a worker.
  const isWorkedOn = ({ picked, ended }: EntrypointStatus): boolean =>
    picked + (ended.successful ?? 0) + (ended.exception ?? 0) + (ended.failed ?? 0) > 0;
  const deserted = entrypoints.filter((entrypoint) =>
    entrypoint.ready > 0 && (entrypoint.oldestAge ?? 0) > waiting && !isWorkedOn(entrypoint)
  );
  if (deserted.length === 0) return [ok("each with ready jobs is worked on")];
  return deserted.map(({ entrypoint, ready, oldestAge }) =>
    error(
      `nobody works on "${entrypoint}": ${ready} ready, the oldest for ${
        durationText((oldestAge ?? 0) * 1_000)
      }, none run in the last ${durationText(windowMs)}`,
      "run a worker that registers it",
    )
  );
}

export function checkHeld({ entrypoints }: Status): Found[] {
  const held = entrypoints.reduce((sum, { failed }) => sum + failed, 0);
  if (held === 0) return [ok("none")];
  const who = held === 1 ? "1 waits" : `${number(held)} wait`;
  return [note(`${who} for somebody to look`, "pgq failed")];
}

export function checkSchedules(
  schedules: readonly ScheduleInfo[],
  { waiting, silentAfter }: Thresholds,
): Found[] {
  const seconds = (now: Date, then: Date): number => (now.getTime() - then.getTime()) / 1_000;
  const found = schedules.flatMap(({ entrypoint, expression, status, nextRun, heartbeat, now }) => {
    const name = `"${entrypoint}" (${expression})`;
    if (status === "picked" && seconds(now, heartbeat) > silentAfter) {
      const silence = durationText(seconds(now, heartbeat) * 1_000);
      return [
        error(`the worker that runs ${name} is silent for ${silence}`, "run a worker with it"),
      ];
    }
    if (status === "picked" || nextRun === null || seconds(now, nextRun) <= waiting) return [];
    const late = durationText(seconds(now, nextRun) * 1_000);
    return [
      warning(
        `${name} is ${late} late: no worker registers it`,
        `pgq schedules --remove '${entrypoint.replaceAll("'", "'\\''")}', or run a worker with it`,
      ),
    ];
  });
  return found.length > 0 ? found : [ok(`${schedules.length}, none late`)];
}
