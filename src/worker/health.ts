import type { Driver } from "../driver.ts";
import { type Duration, toPositiveMs } from "../duration.ts";
import { statements } from "../sql/generated.ts";
import { knownOptions } from "../validate.ts";
import type { Pulse } from "./pulse.ts";

/** Where a worker stands in its life. */
export type WorkerState =
  | "created"
  | "starting"
  | "running"
  | "stopping"
  | "restarting"
  | "stopped";

/** How a worker is, for the probes of an orchestrator and for monitoring. Plain data. */
export interface WorkerHealth {
  /**
   * `"created"`: it does not run yet. `"starting"`: it connects and looks at the tables. `"stopping"`: it claims no more,
   * and handlers may still run. `"restarting"`: `runWorker()` waits to make another one after a failure.
   */
  readonly state: WorkerState;
  /**
   * Whether a restart of the process would be for nothing: its loops go on. True also while the database is away and while
   * it stops. A blocked event loop cannot say so: then there is no answer at all.
   */
  readonly live: boolean;
  /** Whether it can take jobs: it runs, the database answers, its last claim had an answer, and notifications are heard. */
  readonly ready: boolean;
  /** Why it is not live or not ready, in words. Empty if it is both. */
  readonly problems: readonly string[];
  /** Whether the database has answered just now. `null`: it was not asked, as the worker does not run. */
  readonly connected: boolean | null;
  /**
   * Whether notifications are heard, as far as is known: a lost connection is found out after `dequeueTimeout` + 5 s at the
   * latest. `null`: it does not listen, but polls or has schedules only.
   */
  readonly listening: boolean | null;
  /** Jobs whose handler runs in this process. */
  readonly runningJobs: number;
  /** When the database last answered a claim, or a look at the schedules. */
  readonly lastClaimAt: Date | null;
  /** Its id in the table of the queue. `null` before it runs. */
  readonly queueManagerId: string | null;
  /** Names of its entrypoints. */
  readonly entrypoints: readonly string[];
}

/** What becomes of a worker that is not there. */
export const NO_WORKER: Omit<WorkerHealth, "state" | "live" | "problems"> = {
  ready: false,
  connected: null,
  listening: null,
  runningJobs: 0,
  lastClaimAt: null,
  queueManagerId: null,
  entrypoints: [],
};

/** How a run fares at this moment. */
export interface Vitals {
  readonly queueManagerId: string;
  /** Signs of life of its loops. */
  readonly pulses: ReadonlyMap<"jobs" | "schedules", Pulse>;
  /** Whether notifications are heard, as far as is known. `null`: nobody listens, as there are schedules only. */
  readonly listening: boolean | null;
  /** Jobs whose handler runs. */
  readonly runningJobs: number;
}

/** Options for {@linkcode PgQueuer.health}. */
export interface HealthOptions {
  /** Longest wait for the database's answer. @default {{ seconds: 2 }} */
  timeout?: Duration | undefined;
  /**
   * A loop of the worker that should have gone on for longer than this is stuck. More than the `statementTimeout` of the
   * driver, several times: a claim is up to five statements.
   *
   * @default {{ seconds: 90 }}
   */
  stuckAfter?: Duration | undefined;
}

/** Limits of an examination, in milliseconds. */
export interface HealthLimits {
  /** Longest wait for the database. */
  readonly timeoutMs: number;
  /** A loop that should have gone on for longer is stuck. */
  readonly stuckMs: number;
}

/** Checks options and fills them in. */
export function limitsOf(options: HealthOptions): HealthLimits {
  knownOptions("options", options, ["stuckAfter", "timeout"]);
  return {
    timeoutMs: toPositiveMs("timeout", options.timeout ?? { seconds: 2 }),
    stuckMs: toPositiveMs("stuckAfter", options.stuckAfter ?? { seconds: 90 }),
  };
}

/** An answer is good for so long: however many ask, the database is asked once in this time. */
const FRESH_MS = 500;

/** Asks the database whether it is there. */
export class Ping {
  readonly #driver: Driver;
  /** The last question: several that come at the same time share it. */
  #answer: Promise<string | null> | undefined;
  /** When it was answered, on the monotonic clock. */
  #answeredAt = Infinity;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  /** Gives why there is no answer; `null`: there is one. */
  async send(timeoutMs: number): Promise<string | null> {
    if (this.#answer === undefined || performance.now() - this.#answeredAt > FRESH_MS) {
      this.#answeredAt = Infinity;
      this.#answer = this.#driver.query(statements.ping, []).then(() => null, reasonOf)
        .finally(() => this.#answeredAt = performance.now());
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`it gave none in ${timeoutMs} ms`), timeoutMs);
    });
    try {
      return await Promise.race([this.#answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A worker that is looked at. */
export interface Examined {
  readonly state: () => "starting" | "running" | "stopping";
  readonly vitals: () => Vitals | undefined;
  readonly entrypoints: readonly string[];
  readonly ping: Ping;
}

/** Judges a worker that has begun to run. */
export async function examine(
  worker: Examined,
  { timeoutMs, stuckMs }: HealthLimits,
): Promise<WorkerHealth> {
  const silence = await worker.ping.send(timeoutMs);
  // Meanwhile it may have begun to stop.
  const [state, vitals] = [worker.state(), worker.vitals()];
  const pulses = [...vitals?.pulses ?? []];
  // What stops ends by its own time-outs.
  const stuck = state === "stopping"
    ? []
    : pulses.filter(([, { overdueMs }]) => overdueMs > stuckMs);
  const looks = pulses.flatMap(([, { lookedAt }]) => lookedAt ?? []);
  const listening = vitals?.listening ?? null;
  const problems = [
    ...(state === "running" ? [] : [`it is ${state}`]),
    ...(silence === null ? [] : [`the database gives no answer: ${silence}`]),
    ...pulses.flatMap(([name, { failure, lookedAt }]) => {
      if (failure !== null) return [`its last look for ${name} failed: ${failure}`];
      return state === "running" && lookedAt === null ? [`it has not looked for ${name} yet`] : [];
    }),
    ...(state === "running" && listening === false
      ? ["it hears no notifications, and finds jobs by polling"]
      : []),
    ...stuck.map(([name, { overdueMs }]) =>
      `its loop of ${name} is stuck: it should have gone on ${Math.round(overdueMs / 1_000)} s ago`
    ),
  ];
  return {
    state,
    live: stuck.length === 0,
    ready: problems.length === 0,
    problems,
    connected: silence === null,
    listening,
    runningJobs: vitals?.runningJobs ?? 0,
    lastClaimAt: looks.length === 0 ? null : new Date(Math.max(...looks)),
    queueManagerId: vitals?.queueManagerId ?? null,
    entrypoints: worker.entrypoints,
  };
}

function reasonOf(error: unknown): string {
  const { message, code } = (error ?? {}) as { message?: unknown; code?: unknown };
  // Node's AggregateError of a refused connection has a code and no message.
  return String(message || code || error);
}
