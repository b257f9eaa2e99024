/** What is done to the fleet, when, and to whom: made from a seed, so that a run can be had again. */

/** Numbers that look random and are the same for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1. */
  next(): number {
    // A multiplication and shifts mix each of a row of numbers.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.between(0, items.length - 1)]!;
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    return items.map((item) => ({ item, at: this.next() })).sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

/** What can be done. */
export type Kind =
  | "kill"
  | "stop"
  | "flap"
  | "deploy"
  | "terminate"
  | "restart fast"
  | "restart immediate"
  | "take slots"
  | "drop"
  | "delay"
  | "freeze"
  | "swallow"
  | "half-close worker"
  | "half-close server";

/** Things that are done one after another, at the same time as those of other lanes. */
export type Lane = "process" | "server" | "network";

/** One disturbance. */
export interface Step {
  readonly lane: Lane;
  readonly kind: Kind;
  /** How long after the one before in its lane. */
  readonly afterMs: number;
  /** How long it lasts, where that is for us to say. */
  readonly forMs: number;
  /** Which workers; counted from 0. */
  readonly workers: readonly number[];
  /** Times a worker is killed, or milliseconds that each byte is kept back (before a drop too, so that answers are lost). */
  readonly amount: number;
  /** Whether the connections are cut in the end, or what is silent stays so. */
  readonly cut: boolean;
}

/** How much is done. */
export interface PlanOptions {
  readonly seed: number;
  readonly workers: number;
  /** The lease of a job. Stops are longer than this, and so are some delays. */
  readonly heartbeatTimeoutMs: number;
  /** For how long. `0`: each kind once, and briefly. */
  readonly minutes: number;
}

const LANES: Readonly<Record<Lane, readonly Kind[]>> = {
  process: ["kill", "stop", "flap", "kill", "deploy", "stop"],
  server: ["restart fast", "terminate", "take slots", "restart immediate", "terminate"],
  network: [
    "drop",
    "delay",
    "freeze",
    "swallow",
    "half-close worker",
    "half-close server",
    "delay",
    "drop",
  ],
};

/** Longest pause of the lanes of a long run. */
const MAX_PAUSE_MS: Readonly<Record<Lane, number>> = {
  process: 5_000,
  server: 8_000,
  network: 4_000,
};

/** Every slot of the server is taken for so long, in a long run. */
const SLOTS_TAKEN_MS = 30_000;

/** A plan: for each lane what is done, in order. The first round of a lane has every kind of it. */
export function makePlan(options: PlanOptions): Map<Lane, Step[]> {
  const random = new Random(options.seed);
  const lanes = Object.keys(LANES) as Lane[];
  return new Map(lanes.map((lane) => [lane, stepsOf(lane, random, options)]));
}

function stepsOf(lane: Lane, random: Random, options: PlanOptions): Step[] {
  const brief = options.minutes === 0;
  const steps: Step[] = [];
  let ms = 0;
  do {
    const kinds = brief ? [...new Set(LANES[lane])] : LANES[lane];
    for (const kind of random.shuffled(kinds)) {
      const step = stepOf(lane, kind, random, options);
      steps.push(step);
      ms += step.afterMs + step.forMs;
    }
  } while (ms < options.minutes * 60_000);
  return steps;
}

function stepOf(
  lane: Lane,
  kind: Kind,
  random: Random,
  { workers, heartbeatTimeoutMs, minutes }: PlanOptions,
): Step {
  const brief = minutes === 0;
  const everyone = Array.from({ length: workers }, (_, index) => index);
  // The network fails for one worker or for all; a process is one.
  const some = lane === "process" || random.next() < 0.6 ? [random.pick(everyone)] : everyone;
  return {
    lane,
    kind,
    afterMs: brief ? random.between(100, 500) : random.between(300, MAX_PAUSE_MS[lane]),
    workers: kind.startsWith("restart") || kind === "take slots" ? everyone : some,
    cut: random.next() < 0.5,
    ...lengthOf(kind, random, heartbeatTimeoutMs, brief),
  };
}

function lengthOf(
  kind: Kind,
  random: Random,
  leaseMs: number,
  brief: boolean,
): Pick<Step, "forMs" | "amount"> {
  switch (kind) {
    case "stop":
      // Past the timeout, so that what it held is somebody else's when it goes on.
      return { forMs: leaseMs + random.between(500, brief ? 800 : leaseMs * 2), amount: 0 };
    case "flap":
      return {
        forMs: random.between(500, brief ? 800 : 3_000),
        amount: brief ? 2 : random.between(3, 5),
      };
    case "take slots":
      return { forMs: brief ? 2_500 : SLOTS_TAKEN_MS, amount: 0 };
    case "delay":
      // Some longer than a worker waits for an answer.
      return {
        forMs: random.between(1_000, brief ? 1_500 : 6_000),
        amount: random.next() < 0.3 ? leaseMs : random.between(20, 600),
      };
    case "drop":
      return { forMs: 0, amount: brief || random.next() < 0.7 ? random.between(50, 250) : 0 };
    case "freeze":
    case "swallow":
    case "half-close server":
      return { forMs: random.between(1_000, brief ? 1_500 : 6_000), amount: 0 };
    case "restart fast":
    case "restart immediate":
    case "kill":
      return { forMs: random.between(0, brief ? 300 : 3_000), amount: 0 };
    default:
      return { forMs: 0, amount: 0 };
  }
}

/** How a step is told. */
export function describe(step: Step, workers: number): string {
  const who = step.workers.length === workers && step.lane !== "process"
    ? "all workers"
    : `worker ${step.workers.map((index) => index + 1).join(", ")}`;
  const seconds = `${(step.forMs / 1_000).toFixed(1)} s`;
  switch (step.kind) {
    case "kill":
      return `kill -9 ${who}, started again after ${seconds}`;
    case "stop":
      return `SIGSTOP ${who} for ${seconds}`;
    case "flap":
      return `kill -9 ${who} ${step.amount} times, each ${seconds} after it runs`;
    case "deploy":
      return `SIGTERM ${who}, started again`;
    case "terminate":
      return `pg_terminate_backend of every session of ${who}`;
    case "restart fast":
    case "restart immediate":
      return `${step.kind} of the server, away for ${seconds}`;
    case "take slots":
      return `every connection slot taken by others for ${seconds}`;
    case "drop":
      return `drop the connections of ${who}${
        step.amount > 0 ? `, with the last ${step.amount} ms on their way` : ""
      }`;
    case "delay":
      return `delay each byte of ${who} by ${step.amount} ms for ${seconds}`;
    case "freeze":
    case "swallow": {
      const which = step.kind === "freeze" ? "open" : "open and new";
      return `pass nothing on ${which} connections of ${who} for ${seconds}, then ${
        step.cut ? "cut them" : "leave the workers in silence"
      }`;
    }
    case "half-close worker":
      return `end the connections of ${who} towards the worker only`;
    case "half-close server":
      return `end the connections of ${who} towards the server only, cut after ${seconds}`;
  }
}
