import type { WorkerHealth } from "./worker/health.ts";
import { type HealthOptions, NO_WORKER } from "./worker/health.ts";
import type { RunnableWorker } from "./worker_factory.ts";

/** What `runWorker()` is at. */
export type Phase = "before" | "factory" | "run" | "pause" | "cleanUp" | "after";

/** In words, where there is no worker to ask. */
const WITHOUT_WORKER: Readonly<
  Record<Exclude<Phase, "run">, Pick<WorkerHealth, "state" | "live"> & { problem: string }>
> = {
  before: { state: "created", live: true, problem: "runWorker() has not been called yet" },
  factory: { state: "starting", live: true, problem: "it is starting: the factory is at work" },
  pause: { state: "restarting", live: true, problem: "it has failed and waits to start again" },
  cleanUp: { state: "stopping", live: true, problem: "it is stopping: the factory cleans up" },
  after: { state: "stopped", live: false, problem: "it has stopped" },
};

/**
 * Says how the worker of `runWorker()` is, whichever it is at the moment: give it as the option `probe`. Without
 * `runWorker()`, ask the worker itself: {@linkcode PgQueuer.health}.
 *
 * @example Probes of Kubernetes, from code
 * ```ts ignore
 * import { createServer } from "node:http";
 * import { runWorker, WorkerProbe } from "pgqueuer";
 * import { main } from "./queue/main.ts";
 *
 * const probe = new WorkerProbe();
 * const server = createServer(async ({ url }, response) => {
 *   const health = await probe.health();
 *   const good = url === "/livez" ? health.live : health.ready;
 *   response.writeHead(good ? 200 : 503).end(JSON.stringify(health));
 * }).listen(8080);
 *
 * await runWorker(main, { probe });
 * server.close();
 * ```
 */
export class WorkerProbe {
  #phase: Phase = "before";
  #worker: RunnableWorker | undefined;
  /** Aborts when the worker is to stop. */
  #stop: AbortSignal | undefined;
  /** The last failure, while it waits to start again. */
  #failure: unknown;

  /**
   * How the worker is. Waits for the database for as long as `timeout` says.
   *
   * @param options Those of {@linkcode PgQueuer.health}.
   * @throws {TypeError} If an option is unknown or of the wrong kind.
   */
  async health(options: HealthOptions = {}): Promise<WorkerHealth> {
    const health = await this.#ask(options);
    if (this.#stop?.aborted !== true || this.#phase === "after") return health;
    // Whatever it was at: a stop is under way.
    const problems = health.state === "stopping" ? health.problems : ["it is stopping"];
    return { ...health, state: "stopping", live: true, ready: false, problems };
  }

  /** @internal */
  follow(stop: AbortSignal): void {
    this.#stop = stop;
  }

  /** @internal */
  enter(
    phase: Phase,
    { worker, failure }: { worker?: RunnableWorker; failure?: unknown } = {},
  ): void {
    this.#phase = phase;
    this.#worker = worker;
    this.#failure = failure;
  }

  async #ask(options: HealthOptions): Promise<WorkerHealth> {
    const worker = this.#worker;
    if (this.#phase !== "run" || worker === undefined) {
      const { state, live, problem } = WITHOUT_WORKER[this.#phase as Exclude<Phase, "run">];
      const { message } = (this.#failure ?? {}) as { message?: unknown };
      const problems = [message ? `${problem}: ${message}` : problem];
      return { ...NO_WORKER, state, live, problems };
    }
    if (typeof worker.health === "function") return await worker.health(options);
    return {
      ...NO_WORKER,
      state: "running",
      live: true,
      problems: ["it says nothing of its health: its PgQueuer is of an older version"],
    };
  }
}
