/** The kinds of jobs in a chaos run: how their entrypoints are declared, what they do, and how each has to end. */
import type { EntrypointOptions, NewJob } from "../../mod.ts";
import type { Random } from "./plan.ts";

/** What a job is told in its payload. */
export interface Task {
  /** Names the call that enqueued it. */
  readonly tag: string;
  /** How long it takes. */
  readonly ms?: number;
  /** Whether it takes that long whatever its signal says. */
  readonly deaf?: boolean;
  /** Whether it lets nothing else run meanwhile. */
  readonly blocks?: boolean;
  /** Attempts that fail before one succeeds. */
  readonly fails?: number;
}

/** How a job can end: the status of its last row in the log. */
export type End = "successful" | "exception" | "failed" | "canceled";

/** One kind of job. */
export interface JobKind {
  readonly options: EntrypointOptions;
  /** Share of the load. */
  readonly weight: number;
  /** What one job of it is told, and how it is enqueued. */
  readonly make: (
    random: Random,
  ) => Omit<Task, "tag"> & { readonly enqueue?: Omit<NewJob, "entrypoint" | "payload"> };
  /** How a job that was told so has to end. */
  readonly end: (task: Task) => End;
}

/** Most attempts of a flaky job. */
const ATTEMPTS = 3;

const succeeds = (): End => "successful";
/** Workers die more often here than a job may kill them, and it is none that does. */
const MANY = { maxTakeOvers: 1_000 };

/** The lease of a job in a chaos run. */
export const HEARTBEAT_TIMEOUT_MS = 3_000;

/** Every fourth goes on after its lease is lost, if that happens: it has an outcome that must not be stored. */
function outlivesLease(random: Random): Omit<Task, "tag"> {
  return random.next() < 0.25 ? { ms: random.between(1_000, 3_500), deaf: true } : {};
}

/** The kinds, by the name of their entrypoint. */
export const KINDS: Readonly<Record<string, JobKind>> = {
  quick: { options: MANY, weight: 30, make: () => ({}), end: succeeds },
  slow: {
    options: MANY,
    weight: 8,
    // Some need their lease renewed, and some go on after it is lost.
    make: (random) => ({ ms: random.between(100, 4_500), deaf: random.next() < 0.5 }),
    end: succeeds,
  },
  flaky: {
    options: { ...MANY, retry: { maxAttempts: ATTEMPTS, initialDelay: 100, maxDelay: 500 } },
    weight: 8,
    make: (random) => ({ ...outlivesLease(random), fails: random.between(1, ATTEMPTS) }),
    end: ({ fails }) => fails! < ATTEMPTS ? "successful" : "exception",
  },
  limited: {
    options: { ...MANY, concurrencyLimit: 2 },
    weight: 8,
    make: (random) => ({ ms: random.between(20, 300), deaf: random.next() < 0.5 }),
    end: succeeds,
  },
  rated: {
    options: { ...MANY, requestsPerSecond: 5 },
    weight: 6,
    make: outlivesLease,
    end: succeeds,
  },
  serialized: {
    options: { ...MANY, serializedDispatch: true },
    weight: 8,
    make: (random) => ({
      ms: random.between(10, 100),
      ...(random.next() < 0.4 ? { enqueue: { dedupeKey: `s${random.between(1, 3)}` } } : {}),
    }),
    end: succeeds,
  },
  deferred: {
    options: MANY,
    weight: 8,
    make: (random) => ({ enqueue: { executeAfter: random.between(100, 4_000) } }),
    end: succeeds,
  },
  held: {
    options: { ...MANY, onFailure: "hold" },
    weight: 3,
    make: (random) => ({ ...outlivesLease(random), fails: 1 }),
    end: () => "failed",
  },
  timed: {
    options: { ...MANY, timeout: 300 },
    weight: 3,
    make: () => ({ ms: 60_000 }),
    end: () => "exception",
  },
  canceled: {
    options: MANY,
    weight: 4,
    make: () => ({ ms: 120_000 }),
    end: () => "canceled",
  },
  blocking: {
    options: MANY,
    weight: 0.5,
    // Longer than the lease: the worker's thread has to keep it.
    make: () => ({ ms: HEARTBEAT_TIMEOUT_MS * 1.3, blocks: true }),
    end: succeeds,
  },
};

/** The kinds that a worker runs. The last worker leaves those with limits to the others: claims without are another way. */
export function kindsOf(worker: number, workers: number): string[] {
  return Object.keys(KINDS).filter((name) => {
    const { concurrencyLimit, requestsPerSecond, serializedDispatch } = KINDS[name]!.options;
    const limited = concurrencyLimit || requestsPerSecond || serializedDispatch;
    return !limited || worker < workers - 1;
  });
}

/** The entrypoint that only one worker has: what is enqueued there tells when this very worker takes it. */
export function pingOf(worker: number): string {
  return `ping_${worker}`;
}

/** Whether a worker has a handler for such a job. */
export function runs(worker: number, workers: number, entrypoint: string): boolean {
  return entrypoint === pingOf(worker) || kindsOf(worker, workers).includes(entrypoint);
}

/** How a job has to end. */
export function endOf(entrypoint: string, task: Task): End {
  return KINDS[entrypoint]?.end(task) ?? "successful";
}

/** A kind at random, by weight. */
export function anyKind(random: Random): string {
  const names = Object.keys(KINDS);
  let left = random.next() * names.reduce((sum, name) => sum + KINDS[name]!.weight, 0);
  return names.find((name) => (left -= KINDS[name]!.weight) < 0) ?? names[0]!;
}
