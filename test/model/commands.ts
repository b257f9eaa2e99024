/** What may happen to a queue, as data: fast-check makes sequences of it, and makes one that fails shorter. */
import * as fc from "fast-check";
import type { OnConflict } from "../../src/new_job.ts";
import type { Gate } from "../../src/queries/queue.ts";
import type { Status } from "./real_queue.ts";

/** Names of the entrypoints. The first has no limits. */
export const ENTRYPOINTS = ["free", "one", "two", "three"] as const;

/** Which jobs a call names: by place among those that the worker believes it runs, or among all that ever were. */
export interface Choice {
  readonly of: "mine" | "all";
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
  { weight: 2, arbitrary: fc.constant(BITS) },
  { weight: 1, arbitrary: fc.constant(1) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: BITS }) },
);
const places = fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 4 });
const mine: fc.Arbitrary<Choice> = fc.record({
  of: fc.oneof(
    { weight: 5, arbitrary: fc.constant("mine" as const) },
    { weight: 1, arbitrary: fc.constant("all" as const) },
  ),
  places,
});
const all: fc.Arbitrary<Choice> = fc.record({ of: fc.constant("all" as const), places });

const input: fc.Arbitrary<InputCommand> = fc.record({
  entrypoint: fc.nat({ max: ENTRYPOINTS.length - 1 }),
  priority: fc.integer({ min: -1, max: 2 }),
  dedupeKey: fc.constantFrom(null, null, null, "a", "b", "c"),
  payload: fc.constantFrom(null, "", "x"),
  headers: fc.constantFrom(null, { n: 1 }),
  due: fc.oneof(
    { weight: 3, arbitrary: fc.constant({ after: 0 }) },
    { weight: 2, arbitrary: fc.record({ after: fc.constantFrom(...SECONDS) }) },
    { weight: 1, arbitrary: fc.record({ at: fc.constantFrom(-5_000, 0, ...SECONDS) }) },
  ),
});

const look = { worker, entrypoints, limit: fc.integer({ min: 1, max: 6 }) };
const word = { worker, jobs: mine };
const status = fc.constantFrom<Status>("successful", "exception", "canceled", "failed", "failed");

/** What each kind of command says, and how often it happens: as often as lets the others happen. */
const KINDS: { [Kind in QueueCommand["do"]]: [weight: number, Fields<Kind>] } = {
  enqueue: [8, {
    jobs: fc.array(input, { minLength: 1, maxLength: 5 }),
    onConflict: fc.constantFrom<OnConflict>("skip", "skip", "raise", "update_priority"),
    apart: fc.constantFrom(false, false, true),
  }],
  claim: [9, {
    ...look,
    counted: fc.oneof({ weight: 3, arbitrary: fc.constant(6) }, {
      weight: 1,
      arbitrary: fc.nat({ max: 2 }),
    }),
    split: fc.integer({ min: -1, max: 1 }),
  }],
  takeOver: [4, look],
  lookAhead: [3, { entrypoints }],
  acknowledge: [5, { ...word, status }],
  retry: [3, { ...word, delayMs: fc.constantFrom(0, ...SECONDS) }],
  release: [2, word],
  heartbeat: [2, word],
  releaseUnknown: [1, { worker, forgets: fc.boolean() }],
  cancel: [3, { jobs: all }],
  requeue: [4, { jobs: all }],
  crash: [2, { worker }],
  redeploy: [1, {
    entrypoint: fc.integer({ min: 1, max: ENTRYPOINTS.length - 1 }),
    concurrencyLimit: fc.nat({ max: 3 }),
  }],
  aggregate: [1, {}],
  prune: [1, { ageMs: fc.constantFrom(0, ...SECONDS) }],
  wait: [6, { ms: fc.constantFrom(250, ...SECONDS) }],
};

/** How the fields of a command are made. */
type Fields<Kind extends QueueCommand["do"]> = {
  [Name in Exclude<keyof Extract<QueueCommand, { do: Kind }>, "do">]: fc.Arbitrary<
    Extract<QueueCommand, { do: Kind }>[Name]
  >;
};

/** What happens in one run. */
export const someCommands: fc.Arbitrary<QueueCommand[]> = fc.array(
  fc.oneof(
    ...Object.entries(KINDS).map(([kind, [weight, fields]]) => ({
      weight,
      arbitrary: fc.record({ do: fc.constant(kind), ...fields }) as fc.Arbitrary<QueueCommand>,
    })),
  ),
  { minLength: 1, maxLength: 40, size: "max" },
);

/** The entrypoints of one run. Rates are binary fractions: their tokens are then exact numbers. */
export const someGates: fc.Arbitrary<Gate[]> = fc.tuple(
  ...ENTRYPOINTS.map((entrypoint, index) =>
    fc.record({
      entrypoint: fc.constant(entrypoint),
      concurrencyLimit: index === 0 ? fc.constant(0) : fc.nat({ max: 3 }),
      requestsPerSecond: index === 0
        ? fc.constant(Infinity)
        : fc.constantFrom(Infinity, Infinity, Infinity, 0.25, 0.5, 2),
      serializedDispatch: index === 0 ? fc.constant(false) : fc.constantFrom(false, false, true),
      leaseMs: fc.constantFrom(30_000, 5_000, 0),
      maxTakeOvers: fc.integer({ min: 1, max: 3 }),
    })
  ),
);
