/** What a chaos run prints: an output that is cut short has to show what is wrong. */
import { expect, test } from "vitest";
import type { Evidence } from "./evidence.ts";
import { Disturbances } from "./recovery.ts";
import { report, summary } from "./report.ts";
import type { ChaosResult } from "./run.ts";

const result: ChaosResult = {
  evidence: {
    stories: [],
    markers: new Map(),
    ledger: [],
    disturbances: new Disturbances(),
    pings: [],
    workers: 1,
    endedAt: new Map(),
    owners: new Map(),
  } satisfies Evidence,
  recoveries: [],
  drainMs: 0,
  findings: [
    { check: "nothing is lost", breaches: [] },
    { check: "no process exits", breaches: ["worker1.1 ended\n  with many\n  lines", "worker2.2"] },
  ],
};

test("the summary has one line for each check that found a breach", () => {
  expect(summary(result)).toEqual([
    "1 of 2 checks found a breach:",
    "- no process exits: worker1.1 ended",
  ]);
});

test("the report begins with the findings and their evidence", () => {
  const lines = report(result);
  const line = (text: string): number => lines.findIndex((line) => line.includes(text));

  expect(line("BREACH  no process exits")).toBeGreaterThan(0);
  expect(line("with many")).toBeLessThan(line("disturbance"));
});
