/**
 * Random sequences of all that may happen to a queue give what a model in memory says: in answers, rows and log.
 *
 * PGQ_TEST_RUNS says how many sequences. A failure prints the shortest sequence that fails, and the PGQ_TEST_SEED and
 * PGQ_TEST_PATH that run this one alone.
 */
import process from "node:process";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RUNTIME } from "../clients/clients.ts";
import { testDsn } from "../support/queue.ts";
import { Comparison } from "./comparison.ts";
import { someCommands, someGates } from "./commands.ts";
import { openRealQueue } from "./real_queue.ts";
import { Session } from "./session.ts";

/** Most of them once: it is the statements that are compared, and they are the same everywhere. */
const RUNS = Number(process.env["PGQ_TEST_RUNS"] ?? (RUNTIME === "node" ? 2_000 : 500));
const SEED = Number(process.env["PGQ_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const PATH = process.env["PGQ_TEST_PATH"];
/** Each has a schema and a connection of its own: the server works on one while we work on another. */
const LANES = PATH === undefined ? 4 : 1;

/** Gives what is wrong with the shortest sequence that fails, or nothing. */
async function check(lane: number): Promise<string> {
  const real = await openRealQueue(testDsn());
  let shortest = "";
  try {
    const report = await fc.check(
      fc.asyncProperty(someGates, someCommands, async (gates, commands) => {
        const both = new Comparison(real, gates);
        try {
          await new Session(both).run(commands);
        } catch (error) {
          const shown = gates.map((gate) => JSON.stringify(gate));
          shortest = [...shown, ...both.trace, String(error)].join("\n  ");
          throw error;
        }
      }),
      {
        seed: SEED + lane,
        numRuns: Math.ceil(RUNS / LANES),
        ...(PATH === undefined ? {} : { path: PATH, endOnFailure: true }),
      },
    );
    if (!report.failed) return "";
    return `After ${report.numRuns} runs, made shorter ${report.numShrinks} times. Again with PGQ_TEST_SEED=${report.seed} PGQ_TEST_PATH=${report.counterexamplePath}:\n  ${shortest}\n`;
  } finally {
    await real.close();
  }
}

test(
  `the queue does what the model says in ${RUNS} random sequences`,
  async () => {
    const reports = await Promise.all(Array.from({ length: LANES }, (_, lane) => check(lane)));

    expect(reports.filter((report) => report !== "").join("\n")).toBe("");
  },
  300_000,
);
