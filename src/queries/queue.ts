import { type Ages, ANY_AGE_MS, ANY_AGES } from "./ages.ts";
import { type ClaimRange, encodeRanges, wholeRange } from "./claim_range.ts";
import { encodeGates, type Gate, isLimited, wholeRanges } from "./gate.ts";
import type { Executor, Parameter } from "../driver.ts";
import type { JobId } from "../job.ts";
import type { CheckedJob, OnConflict } from "../new_job.ts";
import { byteaArray, numberArray, sparse, textArray, uniform } from "../sql/array_literal.ts";
import type { StatementName, Statements } from "../sql/render.ts";
import { type ClaimedJob, type ClaimedRow, decodeClaimed, decodeId } from "./job_row.ts";
import {
  type Claimed,
  encodeFailures,
  encodeTraceback,
  type Failure,
  idsOf,
  leasesOf,
  type Retry,
} from "./outcomes.ts";

/** What a worker without work waits for. */
export interface Outlook {
  /** A job may start now. */
  readonly ready: boolean;
  /** A job waits for a seat: the end of another is worth waking for. */
  readonly blocked: boolean;
  /** Milliseconds until the next token of a rate that a job waits for; `Infinity` if none does. */
  readonly tokenMs: number;
  /** Milliseconds until the next deferred job is due; `Infinity` if there is none. */
  readonly dueMs: number;
  /** Milliseconds until the first one is due, or below zero since it was, but for serialized entrypoints. */
  readonly firstDueMs: number;
  /** Milliseconds until the next lease runs out; `Infinity` if no job is picked. */
  readonly staleMs: number;
}

/** What became of jobs whose lease had run out. */
export interface TakenOver {
  readonly claimed: ClaimedJob[];
  /** Claimed, too, but somebody wants them stopped. */
  readonly canceled: ClaimedJob[];
  /** Whether no others have run out. */
  readonly all: boolean;
}

/** A job whose lease is still held. */
export interface Lease {
  readonly jobId: JobId;
  /** Somebody wants it stopped. */
  readonly canceled: boolean;
}

const ENQUEUE: Record<OnConflict, StatementName> = {
  raise: "enqueue",
  skip: "enqueue_or_skip",
  update_priority: "enqueue_or_raise_priority",
};

/** Reads and writes the queue table. One method for each statement in `sql/queries/queue.sql`. */
export class QueueStore {
  readonly #executor: Executor;
  readonly #sql: Statements;

  constructor(executor: Executor, sql: Statements) {
    this.#executor = executor;
    this.#sql = sql;
  }

  /** The same in a transaction. */
  within(transaction: Executor): QueueStore {
    return new QueueStore(transaction, this.#sql);
  }

  /** Inserts jobs. Gives their ids in the order of the input, `null` for one that was left out. */
  async enqueue(jobs: readonly CheckedJob[], onConflict: OnConflict): Promise<(JobId | null)[]> {
    // Only keys conflict, and to be ready for it costs the server up to a tenth.
    const keyed = jobs.some((job) => job.dedupeKey !== null);
    const text = this.#sql.get(keyed ? ENQUEUE[onConflict] : "enqueue");
    const parameters = [
      numberArray(uniform(jobs.map((job) => job.priority))),
      textArray(uniform(jobs.map((job) => job.entrypoint))),
      byteaArray(jobs.map((job) => job.payload)),
      numberArray(uniform(jobs.map((job) => job.delayMs))),
      textArray(sparse(jobs.map((job) => job.due))),
      textArray(sparse(jobs.map((job) => job.dedupeKey))),
      textArray(sparse(jobs.map((job) => job.headers))),
    ];
    const [row] = this.#executor.insert
      ? await this.#executor.insert<{ ids: string }>(text, parameters)
      : await this.#executor.query<{ ids: string }>(text, [...parameters, null]);
    return row!.ids.split(",").map((id) => id === "" ? null : decodeId(id));
  }

  /** Whether this role may count log rows as it writes them. */
  async mayCount(): Promise<boolean> {
    const [row] = await this.#query<{ may: boolean }>("may_count", []);
    return row!.may;
  }

  /**
   * Claims up to `limit` ready jobs for `queueManagerId`, highest priority first, of ready ones only those in `ranges`, of
   * deferred ones only those that are due for no longer than `dueMs`.
   */
  async dequeue(
    limit: number,
    entrypoints: readonly string[],
    queueManagerId: string,
    ranges: readonly ClaimRange[] = entrypoints.map(wholeRange),
    dueMs: number = ANY_AGE_MS,
  ): Promise<ClaimedJob[]> {
    const rows = await this.#query<ClaimedRow>("dequeue", [
      limit,
      textArray(entrypoints),
      queueManagerId,
      ...encodeRanges(ranges),
      dueMs,
    ]);
    return rows.map((row) => decodeClaimed(row, queueManagerId));
  }

  /**
   * Claims up to `limit` ready jobs within the limits of their entrypoints, at most `startable` of limited ones, of ready ones
   * only those in `ranges`. Looks no further back than `ages` for deferred ones and seats.
   */
  async claimLimited(
    limit: number,
    startable: number,
    gates: readonly Gate[],
    queueManagerId: string,
    ranges: readonly ClaimRange[] = wholeRanges(gates),
    ages: Omit<Ages, "leaseMs"> = ANY_AGES,
  ): Promise<ClaimedJob[]> {
    const rows = await this.#query<ClaimedRow>("claim_limited", [
      limit,
      startable,
      queueManagerId,
      ...encodeGates(gates),
      ages.seatMs,
      ...encodeRanges(ranges),
      ages.dueMs,
    ]);
    return rows.map((row) => decodeClaimed(row, queueManagerId));
  }

  /**
   * Deals with up to `limit` jobs whose lease has run out, except those in `running`, and those whose heartbeat is older than
   * `oldestMs`.
   */
  async takeOver(
    limit: number,
    gates: readonly Gate[],
    queueManagerId: string,
    running: readonly JobId[],
    oldestMs: number = ANY_AGE_MS,
  ): Promise<TakenOver> {
    const leased = gates.filter((gate) => gate.leaseMs > 0);
    const rows = await this.#query<ClaimedRow & { canceled: boolean; dealt: number }>("take_over", [
      limit,
      queueManagerId,
      numberArray(running),
      textArray(leased.map((gate) => gate.entrypoint)),
      numberArray(leased.map((gate) => gate.leaseMs)),
      textArray(leased.map((gate) => String(isLimited(gate)))),
      numberArray(leased.map((gate) => gate.maxTakeOvers)),
      oldestMs,
    ]);
    // One row more says how many there were.
    const jobsOf = (canceled: boolean): ClaimedJob[] =>
      rows.filter((row) => row.canceled === canceled).map((row) =>
        decodeClaimed(row, queueManagerId)
      );
    return { claimed: jobsOf(false), canceled: jobsOf(true), all: rows[0]!.dealt < limit };
  }

  /**
   * Says what a worker without work waits for, of ready jobs only those in `ranges`, of anything else no further back than
   * `ages`. Sends `event` to every listener, if there is one.
   */
  async lookAhead(
    gates: readonly Gate[],
    event: string | null,
    ranges: readonly ClaimRange[] = wholeRanges(gates),
    ages: Ages = ANY_AGES,
  ): Promise<Outlook> {
    const [row] = await this.#query<{
      ready: boolean;
      blocked: boolean;
      due: number | null;
      first_due: number | null;
      token: number | null;
      stale: number | null;
    }>("look_ahead", [
      event,
      ...encodeGates(gates),
      numberArray(gates.map((gate) => gate.leaseMs)),
      ages.leaseMs,
      ages.seatMs,
      ages.dueMs,
      ...encodeRanges(ranges),
    ]);
    const { ready, blocked, due, first_due: firstDue, token, stale } = row!;
    return {
      ready,
      blocked,
      dueMs: due ?? Infinity,
      firstDueMs: firstDue ?? Infinity,
      tokenMs: token ?? Infinity,
      staleMs: stale ?? Infinity,
    };
  }

  /** Renews leases. Gives those that are still held. */
  async heartbeat(jobIds: readonly JobId[], queueManagerId: string): Promise<Lease[]> {
    const rows = await this.#query<{ id: string | number | bigint; canceled: boolean }>(
      "heartbeat",
      [
        numberArray(jobIds),
        queueManagerId,
      ],
    );
    return rows.map(({ id, canceled }) => ({ jobId: decodeId(id), canceled }));
  }

  /** Puts picked jobs back for another attempt. Gives the ids whose lease was still held. */
  retry(retries: readonly Retry[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("retry", [
      idsOf(retries.map(({ job }) => job)),
      numberArray(retries.map((retry) => retry.delayMs)),
      textArray(retries.map((retry) => encodeTraceback(retry.traceback))),
      queueManagerId,
      leasesOf(retries.map(({ job }) => job)),
    ]);
  }

  /** Ends queued and held jobs and asks for the end of picked ones. Gives the ids it found. */
  cancel(jobIds: readonly JobId[]): Promise<JobId[]> {
    return this.#ids("cancel", [numberArray(jobIds)]);
  }

  /** Deletes picked jobs and logs how they ended. Gives the ids whose lease was still held. */
  acknowledge(
    jobs: readonly Claimed[],
    status: "successful" | "canceled",
    queueManagerId: string,
  ): Promise<JobId[]> {
    return this.#ids("acknowledge", [idsOf(jobs), status, queueManagerId, leasesOf(jobs)]);
  }

  /** Deletes picked jobs and logs why they failed. Gives the ids whose lease was still held. */
  acknowledgeFailure(failures: readonly Failure[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("acknowledge_failure", encodeFailures(failures, queueManagerId));
  }

  /** Keeps picked jobs as failed. Gives the ids whose lease was still held. */
  hold(failures: readonly Failure[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("hold", encodeFailures(failures, queueManagerId));
  }

  /** Puts picked jobs back in the queue. Gives the ids whose lease was still held. */
  release(jobs: readonly Claimed[], queueManagerId: string): Promise<JobId[]> {
    return this.#ids("release", [idsOf(jobs), queueManagerId, leasesOf(jobs)]);
  }

  /**
   * Puts back every job that `queueManagerId` holds in the table by now and that is not in `known`. Gives their ids. Nobody
   * may claim for it meanwhile.
   */
  async releaseUnknown(known: readonly JobId[], queueManagerId: string): Promise<JobId[]> {
    // A statement may reach the server when its sender has long given it up and claimed again.
    const [row] = await this.#query<{ moment: string | number | bigint }>("moment", []);
    const parameters = [numberArray(known), queueManagerId, String(row!.moment)];
    return await this.#ids("release_unknown", parameters);
  }

  /** Sends an event to every listener. */
  async notify(event: string): Promise<void> {
    await this.#query("notify", [event]);
  }

  async #ids(name: StatementName, parameters: readonly Parameter[]): Promise<JobId[]> {
    const rows = await this.#query<{ id: string | number | bigint }>(name, parameters);
    return rows.map((row) => decodeId(row.id));
  }

  #query<Row>(name: StatementName, parameters: readonly Parameter[]): Promise<Row[]> {
    return this.#executor.query<Row>(this.#sql.get(name), parameters);
  }
}
