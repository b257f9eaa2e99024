/** What workers send all the time, with parameters for a queue as a test has filled it. */
import { randomUUID } from "node:crypto";
import type { StatementName } from "../../src/sql/render.ts";
import type { Value } from "./explainer.ts";

const LOWEST = -(2 ** 31);
const HIGHEST = 2 ** 31 - 1;

/** What they are about. */
export interface HotQueue {
  /** Most jobs of a claim. */
  readonly limit: number;
  readonly entrypoints: readonly string[];
  /** Highest id of priority 0 that has been claimed of each; `0`: claims read from the front. */
  readonly after: number;
  /** Age of the oldest heartbeat that is looked at, in milliseconds. */
  readonly oldestMs: number;
  /** For how long the longest due job has been that is looked at, in milliseconds. */
  readonly dueMs: number;
  /** Picked jobs, who holds them, and the lease of all of them. */
  readonly picked: readonly number[];
  readonly manager: string;
  readonly lease: string;
}

/** A statement, what is special about it, and its parameters. */
export type HotStatement = [what: string, name: StatementName, parameters: Value[]];

/** All of them, and claims with each kind of limit. */
export function hotStatements(queue: HotQueue): HotStatement[] {
  const { limit, entrypoints, oldestMs, dueMs, manager } = queue;
  const list = (values: readonly unknown[]): string => `{${values.join(",")}}`;
  const each = (value: unknown): string => list(entrypoints.map(() => value));
  const names = list(entrypoints);
  const ids = list(queue.picked);
  const leases = list(queue.picked.map(() => queue.lease));
  const nulls = list(queue.picked.map(() => "NULL"));
  const rangesOf = (names: readonly string[]): string[] => {
    const [lows, highs, after] = queue.after === 0
      ? [[LOWEST], [HIGHEST], [0]]
      : [[1, 0, LOWEST], [HIGHEST, 0, -1], [0, queue.after, 0]];
    const all = (values: readonly number[]): string => list(names.flatMap(() => values));
    return [
      list(names.flatMap((name) => after.map(() => name))),
      all(lows),
      all(highs),
      all(after),
    ];
  };
  const ranges = rangesOf(entrypoints);
  const limits: [what: string, concurrency: number, rate: unknown, serialized: string][] = [
    ["a limit of concurrency", 1_000, "Infinity", "f"],
    ["a limit of rate", 0, 1_000, "f"],
    ["serialized dispatch", 0, "Infinity", "t"],
  ];
  return [
    ["of all entrypoints", "dequeue", [limit, names, randomUUID(), ...ranges, dueMs]],
    [
      "of one entrypoint",
      "dequeue",
      [limit, list([entrypoints[0]]), randomUUID(), ...rangesOf(entrypoints.slice(0, 1)), dueMs],
    ],
    ...limits.map(([what, concurrency, rate, serialized]): HotStatement => [
      `with ${what}`,
      "claim_limited",
      [
        limit,
        limit,
        randomUUID(),
        names,
        each(concurrency),
        each(rate),
        each(serialized),
        oldestMs,
        ...ranges,
        dueMs,
      ],
    ]),
    [
      "of stale leases",
      "take_over",
      [limit, randomUUID(), "{}", names, each(1_000), each("f"), each(5), oldestMs],
    ],
    [
      "of a worker without limits",
      "look_ahead",
      [
        null,
        names,
        each(0),
        each("Infinity"),
        each("f"),
        each(30_000),
        oldestMs,
        oldestMs,
        dueMs,
        ...ranges,
      ],
    ],
    ["of jobs by their ids", "heartbeat", [ids, manager]],
    ["of all jobs of a worker", "keep_leases", [manager]],
    ["as successful", "acknowledge", [ids, "successful", manager, leases]],
    ["as failed", "acknowledge_failure", [ids, nulls, manager, leases]],
    ["of jobs that have failed", "hold", [ids, nulls, manager, leases]],
    ["of jobs that did not start", "release", [ids, manager, leases]],
    ["of jobs that nobody knows of", "release_unknown", [ids, manager, queue.lease]],
    [
      "of jobs that have failed",
      "retry",
      [ids, list(queue.picked.map(() => 0)), nulls, manager, leases],
    ],
  ];
}
