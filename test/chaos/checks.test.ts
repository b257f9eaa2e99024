/** The checks of a chaos run on histories made by hand: each sees the breach that it is for, and none in a history that is right. */
import { expect, test } from "vitest";
import type { AuditRow, RowState } from "./audit.ts";
import { attemptsCharged, type Check, ended, endsOnce, logAgrees, outbox } from "./check_jobs.ts";
import { fenced, outcomesAreOwn, pinged, recovered } from "./check_leases.ts";
import {
  concurrency,
  deduplicated,
  handlersWithinLimits,
  neverEarly,
  rates,
  serialized,
} from "./check_limits.ts";
import type { Effect, Evidence, LogEntry, Story } from "./evidence.ts";
import { HEARTBEAT_TIMEOUT_MS } from "./kinds.ts";
import { Disturbances, RECOVERY_MS } from "./recovery.ts";

const ME = "11111111-0000-0000-0000-000000000000";
const OTHER = "22222222-0000-0000-0000-000000000000";

function state(values: Partial<RowState> = {}): RowState {
  const { status = "queued" } = values;
  return {
    status,
    manager: status === "picked" ? ME : null,
    heartbeat: 0,
    due: 0,
    attempts: 0,
    slot: null,
    takeOvers: 0,
    ...values,
  };
}

const picked = (values: Partial<RowState> = {}): RowState => state({ status: "picked", ...values });

function change(
  at: number,
  before: RowState | null,
  after: RowState | null,
  actor = "worker1.1",
): AuditRow {
  return { seq: at, at, actor, jobId: 1, before, after };
}

function said(at: number, phase: Effect["phase"], values: Partial<Effect> = {}): Effect {
  return {
    attempt: "a",
    phase,
    worker: "worker1.1",
    manager: ME,
    attempts: 0,
    reason: null,
    at,
    ...values,
  };
}

const logged = (at: number, status: LogEntry["status"]): LogEntry => ({
  at,
  status,
  traceback: false,
});

/** A job that was enqueued at 0, claimed at 10, begun at 20, done at 30 and acknowledged at 40. */
function aStory(values: Partial<Story> = {}): Story {
  return {
    id: 1,
    entrypoint: "quick",
    dedupeKey: null,
    task: { tag: "t" },
    changes: [
      change(0, null, state(), "producer"),
      change(10, state(), picked()),
      change(40, picked(), null),
    ],
    touches: [],
    log: [logged(0, "queued"), logged(10, "picked"), logged(40, "successful")],
    effects: [said(20, "begun"), said(30, "done")],
    row: null,
    ...values,
  };
}

/** A job of a limited entrypoint that had a seat from one time to another. */
function seated(id: number, entrypoint: string, from: number, to: number, slot: number): Story {
  return aStory({
    id,
    entrypoint,
    changes: [
      change(0, null, state(), "producer"),
      change(from, state(), picked({ slot })),
      change(to, picked({ slot }), null),
    ],
    log: [logged(0, "queued"), logged(from, "picked"), logged(to, "successful")],
    effects: [said(from, "begun", { attempt: `${id}` }), said(to, "done", { attempt: `${id}` })],
  });
}

function evidence(stories: readonly Story[], rest: Partial<Evidence> = {}): Evidence {
  return {
    stories,
    markers: new Map(),
    ledger: [],
    disturbances: new Disturbances(),
    pings: [],
    workers: 1,
    endedAt: new Map(),
    owners: new Map([[ME, "worker1.1"], [OTHER, "worker2.2"]]),
    ...rest,
  };
}

const call = { tag: "t", transaction: true, told: "enqueued", ids: [1] } as const;
const late = HEARTBEAT_TIMEOUT_MS + RECOVERY_MS + 1;

/** A check, what it is to see, and the history. */
const BREACHES: readonly (readonly [string, Check, Evidence])[] = [
  ["a job whose transaction did not commit", outbox, evidence([aStory()], { ledger: [call] })],
  [
    "a transaction that committed without its job",
    outbox,
    evidence([], { ledger: [call], markers: new Map([["t", [1]]]) }),
  ],
  [
    "a transaction that was rolled back and did commit",
    outbox,
    evidence([aStory()], {
      ledger: [{ ...call, told: "rolled back" }],
      markers: new Map([["t", [1]]]),
    }),
  ],
  [
    "a job that a caller was told of and that is not there",
    outbox,
    evidence([], { ledger: [{ ...call, transaction: false }] }),
  ],
  ["a job that is left", ended, evidence([aStory({ row: "queued" })])],
  ["a job that ended without a run", ended, evidence([aStory({ effects: [] })])],
  ["a job that ended in another way", ended, evidence([aStory({ entrypoint: "canceled" })])],
  [
    "an end that is told twice",
    endsOnce,
    evidence([aStory({ log: [...aStory().log, logged(50, "successful")] })]),
  ],
  [
    "an end that is not told",
    logAgrees,
    evidence([aStory({ log: aStory().log.slice(0, -1) })]),
  ],
  [
    "an attempt charged for a release",
    attemptsCharged,
    evidence([
      aStory({
        changes: [
          change(0, null, state()),
          change(10, state(), picked()),
          change(15, picked(), state({ attempts: 1 })),
        ],
      }),
    ]),
  ],
  [
    "an end by a worker without the lease",
    fenced,
    evidence([aStory({ changes: [change(40, picked(), null, "worker2.2")] })]),
  ],
  [
    "a take-over of a lease that has not run out",
    fenced,
    evidence([
      aStory({
        changes: [
          change(40, picked(), picked({ manager: OTHER, takeOvers: 1 }), "worker2.2"),
        ],
      }),
    ]),
  ],
  [
    "a renewal of the lease of another",
    fenced,
    evidence([
      aStory({ touches: [change(15, picked(), picked({ heartbeat: 15 }), "worker2.2")] }),
    ]),
  ],
  [
    "an outcome of an attempt from before the claim",
    outcomesAreOwn,
    evidence([aStory({ effects: [said(5, "begun"), said(30, "done")] })]),
  ],
  [
    "an outcome of a handler that had not ended",
    outcomesAreOwn,
    evidence([aStory({ effects: [said(20, "begun"), said(45, "done")] })]),
  ],
  [
    "three jobs at once where two may be",
    concurrency,
    evidence([1, 2, 3].map((id) => seated(id, "limited", 10, 20, id - 1))),
  ],
  [
    "a seat taken twice",
    concurrency,
    evidence([1, 2].map((id) => seated(id, "limited", 10, 20, 0))),
  ],
  ["a job without a seat", concurrency, evidence([seated(1, "limited", 10, 20, 2)])],
  [
    "three handlers at once where two may be",
    handlersWithinLimits,
    evidence([1, 2, 3].map((id) => seated(id, "limited", 10, 20, id - 1))),
  ],
  [
    "more starts than the rate allows",
    rates,
    evidence(Array.from({ length: 7 }, (_, id) => seated(id, "rated", 10 + id, 100, 0))),
  ],
  [
    "two jobs of a serialized entrypoint at once",
    serialized,
    evidence([1, 2].map((id) => seated(id, "serialized", 10, 20, 0))),
  ],
  [
    "two live jobs with a key",
    deduplicated,
    evidence([aStory({ dedupeKey: "k" }), aStory({ id: 2, dedupeKey: "k" })]),
  ],
  [
    "a claim before the time",
    neverEarly,
    evidence([aStory({ changes: [change(10, state({ due: 11 }), picked())] })]),
  ],
  [
    "a job of a silent worker that is left by one with nothing in its way",
    recovered,
    evidence([
      aStory({
        changes: [change(late, picked(), picked({ manager: OTHER, takeOvers: 1 }), "worker2.2")],
      }),
    ]),
  ],
  [
    "a worker that does not take a job with nothing in its way",
    pinged,
    evidence([aStory({ changes: [change(late, state(), picked())] })], {
      pings: [{ worker: 0, jobId: 1, after: "kill", sentAt: 0 }],
    }),
  ],
];

test.each(BREACHES)("sees %s", (_, check, broken) => {
  expect(check(broken)).not.toEqual([]);
});

test("no check sees a breach in a history that is right", () => {
  const right = evidence(
    [
      aStory(),
      seated(2, "limited", 10, 20, 0),
      seated(3, "limited", 10, 20, 1),
      seated(4, "limited", 20, 30, 1),
      seated(5, "serialized", 10, 20, 0),
      seated(6, "serialized", 20, 30, 0),
      ...Array.from({ length: 6 }, (_, n) => seated(10 + n, "rated", 10 + n * 200, 9_999, 0)),
    ],
    { pings: [{ worker: 0, jobId: 1, after: "kill", sentAt: 0 }] },
  );
  const transactional = { ...right, ledger: [], markers: new Map() };

  for (const check of new Set(BREACHES.map(([, check]) => check))) {
    expect(check(transactional)).toEqual([]);
  }
});

test("a worker without the handler has not left a job alone", () => {
  const disturbances = new Disturbances();
  Object.assign(disturbances.begin("kill", [0]), { from: 0, to: late });
  const silent = (entrypoint: string): Evidence =>
    evidence([
      aStory({
        entrypoint,
        changes: [change(late, picked(), picked({ manager: OTHER, takeOvers: 1 }), "worker2.2")],
      }),
    ], { disturbances, workers: 2 });

  expect(recovered(silent("quick"))).toHaveLength(1);
  // The last worker leaves entrypoints with limits to the others, and has a ping of its own.
  expect(recovered(silent("limited"))).toEqual([]);
  expect(recovered(silent("ping_0"))).toEqual([]);
});

test("what is done to a worker excuses it, and only it, for as long as it lasts", () => {
  const disturbances = new Disturbances();
  disturbances.begin("kill", [0]);
  Object.assign(disturbances.all[0]!, { from: 100, to: 300 });

  expect(disturbances.longestCalm(0, 0, 1_000)).toBe(700);
  expect(disturbances.longestCalm(0, 150, 250)).toBe(0);
  expect(disturbances.longestCalm(1, 0, 1_000)).toBe(1_000);
  expect(disturbances.lastEnd(0, 150)).toBe(300);
});

test("a machine that has no time excuses every worker, for as long as that lasts", () => {
  const disturbances = new Disturbances();
  disturbances.standstills.push({ from: 100, to: 300 });

  for (const worker of [0, 1]) {
    expect(disturbances.longestCalm(worker, 0, 1_000)).toBe(700);
    expect(disturbances.lastEnd(worker, 500)).toBe(300);
  }
});
