/** What may happen to a queue, as data: fast-check makes sequences of it, and makes one that fails shorter. */
import * as fc from "fast-check";
import type { OnConflict } from "../../src/new_job.ts";
import type { Gate } from "../../src/queries/gate.ts";
import type { Status } from "./real_queue.ts";

/** Names of the entrypoints. The first has no limits. */
export const ENTRYPOINTS = ["free", "one", "two", "three"] as const;

/**
 * Which jobs a call names, by place: among those that the worker believes it runs, those that are held, those that have not
 * ended, or all that ever were.
 */
export interface Choice {
  readonly of: "mine" | "held" | "there" | "all";
  readonly places: readonly number[];
}

/** A job to enqueue, whose entrypoint is a place in the list. */
export interface InputCommand {
  readonly entrypoint: number;
  readonly priority: number;
  readonly dedupeKey: string | null;
  readonly payload: string | null;
  readonly headers: { readonly [key: string]: number } | null;
  /** An instant that many milliseconds from now, or a delay. */
  readonly due: { readonly at: number } | { readonly after: number };
}

/** A worker that looks for work: `entrypoints` are those that it has handlers for, as bits. */
interface Look {
  readonly worker: number;
  readonly entrypoints: number;
  readonly limit: number;
}

/** A worker that says something about its jobs. */
interface Word {
  readonly worker: number;
  readonly jobs: Choice;
}

/** One thing that happens. Of a claim's jobs at most `counted` may be of entrypoints with limits. */
export type QueueCommand =
  | {
    readonly do: "enqueue";
    readonly jobs: readonly InputCommand[];
    readonly onConflict: OnConflict;
    /** Each by a caller of its own, all at the same time. */
    readonly apart: boolean;
  }
  | { readonly do: "claim"; readonly counted: number; readonly split: number } & Look
  | { readonly do: "takeOver" } & Look
  | { readonly do: "lookAhead"; readonly entrypoints: number }
  | { readonly do: "acknowledge"; readonly status: Status } & Word
  | { readonly do: "retry"; readonly delayMs: number } & Word
  | { readonly do: "release" } & Word
  | { readonly do: "heartbeat" } & Word
  | { readonly do: "releaseUnknown"; readonly worker: number; readonly forgets: boolean }
  | { readonly do: "cancel"; readonly jobs: Choice }
  | { readonly do: "requeue"; readonly jobs: Choice }
  | { readonly do: "crash"; readonly worker: number }
  | { readonly do: "redeploy"; readonly entrypoint: number; readonly concurrencyLimit: number }
  | { readonly do: "aggregate" }
  | { readonly do: "prune"; readonly ageMs: number }
  | { readonly do: "wait"; readonly ms: number };

/** Few values, so that two of them meet and sums of them hit the edge of a lease or a delay. */
const SECONDS = [1, 2, 5, 30, 60].map((seconds) => seconds * 1_000);
const BITS = 2 ** ENTRYPOINTS.length - 1;

const worker = fc.nat({ max: 2 });
const entrypoints = fc.oneof(
  { weight: 4, arbitrary: fc.constant(BITS) },
  { weight: 1, arbitrary: fc.constant(1) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: BITS }) },
);
/** Those of a batch, or some. */
const BATCH = [0, 1, 2, 3, 4, 5];
const places = fc.oneof(
  { weight: 2, arbitrary: fc.constant(BATCH) },
  {
    weight: 1,
    arbitrary: fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 4, size: "max" }),
  },
);

/** Mostly those that the call is meant for. */
function someOf(of: Choice["of"]): fc.Arbitrary<Choice> {
  return fc.record({ of: fc.constantFrom(of, of, of, of, "all"), places });
}

const input: fc.Arbitrary<InputCommand> = fc.record({
  entrypoint: fc.nat({ max: ENTRYPOINTS.length - 1 }),
  priority: fc.integer({ min: -1, max: 2 }),
  dedupeKey: fc.constantFrom(null, null, null, "a", "a", "b"),
  payload: fc.constantFrom(null, "", "x"),
  headers: fc.constantFrom(null, { n: 1 }),
  due: fc.oneof(
    { weight: 6, arbitrary: fc.constant({ after: 0 }) },
    { weight: 2, arbitrary: fc.record({ after: fc.constantFrom(...SECONDS) }) },
    { weight: 1, arbitrary: fc.record({ at: fc.constantFrom(-5_000, 0, ...SECONDS) }) },
  ),
});

const look = { worker, entrypoints, limit: fc.integer({ min: 1, max: 6 }) };
const word = { worker, jobs: someOf("mine") };
const status = fc.constantFrom<Status>(
  "successful",
  "exception",
  "canceled",
  "failed",
  "failed",
  "failed",
);

/** What each kind of command says, and how often it happens: as often as lets the others happen. */
const KINDS: { [Kind in QueueCommand["do"]]: [weight: number, Fields<Kind>] } = {
  enqueue: [12, {
    jobs: fc.array(input, { minLength: 1, maxLength: 6, size: "max" }),
    onConflict: fc.constantFrom<OnConflict>("skip", "skip", "raise", "update_priority"),
    apart: fc.constantFrom(false, false, true),
  }],
  claim: [5, {
    ...look,
    counted: fc.oneof({ weight: 3, arbitrary: fc.constant(6) }, {
      weight: 1,
      arbitrary: fc.nat({ max: 2 }),
    }),
    split: fc.integer({ min: -1, max: 1 }),
  }],
  takeOver: [3, look],
  lookAhead: [3, { entrypoints }],
  acknowledge: [4, { ...word, status }],
  retry: [3, { ...word, delayMs: fc.constantFrom(0, ...SECONDS) }],
  release: [2, word],
  heartbeat: [2, word],
  releaseUnknown: [1, { worker, forgets: fc.boolean() }],
  cancel: [2, { jobs: someOf("there") }],
  requeue: [5, { jobs: someOf("held") }],
  crash: [2, { worker }],
  redeploy: [1, {
    entrypoint: fc.integer({ min: 1, max: ENTRYPOINTS.length - 1 }),
    concurrencyLimit: fc.nat({ max: 3 }),
  }],
  aggregate: [2, {}],
  prune: [2, { ageMs: fc.constantFrom(0, ...SECONDS) }],
  wait: [6, { ms: fc.constantFrom(250, ...SECONDS) }],
};

/** How the fields of a command are made. */
type Fields<Kind extends QueueCommand["do"]> = {
  [Name in Exclude<keyof Extract<QueueCommand, { do: Kind }>, "do">]: fc.Arbitrary<
    Extract<QueueCommand, { do: Kind }>[Name]
  >;
};

function command<Kind extends QueueCommand["do"]>(
  kind: Kind,
): fc.Arbitrary<Extract<QueueCommand, { do: Kind }>> {
  return fc.record({ do: fc.constant(kind), ...KINDS[kind][1] }) as fc.Arbitrary<never>;
}

/** What happens often, one after another: jobs with a past are what the rarer commands are about. */
const lives: fc.Arbitrary<QueueCommand[]> = fc.tuple(
  command("claim"),
  fc.oneof({ weight: 3, arbitrary: command("acknowledge") }, {
    weight: 2,
    arbitrary: command("retry"),
  }),
).map(([claim, end]) => {
  const jobs: Choice = { of: "mine", places: BATCH };
  return [claim, { ...end, worker: claim.worker, jobs }];
});
const deaths: fc.Arbitrary<QueueCommand[]> = fc.tuple(
  command("claim"),
  fc.option(command("cancel"), { nil: undefined, freq: 3 }),
  fc.constantFrom(5_000, 30_000, 60_000),
  command("takeOver"),
).map(([claim, cancel, ms, takeOver]) => [
  claim,
  ...(cancel ? [cancel] : []),
  { do: "crash", worker: claim.worker },
  { do: "wait", ms },
  takeOver,
]);

/** What happens in one run. */
export const someCommands: fc.Arbitrary<QueueCommand[]> = fc.tuple(
  command("enqueue"),
  fc.array(
    fc.oneof(
      { weight: 14, arbitrary: lives },
      { weight: 4, arbitrary: deaths },
      ...(Object.keys(KINDS) as QueueCommand["do"][]).map((kind) => ({
        weight: KINDS[kind][0],
        arbitrary: command(kind).map((one): QueueCommand[] => [one]),
      })),
    ),
    { maxLength: 32, size: "max" },
  ),
).map(([first, parts]) => [first, ...parts.flat()]);

/** The entrypoints of one run. Rates are binary fractions: their tokens are then exact numbers. */
export const someGates: fc.Arbitrary<Gate[]> = fc.tuple(
  ...ENTRYPOINTS.map((entrypoint, index) =>
    fc.record({
      entrypoint: fc.constant(entrypoint),
      concurrencyLimit: index === 0 ? fc.constant(0) : fc.constantFrom(0, 0, 1, 2, 3),
      requestsPerSecond: index === 0
        ? fc.constant(Infinity)
        : fc.constantFrom(Infinity, Infinity, Infinity, Infinity, 0.25, 0.5, 2),
      serializedDispatch: index === 0
        ? fc.constant(false)
        : fc.constantFrom(false, false, false, true),
      leaseMs: fc.constantFrom(30_000, 5_000, 5_000, 0),
      maxTakeOvers: fc.integer({ min: 1, max: 4 }),
    })
  ),
);
