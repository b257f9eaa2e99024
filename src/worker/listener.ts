import { reconnectDelayMs } from "../backoff.ts";
import type { Driver, Subscription } from "../driver.ts";
import { healthCheckEvent, parseEvent, type Quiet } from "../event.ts";
import type { JobId } from "../job.ts";
import type { Logger } from "../logger.ts";
import type { Fleet } from "./fleet.ts";
import type { Pulse } from "./pulse.ts";
import { Wake } from "./wake.ts";

/** How long our own health check may be under way before we think that we are deaf. */
const ECHO_TIMEOUT_MS = 5_000;

/** Why it may be so every time. */
const POOLER =
  '. A pooler in transaction mode, such as PgBouncer, loses LISTEN: if the DSN leads through one, give openWorkerDriver() the server itself as "listenDsn" (PGQUEUER_LISTEN_DSN), or none to poll only';

/** What the listener needs of its surroundings. */
export interface ListenerParts {
  readonly driver: Driver;
  readonly channel: string;
  /** Bare name of the queue table: other installs may share the channel. */
  readonly queueTable: string;
  /** Is told which jobs somebody has canceled. */
  readonly onCancel: (jobIds: readonly JobId[]) => void;
  /** Is told why notifications may have been missed. It listens anew by itself. */
  readonly onFailure?: (error: Error) => void;
  readonly fleet: Fleet;
  /** Of the loop that waits for work. */
  readonly pulse?: Pulse;
  readonly logger: Logger;
}

/**
 * Ends the wait of an idle worker when a notification comes. A notification carries no work: a lost one costs time,
 * never a job.
 *
 * A half-open connection gives no error and no notification either. So a worker sends itself a health check now and then
 * ({@linkcode Listener.healthCheck}), and when it does not hear it the subscription is made anew.
 */
export class Listener {
  readonly #parts: ListenerParts;
  readonly #wake: Wake;
  /** Set when another worker has seen that no job is ready, after the last notification of work. */
  readonly #quiet: Wake;
  #lastQuiet: Quiet | null = null;
  #subscription: Subscription | undefined;
  /** Counts subscriptions, so that a late call of an older one is known as such. */
  #generation = 0;
  /** The health check under way: its id, and what runs when it is not heard. */
  #echo: { readonly id: string; readonly timer: ReturnType<typeof setTimeout> } | undefined;
  #renewing: Promise<void> | undefined;
  /** Whether anything has been heard since listening began. Behind a pool nothing ever is. */
  #hears = false;
  /** Whether our last health check was not heard, and nothing since. */
  #deaf = false;
  /** Whether the end of a job is news. */
  #heedsEnds = false;
  #closed = false;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
    this.#wake = new Wake(parts.pulse);
    this.#quiet = new Wake(parts.pulse);
  }

  /** Begins to listen. Rejects if that is not possible now; later losses are mended in silence. */
  async start(): Promise<void> {
    const { driver, logger } = this.#parts;
    if (driver.polls) return logger.info("Does not listen, as its driver polls only");
    await this.#subscribe();
    // The first claim looks at the queue anyway.
    this.#wake.clear();
  }

  /** Whether a notification would be heard, as far as is known. */
  get hears(): boolean {
    return this.#hears;
  }

  /** Whether it listens and no health check of its own has gone unheard. A broken connection may be found out late. */
  get listening(): boolean {
    return this.#subscription !== undefined && this.#renewing === undefined && !this.#deaf;
  }

  /** Waits for a notification of new work, at most `timeoutMs`. Says whether one came. */
  waitForWork(timeoutMs: number): Promise<boolean> {
    return this.#wake.wait(timeoutMs);
  }

  /** Waits for another worker to say that no job is ready after all, at most `timeoutMs`. Gives what it said. */
  async waitForQuiet(timeoutMs: number): Promise<Quiet | null> {
    return await this.#quiet.wait(timeoutMs) ? this.#lastQuiet : null;
  }

  /** Says whether the end of a job ends the wait too. */
  heedEnds(heed: boolean): void {
    this.#heedsEnds = heed;
  }

  /** Ends the waits of {@linkcode Listener.waitForWork} and {@linkcode Listener.waitForQuiet}. */
  wake(): void {
    this.#quiet.set();
    this.#wake.set();
  }

  /** Gives a health check to send on the channel, and expects to hear it. `null` while one is under way. */
  healthCheck(): string | null {
    if (this.#parts.driver.polls || this.#echo || this.#renewing || this.#closed) return null;
    const id = crypto.randomUUID();
    const timer = setTimeout(() => {
      this.#echo = undefined;
      this.#parts.logger.warn(
        `Heard nothing of our own health check: listening anew${this.#deaf ? POOLER : ""}`,
      );
      this.#hears = false;
      this.#deaf = true;
      this.#parts.onFailure?.(
        new Error(
          `Cannot go on listening as our own health check must be heard within ${ECHO_TIMEOUT_MS} ms`,
        ),
      );
      this.renew();
    }, ECHO_TIMEOUT_MS);
    this.#echo = { id, timer };
    return healthCheckEvent(this.#parts.channel, id, this.#parts.fleet.mark);
  }

  /** Gives what tells other workers that no job is ready after a claim. `null` if there are none. */
  quietEvent(quiet: Omit<Quiet, "tookMs">, claimedAt: number): string | null {
    const { channel, fleet } = this.#parts;
    if (fleet.size() === 1) return null;
    fleet.tell(claimedAt);
    const { tookMs } = fleet;
    return healthCheckEvent(channel, crypto.randomUUID(), fleet.mark, { ...quiet, tookMs });
  }

  /** Listens anew, on a new connection where the driver has its own. */
  renew(): void {
    this.#forgetEcho();
    this.#renewing ??= this.#renew().finally(() => this.#renewing = undefined);
  }

  /** Stops listening. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#generation++;
    this.#forgetEcho();
    await this.#renewing;
    await this.#subscription?.close();
    this.#subscription = undefined;
  }

  async #renew(): Promise<void> {
    await this.#subscription?.close();
    this.#subscription = undefined;
    for (let failures = 1; !this.#closed; failures++) {
      try {
        await this.#subscribe();
        return;
      } catch (error) {
        this.#parts.logger.warn(`Cannot listen, trying again: ${error}`);
        this.#parts.onFailure?.(
          new Error(`Cannot go on listening as the database must allow it again: ${error}`, {
            cause: error,
          }),
        );
        await new Promise((resolve) => setTimeout(resolve, reconnectDelayMs(failures)));
      }
    }
  }

  async #subscribe(): Promise<void> {
    const generation = ++this.#generation;
    const current = (): boolean => generation === this.#generation;
    const subscription = await this.#parts.driver.listen(this.#parts.channel, {
      onPayload: (payload) => {
        if (!current()) return;
        this.#hears = true;
        this.#deaf = false;
        this.#hear(payload);
      },
      // Also after a lost connection: what was sent meanwhile was not heard, so look once.
      onListening: () => {
        if (!current()) return;
        this.#hears = false;
        this.#wake.set();
      },
    });
    if (current()) this.#subscription = subscription;
    else await subscription.close();
  }

  #hear(payload: string): void {
    const event = parseEvent(payload);
    if (event === null) {
      this.#parts.logger.debug("Ignored a notification that is none of ours");
    } else if (event.type === "health_check_event") {
      if (event.id === this.#echo?.id) this.#forgetEcho();
      const other = event.fleet !== undefined && this.#parts.fleet.hear(event.fleet);
      if (other && event.quiet) {
        this.#parts.fleet.took(event.quiet.tookMs);
        this.#lastQuiet = event.quiet;
        this.#quiet.set();
      }
    } else if (event.type === "cancellation_event") {
      this.#parts.onCancel(event.ids);
    } else {
      // A deleted job is one that has ended: work comes of it only where another waits for its seat.
      const work = event.operation === "insert" || event.operation === "update" ||
        event.operation === "delete" && this.#heedsEnds;
      if (work && event.table === this.#parts.queueTable) {
        // What was said of the queue before is not true any more.
        this.#quiet.clear();
        this.#lastQuiet = null;
        this.#wake.set();
      }
    }
  }

  #forgetEcho(): void {
    clearTimeout(this.#echo?.timer);
    this.#echo = undefined;
  }
}
