import type { Driver, DriverAddress, Parameter } from "../driver.ts";
import type { Logger } from "../logger.ts";
import type { LeaseWatchParts, WatchReport } from "./lease_watch.ts";
import { LifeSigns } from "./life_signs.ts";
import { startThread, type Thread } from "./thread.ts";
import { Wake } from "./wake.ts";

/** What the keeper needs of its surroundings. */
export interface LeaseKeeperParts {
  readonly driver: Driver;
  /** How long the event loop may be blocked before leases are given up; `0`: they are not kept at all. */
  readonly blockTimeoutMs: number;
  readonly logger: Logger;
}

/** What the thread is told: leases to keep from now on. */
export interface KeeperMessage
  extends Pick<LeaseWatchParts, "since" | "leaseMs" | "blockTimeoutMs" | "statement"> {
  /** Which leases, such as `jobs`. */
  readonly name: string;
  readonly address: DriverAddress;
  readonly shared: SharedArrayBuffer;
  readonly parameters: readonly Parameter[];
}

/** What the thread says of leases. */
export interface KeeperAnswer {
  readonly name: string;
  readonly leaseMs: number;
  /** What it did for them; `null`: it watches them from now on. */
  readonly report: WatchReport | null;
}

/** Asks the thread to load what it renews leases with, which it does else when it first needs it. */
export type LoadMessage = "load";

/** What the thread says then. */
export type LoadedAnswer = "loaded";

/** How long a start of the thread is waited for. It takes some 50 ms, and seconds on a machine that is very busy. */
const START_TIMEOUT_MS = 10_000;

/** Leases of one kind, kept while the main thread is blocked. */
export interface KeptLeases {
  /** They are held from now on. The statement renews them with these parameters in place of those given first. */
  hold(parameters?: readonly Parameter[]): void;
  /** They are good at this moment. */
  renewed(): void;
  /** None is held any more. */
  rest(): void;
  /** When the keeper last renewed them, in milliseconds of `Date.now()`; `0`: never. */
  readonly keptAt: number;
}

/**
 * Keeps leases while a handler blocks the event loop, so that no heartbeat can be sent: a thread with a connection of its
 * own renews them. The thread is started with the first lease, or by `start()`, and connects only when it is needed. It
 * stops with the process: a worker that is stopped or killed loses its jobs all the same.
 */
export class LeaseKeeper {
  readonly #parts: LeaseKeeperParts;
  readonly #address: DriverAddress | undefined;
  #thread: Thread | undefined;
  /** Whether there is no thread and will be none. */
  #failed = false;
  /** Set once the thread has loaded, or there will be none. */
  readonly #settled = new Wake();

  constructor(parts: LeaseKeeperParts) {
    this.#parts = parts;
    this.#address = parts.driver.address?.();
  }

  /**
   * Starts the thread before there is a lease, and lets it load all that it needs. Gives when it has, or there is none, or
   * it takes too long. Never rejects.
   */
  async start(): Promise<void> {
    if (this.#parts.blockTimeoutMs === 0) return;
    this.#post("load");
    if (await this.#settled.wait(START_TIMEOUT_MS)) return;
    this.#parts.logger.warn(
      `The thread that renews leases has not started in ${START_TIMEOUT_MS} ms: until it has, handlers must not block the event loop`,
    );
  }

  /**
   * Keeps leases of one kind.
   *
   * @param name Kind of the leases.
   * @param leaseMs Age at which others take one over.
   * @param statement Renews them.
   * @param initial Its parameters.
   */
  keep(
    name: string,
    leaseMs: number,
    statement: string,
    initial: readonly Parameter[] = [],
  ): KeptLeases {
    const { blockTimeoutMs } = this.#parts;
    const signs = new LifeSigns();
    let last: readonly Parameter[] | undefined;
    return {
      hold: (parameters = initial) => {
        signs.held = true;
        if (parameters === last || blockTimeoutMs === 0) return;
        last = parameters;
        this.#post({
          name,
          shared: signs.shared,
          since: Date.now(),
          leaseMs,
          blockTimeoutMs,
          statement,
          parameters,
        });
      },
      renewed: () => signs.renewed(),
      rest: () => void (signs.held = false),
      get keptAt() {
        return signs.keptAt;
      },
    };
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.#failed = true;
    this.#settled.set();
    await this.#thread?.terminate();
  }

  /** Tells the thread, which is started if it is not there, or says that there cannot be one. */
  #post(message: Omit<KeeperMessage, "address"> | LoadMessage): void {
    const address = this.#address;
    if (address === undefined) {
      return this.#fail("this driver cannot open a connection for it", "info");
    }
    if (this.#failed) return;
    try {
      this.#thread ??= this.#launch();
      const sent: KeeperMessage | LoadMessage = message === "load"
        ? message
        : { ...message, address };
      this.#thread.post(sent);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  #launch(): Thread {
    // Not written as bundlers look for it: they would copy the file without what it imports.
    const here = import.meta.url;
    const script = new URL(`lease_keeper_thread.${here.endsWith(".ts") ? "ts" : "js"}`, here);
    return startThread(script, "pgqueuer lease keeper", {
      onMessage: (message) => this.#hear(message as KeeperAnswer | LoadedAnswer),
      onError: (reason) => this.#fail(reason),
    });
  }

  #fail(reason: string, level: "info" | "warn" = "warn"): void {
    this.#settled.set();
    if (this.#failed) return;
    this.#failed = true;
    this.#parts.logger[level](
      `Handlers must not block the event loop for as long as a lease lasts, as no thread can renew it: ${reason}`,
    );
  }

  #hear(answer: KeeperAnswer | LoadedAnswer): void {
    const { logger } = this.#parts;
    if (answer === "loaded") return this.#settled.set();
    const { name, leaseMs, report } = answer;
    if (report === null) {
      return logger.debug(`A thread keeps the leases of ${name}, should a handler block this one`);
    }
    const silence = `No lease of ${name} was renewed for ${Math.round(report.silentMs)} ms, ` +
      "as a handler blocked the event loop or the connections gave no answer";
    if (report.gaveUp) logger.warn(`${silence}: they were given up`);
    else if (report.error !== null) {
      logger.warn(`${silence}, nor by the thread that should: ${report.error}`);
    } else if (report.silentMs >= leaseMs) logger.warn(`${silence}: a thread renewed them`);
    else logger.debug(`${silence}: a thread renewed them in time`);
  }
}
