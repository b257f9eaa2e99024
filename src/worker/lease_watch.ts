import type { Parameter } from "../driver.ts";
import type { LifeSigns } from "./life_signs.ts";

/** A connection of the keeper's own. */
export interface KeeperConnection {
  query(text: string, parameters: readonly Parameter[]): Promise<unknown[]>;
  close(): Promise<void>;
}

/** What the keeper did while the main thread was silent. */
export interface WatchReport {
  /** How long the leases were not renewed by the main thread. */
  readonly silentMs: number;
  /** Whether the silence was so long that the keeper gave the leases up. */
  readonly gaveUp: boolean;
  /** Why the leases could not be renewed the last time; `null` if they could. */
  readonly error: string | null;
}

/** What a watch needs of its surroundings. */
export interface LeaseWatchParts {
  readonly signs: LifeSigns;
  /** When the main thread was alive, in milliseconds of `Date.now()`: a thread takes its time to start. */
  readonly since: number;
  /** Age at which others take a lease over. */
  readonly leaseMs: number;
  /** How long the main thread may be silent before its leases are given up. */
  readonly blockTimeoutMs: number;
  /** Statement that renews the leases. */
  readonly statement: string;
  readonly open: () => Promise<KeeperConnection>;
  /** Is told what was done, once the main thread is heard of again. */
  readonly report: (report: WatchReport) => void;
}

/** Looks in one lease. A third of it is the main thread's own interval, a half is too late for it. */
const LOOKS_PER_LEASE = 12;

/** Looks without a life sign before the keeper steps in: one more than the main thread's interval. */
const SILENT_LOOKS = 5;

/** As often as the main thread: a lease survives a renewal that is late or lost. */
const RENEWALS_PER_LEASE = 3;

/**
 * Renews leases while the main thread does not, in a thread of its own. Nothing is connected or sent before that, nor
 * after the main thread is heard of again.
 */
export class LeaseWatch {
  /** Values for the statement. Change with what the main thread holds. */
  parameters: readonly Parameter[] = [];
  readonly #parts: LeaseWatchParts;
  #connection: KeeperConnection | undefined;
  /** Renewals of the main thread at the last look. */
  #renewals: bigint;
  /** When the last life sign was seen, on the monotonic clock. */
  #heardAt: number;
  /** When to renew again, on the monotonic clock. */
  #renewAt = 0;
  /** What was done since the last life sign; `undefined`: nothing. */
  #report: WatchReport | undefined;

  constructor(parts: LeaseWatchParts) {
    this.#parts = parts;
    this.#renewals = parts.signs.renewals;
    this.#heardAt = performance.now() - (Date.now() - parts.since);
  }

  /** How often to look. */
  get intervalMs(): number {
    return this.#parts.leaseMs / LOOKS_PER_LEASE;
  }

  /** Looks whether the main thread renews its leases, and does it if not. Never rejects. */
  async look(): Promise<void> {
    const { signs, leaseMs, blockTimeoutMs } = this.#parts;
    const now = performance.now();
    const { renewals } = signs;
    if (renewals !== this.#renewals || !signs.held) {
      this.#renewals = renewals;
      await this.#rest(now - this.#heardAt);
      this.#heardAt = now;
      return;
    }
    const silentMs = now - this.#heardAt;
    if (silentMs >= blockTimeoutMs) {
      this.#note({ gaveUp: true });
      return await this.#disconnect();
    }
    if (silentMs < SILENT_LOOKS * this.intervalMs || now < this.#renewAt) return;
    await this.#renew();
    this.#renewAt = now + (this.#report?.error ? 0 : leaseMs / RENEWALS_PER_LEASE);
  }

  async #renew(): Promise<void> {
    const { signs, statement, open } = this.#parts;
    try {
      this.#connection ??= await open();
      const sentAt = Date.now();
      await this.#connection.query(statement, this.parameters);
      signs.keptAt = sentAt;
      this.#note({ error: null });
    } catch (error) {
      this.#note({ error: String(error) });
    }
  }

  #note(news: Partial<WatchReport>): void {
    this.#report = { silentMs: 0, gaveUp: false, error: null, ...this.#report, ...news };
  }

  /** The main thread is back. */
  async #rest(silentMs: number): Promise<void> {
    const report = this.#report;
    this.#report = undefined;
    this.#renewAt = 0;
    if (report !== undefined) this.#parts.report({ ...report, silentMs });
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    // A connection that cannot be closed in order is dead already.
    await connection?.close().catch(() => {});
  }
}
