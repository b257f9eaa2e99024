/** The queue as DESIGN.md and CONTRACT.md describe it, in memory: what each call should give and leave behind. */
import type { Gate } from "../../src/queries/gate.ts";
import { byOrder, isCounted, type ModelJob, startable, TokenBuckets } from "./claim_rule.ts";
import { LogModel } from "./log_model.ts";

/** A job to enqueue. */
export interface ModelInput {
  readonly entrypoint: string;
  readonly priority: number;
  readonly dedupeKey: string | null;
  readonly payload: string | null;
  readonly headers: { readonly [key: string]: number } | null;
  /** Milliseconds from now, which may be past. */
  readonly dueMs: number;
}

export class QueueModel {
  now: number;
  /** Those that have not ended, by id. */
  readonly jobs: Map<number, ModelJob> = new Map();
  /** Every id that a producer was given. */
  readonly known: number[] = [];
  readonly buckets: TokenBuckets = new TokenBuckets();
  readonly log: LogModel = new LogModel();

  constructor(now: number) {
    this.now = now;
  }

  /**
   * @param given The ids that the queue gave: those of new jobs are for it to choose, as long as they grow.
   * @returns The ids that it should have given, or why it should have refused.
   */
  enqueue(
    inputs: readonly ModelInput[],
    onConflict: "skip" | "raise" | "update_priority",
    given: readonly (number | null)[],
  ): (number | null)[] | "DuplicateJobError" | "RangeError" {
    const keys = inputs.flatMap(({ dedupeKey }) => dedupeKey === null ? [] : [dedupeKey]);
    const repeats = new Set(keys).size < keys.length;
    if (onConflict === "update_priority" && repeats) return "RangeError";
    if (onConflict === "raise" && (repeats || keys.some((key) => this.liveJob(key)))) {
      return "DuplicateJobError";
    }
    return inputs.map((input, index) => {
      const rival = input.dedupeKey === null ? undefined : this.liveJob(input.dedupeKey);
      if (rival === undefined) return this.#insert(input, given[index] ?? -1);
      if (onConflict === "skip") return null;
      rival.priority = Math.max(rival.priority, input.priority);
      // That of a picked job is its lease.
      if (rival.status !== "picked") rival.updated = this.now;
      return rival.id;
    });
  }

  #insert({ dueMs, ...input }: ModelInput, id: number): number {
    if (id <= (this.known.at(-1) ?? 0)) return -1;
    this.known.push(id);
    const job: ModelJob = {
      ...input,
      id,
      status: "queued",
      manager: null,
      slot: null,
      attempts: 0,
      takeOvers: 0,
      cancelRequested: false,
      created: this.now,
      updated: this.now,
      heartbeat: this.now,
      due: this.now + dueMs,
    };
    this.jobs.set(id, job);
    this.#write(job, "queued");
    return id;
  }

  /** The queued or picked job that has a key. */
  liveJob(key: string): ModelJob | undefined {
    return [...this.jobs.values()].find((job) => job.status !== "failed" && job.dedupeKey === key);
  }

  claim(
    manager: string,
    gates: readonly Gate[],
    most: { readonly limit: number; readonly counted: number },
  ): ModelJob[] {
    const started = startable(this, gates, most, this.now);
    for (const job of started) {
      const gate = gates.find(({ entrypoint }) => entrypoint === job.entrypoint)!;
      job.slot = gate.concurrencyLimit > 0 ? this.#lowestFreeSeat(job.entrypoint) : null;
      this.buckets.take(gate, this.now);
      this.#pick(job, manager);
    }
    return started;
  }

  #lowestFreeSeat(entrypoint: string): number {
    const taken = [...this.jobs.values()].flatMap((job) =>
      job.entrypoint === entrypoint && job.slot !== null ? [job.slot] : []
    );
    let seat = 0;
    while (taken.includes(seat)) seat++;
    return seat;
  }

  #pick(job: ModelJob, manager: string): void {
    Object.assign(job, { status: "picked", manager, updated: this.now, heartbeat: this.now });
    this.#write(job, "picked");
  }

  /**
   * @param running Jobs that the queue manager runs itself.
   * @param isChosen Which one the queue chose, where leases of one age stand at the limit.
   */
  takeOver(
    manager: string,
    gates: readonly Gate[],
    limit: number,
    running: ReadonlySet<number>,
    isChosen: (id: number) => boolean,
  ): { claimed: ModelJob[]; canceled: ModelJob[] } {
    const claimed: ModelJob[] = [];
    const canceled: ModelJob[] = [];
    for (const job of this.#stale(gates, limit, running, isChosen)) {
      const gate = gates.find(({ entrypoint }) => entrypoint === job.entrypoint)!;
      job.takeOvers++;
      if (!job.cancelRequested && job.takeOvers >= gate.maxTakeOvers) {
        this.#leave(job, "failed", "WorkerDied");
      } else if (!job.cancelRequested && isCounted(gate)) {
        this.#leave(job, "queued");
      } else {
        // Its new worker runs it, or ends it at once if somebody wants that.
        this.#pick(job, manager);
        (job.cancelRequested ? canceled : claimed).push(job);
      }
    }
    return { claimed: claimed.sort(byOrder), canceled: canceled.sort(byOrder) };
  }

  #stale(
    gates: readonly Gate[],
    limit: number,
    running: ReadonlySet<number>,
    isChosen: (id: number) => boolean,
  ): ModelJob[] {
    const leases = new Map(gates.map(({ entrypoint, leaseMs }) => [entrypoint, leaseMs]));
    const stale = [...this.jobs.values()].filter((job) => {
      const leaseMs = leases.get(job.entrypoint) ?? 0;
      return job.status === "picked" && leaseMs > 0 && this.now - job.heartbeat > leaseMs &&
        !running.has(job.id);
    }).sort((one, other) => one.heartbeat - other.heartbeat);
    const edge = stale[limit]?.heartbeat;
    if (edge === undefined) return stale;
    const older = stale.filter(({ heartbeat }) => heartbeat < edge);
    const tied = stale.filter(({ id, heartbeat }) => heartbeat === edge && isChosen(id));
    return [...older, ...tied.slice(0, limit - older.length)];
  }

  /** Puts a picked job back, or keeps it as failed. Its seat is free. */
  #leave(job: ModelJob, status: "queued" | "failed", exception: string | null = null): void {
    Object.assign(job, { status, manager: null, slot: null, updated: this.now });
    this.#write(job, status, exception);
  }

  /** Jobs of `ids` whose lease `manager` holds: all that a worker may change. */
  held(manager: string, ids: readonly number[]): ModelJob[] {
    return ids.flatMap((id) => this.jobs.get(id) ?? [])
      .filter((job) => job.status === "picked" && job.manager === manager);
  }

  heartbeat(manager: string, ids: readonly number[]): { jobId: number; canceled: boolean }[] {
    return this.held(manager, ids).map((job) => {
      job.heartbeat = this.now;
      return { jobId: job.id, canceled: job.cancelRequested };
    });
  }

  /** An attempt has ended: `failed` keeps the job. */
  acknowledge(
    manager: string,
    ids: readonly number[],
    status: "successful" | "exception" | "canceled" | "failed",
    exception: string | null,
  ): number[] {
    return this.held(manager, ids).map((job) => {
      job.takeOvers = 0;
      if (status !== "failed") this.#end(job, status, exception);
      else if (job.cancelRequested) this.#end(job, "canceled", exception);
      else this.#leave(job, "failed", exception);
      return job.id;
    });
  }

  retry(
    manager: string,
    ids: readonly number[],
    delayMs: number,
    exception: string,
  ): number[] {
    return this.held(manager, ids).map((job) => {
      job.attempts++;
      job.due = this.now + delayMs;
      this.#putBack(job, exception);
      return job.id;
    });
  }

  /** Puts jobs back that were not run: nothing is charged. */
  release(manager: string, ids: readonly number[]): number[] {
    return this.held(manager, ids).map((job) => {
      this.#putBack(job, null);
      return job.id;
    });
  }

  /** Somebody wanted it stopped, and stopped it has: it does not run again. */
  #putBack(job: ModelJob, exception: string | null): void {
    job.takeOvers = 0;
    if (job.cancelRequested) this.#end(job, "canceled", exception);
    else this.#leave(job, "queued", exception);
  }

  releaseUnknown(manager: string, known: ReadonlySet<number>): number[] {
    return this.release(manager, [...this.jobs.keys()].filter((id) => !known.has(id)));
  }

  cancel(ids: readonly number[]): number[] {
    return ids.flatMap((id) => this.jobs.get(id) ?? []).map((job) => {
      if (job.status === "picked") job.cancelRequested = true;
      else this.#end(job, "canceled");
      return job.id;
    });
  }

  requeue(
    ids: readonly number[],
  ): { requeued: number[]; duplicates: number[]; notHeld: number[] } {
    const requeued: number[] = [];
    const duplicates: number[] = [];
    const notHeld: number[] = [];
    for (const id of ids.toSorted((one, other) => one - other)) {
      const job = this.jobs.get(id);
      if (job?.status !== "failed") notHeld.push(id);
      else if (job.dedupeKey !== null && this.liveJob(job.dedupeKey)) duplicates.push(id);
      else {
        Object.assign(job, { attempts: 0, takeOvers: 0, due: this.now });
        this.#leave(job, "queued");
        requeued.push(id);
      }
    }
    return { requeued, duplicates, notHeld };
  }

  #end(job: ModelJob, status: string, exception: string | null = null): void {
    this.jobs.delete(job.id);
    this.#write(job, status, exception);
  }

  #write(job: ModelJob, status: string, exception: string | null = null): void {
    const { id: jobId, entrypoint, priority } = job;
    this.log.write({ jobId, status, entrypoint, priority, created: this.now, exception });
  }

  /** Forgets counted log rows that are older, except why a held job failed. Gives how many. */
  pruneLog(ageMs: number): number {
    const isHeld = (id: number): boolean => this.jobs.get(id)?.status === "failed";
    return this.log.prune(this.now - ageMs, isHeld);
  }

  /** Where a job stands or how it ended; nothing if the log has forgotten it. */
  statusOf(id: number): string | undefined {
    return this.jobs.get(id)?.status ??
      this.log.endOf(id);
  }
}
