/** What is wrong with a queue, by what was read of it. Pure: the same examination gives the same findings. */
import type { Examination, Examined } from "../queries/doctor.ts";
import {
  checkClock,
  checkLog,
  checkNotifications,
  checkSchema,
  checkServer,
  checkSnapshots,
  checkTables,
} from "./doctor_database.ts";
import { checkEntrypoints, checkHeld, checkSchedules, checkWorkers } from "./doctor_work.ts";
import { error, type Finding, type Found, type Thresholds } from "./finding.ts";

/** Judges an examination: at least one finding for each check. */
export function findings(examination: Examination, thresholds: Thresholds): Finding[] {
  const { settings, schema, server, tables, snapshots, log, status, schedules } = examination;
  if (schema.absent) {
    return [{ check: "schema", ...error("nothing is installed", "pgq install") }];
  }
  const checks: [check: string, () => Found[]][] = [
    ["schema", () => checkSchema(schema, settings)],
    ["server", () => from(server, (found) => checkServer(found, settings))],
    ["clock", () => from(server, checkClock)],
    ["notifications", () => from(server, (found) => checkNotifications(found, settings))],
    ["tables", () => from(tables, (found) => checkTables(found, settings))],
    [
      "snapshots",
      () => from(snapshots, (found) => checkSnapshots(found, status, thresholds, settings)),
    ],
    ["log", () => from(log, (found) => checkLog(found, tables, settings))],
    ["workers", () => from(status, (found) => checkWorkers(found, thresholds))],
    ["entrypoints", () => from(status, (found) => checkEntrypoints(found, thresholds))],
    ["held jobs", () => from(status, checkHeld)],
    ["schedules", () => from(schedules, (found) => checkSchedules(found, thresholds))],
  ];
  return checks.flatMap(([check, run]) => run().map((found) => ({ check, ...found })));
}

function from<T>(examined: Examined<T>, check: (found: T) => Found[]): Found[] {
  if ("found" in examined) return check(examined.found);
  const { message } = examined.error as Error;
  const [, what = message, statement] = /^(.*): run "(.*)"$/.exec(message) ?? [];
  // Nobody may take a queue for healthy that was not looked at.
  if (examined.denied) {
    return [error(`not examined: ${what}`, statement === undefined ? null : `${statement};`)];
  }
  return [{ level: "unknown", message: `not examined: ${message}`, fix: null }];
}
