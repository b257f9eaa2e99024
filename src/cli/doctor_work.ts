/** What is wrong with workers, jobs and schedules. */
import type { ScheduleInfo, Status } from "../queries/overview.ts";
import { durationText } from "./amounts.ts";
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
  const sessions = listening === null ? "" : `, ${listening} sessions listen`;
  return [ok(`${holders.length} hold jobs and renew their leases${sessions}`)];
}

export function checkEntrypoints(
  { entrypoints, windowMs }: Status,
  { waiting }: Thresholds,
): Found[] {
  const deserted = entrypoints.filter(({ ready, picked, perSecond, oldestAge }) =>
    ready > 0 && picked === 0 && perSecond === 0 && (oldestAge ?? 0) > waiting
  );
  if (deserted.length === 0) return [ok("each with ready jobs is worked on")];
  return deserted.map(({ entrypoint, ready, oldestAge }) =>
    error(
      `nobody works on "${entrypoint}": ${ready} ready, the oldest for ${
        durationText((oldestAge ?? 0) * 1_000)
      }, none ended in the last ${durationText(windowMs)}`,
      "run a worker that registers it",
    )
  );
}

export function checkHeld({ entrypoints }: Status): Found[] {
  const held = entrypoints.reduce((sum, { failed }) => sum + failed, 0);
  if (held === 0) return [ok("none")];
  return [note(`${number(held)} wait for somebody to look at them`, "pgq failed")];
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
