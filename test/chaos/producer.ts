/** Enqueues steadily, in all the ways an application does, and keeps a ledger of what it was told about each call. */
import { setTimeout as delay } from "node:timers/promises";
import type { Sql } from "postgres";
import { fromPostgresJs, getQueue, type NewJob, Queries } from "../../mod.ts";
import { bytes } from "../support/queue.ts";
import { anyKind, KINDS } from "./kinds.ts";
import { Random } from "./plan.ts";
import type { Stage } from "./stage.ts";
import { answered, isOutage, openClient, SteadyClient } from "./steady.ts";

/** What the caller of an enqueue knows afterwards. */
export type Told = "enqueued" | "rolled back" | "unknown";

/** One call. Its jobs carry its tag in their payloads. */
export interface LedgerEntry {
  readonly tag: string;
  readonly transaction: boolean;
  told: Told;
  /** What `enqueue` gave, in a transaction too. `null` stands for a duplicate that was dropped. */
  ids: readonly (number | null)[];
}

/** An application may not wait longer than this for an answer. */
const CALL_MS = 4_000;
/** Longest wait from the enqueue of a job that is canceled until its cancel. */
const MAX_CANCEL_DELAY_MS = 3_000;
const MOMENTS = ["before", "during", "after"] as const;

class RollBack extends Error {}

/** The producer of a chaos run. */
export class Producer {
  readonly ledger: LedgerEntry[] = [];
  /** What calls failed with that no disturbance explains. */
  readonly errors: string[] = [];
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #pauseMs: number;
  readonly #steady: SteadyClient;
  readonly #cancels = new Set<Promise<void>>();
  #sql: Sql;
  #stopped = false;
  #closed = false;
  #loop: Promise<void> | undefined;

  /** @param callsPerSecond Calls; a batch is one. */
  constructor(stage: Stage, seed: number, callsPerSecond: number) {
    this.#stage = stage;
    this.#random = new Random(seed);
    this.#pauseMs = 1_000 / callsPerSecond;
    this.#sql = this.#connect();
    this.#steady = new SteadyClient(stage.superDsn, "canceler", 2);
  }

  /** Begins to enqueue. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Enqueues no more. Resolves when every call is answered or given up, and every cancel is through. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    await Promise.all(this.#cancels);
    await this.#cancelUnknown();
    await this.#sql.end({ timeout: 1 });
    await this.#steady.close();
  }

  /** Ends at once. */
  async close(): Promise<void> {
    this.#stopped = this.#closed = true;
    await this.#steady.close();
    await this.#sql.end({ timeout: 0 });
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const dice = this.#random.next();
      if (dice < 0.4) await this.#plain(1);
      else if (dice < 0.55) await this.#plain(this.#random.between(2, 6));
      else if (dice < 0.75) await this.#transaction("commit");
      else if (dice < 0.88) await this.#transaction("roll back");
      else await this.#transaction("cut");
      await delay(this.#pauseMs * (0.5 + this.#random.next()));
    }
  }

  /** Outside a transaction: one job, or several in a batch. */
  async #plain(count: number): Promise<void> {
    const entry = this.#entry(false);
    const queries = new Queries(fromPostgresJs(this.#sql), { schema: this.#stage.schema });
    const jobs = this.#jobs(entry.tag, count);
    try {
      entry.ids = await answered(queries.enqueueMany(jobs), CALL_MS);
      entry.told = "enqueued";
    } catch (error) {
      await this.#renewAfter(error);
    }
    this.#cancelSome(entry, jobs);
  }

  /** In a transaction of the application, with a row of its own: both are there afterwards, or neither. */
  async #transaction(end: "commit" | "roll back" | "cut"): Promise<void> {
    const entry = this.#entry(true);
    const jobs = this.#jobs(entry.tag, this.#random.between(1, 3));
    const moment = this.#random.pick(MOMENTS);
    const sql = end === "cut" ? this.#connectToCut() : this.#sql;
    const { schema } = this.#stage;
    try {
      await answered(
        sql.begin((tx) =>
          unlessLost(async () => {
            entry.ids = await getQueue(tx, { schema }).enqueueMany(jobs);
            const ids = `{${entry.ids.filter((id) => id !== null)}}`;
            await tx`
              insert into ${tx(`${schema}.markers`)} (tag, job_ids)
              values (${entry.tag}, ${ids}::text::bigint[])`;
            if (end === "roll back") throw new RollBack();
            if (end === "cut") void this.#stage.commitProxy.cutAt("commit", moment);
          })
        ),
        CALL_MS,
      );
      entry.told = "enqueued";
    } catch (error) {
      if (error instanceof RollBack) entry.told = "rolled back";
      else await this.#renewAfter(error);
    }
    if (end === "cut") await sql.end({ timeout: 0 }).catch(() => {});
    this.#cancelSome(entry, jobs);
  }

  #entry(transaction: boolean): LedgerEntry {
    const entry: LedgerEntry = { tag: crypto.randomUUID(), transaction, told: "unknown", ids: [] };
    this.ledger.push(entry);
    return entry;
  }

  #jobs(tag: string, count: number): NewJob[] {
    return Array.from({ length: count }, () => {
      const entrypoint = anyKind(this.#random);
      const { enqueue, ...task } = KINDS[entrypoint]!.make(this.#random);
      const priority = this.#random.between(0, 3);
      return { entrypoint, payload: bytes(JSON.stringify({ tag, ...task })), priority, ...enqueue };
    });
  }

  #cancelSome({ told, ids }: LedgerEntry, jobs: readonly NewJob[]): void {
    ids.forEach((id, index) => {
      const wanted = told === "enqueued" && jobs[index]!.entrypoint === "canceled";
      if (wanted && id !== null) this.#cancelLater(id);
    });
  }

  #cancelLater(jobId: number): void {
    const delayMs = this.#random.between(0, MAX_CANCEL_DELAY_MS);
    const canceling = delay(delayMs).then(() => this.#cancel([jobId]))
      .catch((error) => void this.errors.push(`cancel: ${error}`))
      .finally(() => this.#cancels.delete(canceling));
    this.#cancels.add(canceling);
  }

  async #cancel(jobIds: readonly number[]): Promise<void> {
    if (this.#closed) return;
    const { schema } = this.#stage;
    await this.#steady.run((sql) => new Queries(fromPostgresJs(sql), { schema }).cancel(jobIds));
  }

  /** Those of calls that got no answer: whether they were enqueued is known by now. */
  async #cancelUnknown(): Promise<void> {
    const { schema } = this.#stage;
    const left = await this.#steady.run((sql) =>
      sql`
        select id::int from ${sql(`${schema}.pgqueuer`)}
        where entrypoint = 'canceled' and not cancel_requested`
    );
    await this.#cancel(left.map((row) => row["id"] as number));
  }

  /** Nobody knows what a connection without an answer is still good for. */
  async #renewAfter(error: unknown): Promise<void> {
    if (!isOutage(error)) this.errors.push(`enqueue: ${error}`);
    if ((error as { code?: string }).code !== "NO_ANSWER") return;
    const lost = this.#sql;
    this.#sql = this.#connect();
    await lost.end({ timeout: 0 }).catch(() => {});
  }

  #connectToCut(): Sql {
    return openClient(this.#stage.appDsn(this.#stage.commitProxy), "producer", 1);
  }

  #connect(): Sql {
    return openClient(this.#stage.appDsn(), "producer", 2);
  }
}

/**
 * Never settles when the connection is lost: `begin()` rejects for that by itself. If it were told, it would write a
 * rollback to the connection that is gone, and that ends the process: an error of postgres.js 3.4.9.
 */
async function unlessLost(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isOutage(error)) await new Promise(() => {});
    throw error;
  }
}
