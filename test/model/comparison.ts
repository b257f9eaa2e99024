/** Compares what the queue and the model gave and what they left. */
import type { Gate } from "../../src/queries/gate.ts";
import { breaches, type Start } from "./invariants.ts";
import type { ModelLogRow } from "./log_model.ts";
import { QueueModel } from "./queue_model.ts";
import type { RealQueue, State, StateRow } from "./real_queue.ts";
import { different, modelJob, modelLogRow, modelRow, settled, shownJob } from "./rows.ts";

/** When each run begins: no clock of the machine says so. */
const BEGIN = Date.UTC(2040, 0, 1);
/** An id that no run reaches. */
export const NOBODY: number = 2 ** 40;

export class Comparison {
  readonly real: RealQueue;
  readonly model: QueueModel = new QueueModel(BEGIN);
  /** Entrypoints, as the workers declare them by now. */
  gates: readonly Gate[];
  /** What has happened so far. */
  readonly trace: string[] = [];
  /** What the tables held at the last answer, and at the one before. */
  state: State = { jobs: [], log: [] };
  #before: State = this.state;
  readonly #starts: Start[] = [];
  /** Log rows that have been compared, and the id of the last. */
  #logged = 0;
  #lastLogId = 0;
  /** What was sent and not waited for. */
  #sent: Promise<unknown>[];

  constructor(real: RealQueue, gates: readonly Gate[]) {
    this.real = real;
    this.gates = gates;
    this.#sent = [real.clear(), real.setClock(BEGIN)];
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.trace.push(`${ms} ms pass`);
    this.model.now += ms;
    this.#sent.push(this.real.setClock(this.model.now));
  }

  /** A worker has got a job to run. */
  start(entrypoint: string): void {
    this.#starts.push({ at: this.model.now, entrypoint });
  }

  /** Makes a call and waits for its answer and for what it left. */
  async ask<Answer>(
    title: string,
    call: (real: RealQueue) => Promise<Answer>,
  ): Promise<Answer> {
    this.trace.push(title);
    const [[answer, state]] = await Promise.all([
      this.real.follow(call, this.#lastLogId),
      ...this.#sent,
    ]);
    this.#sent = [];
    this.#before = this.state;
    this.state = state;
    return answer;
  }

  /** Compares the answers, then every row and every change of status. */
  compare(given: unknown, wanted: unknown): void {
    const shown = JSON.stringify(given);
    this.trace.push(`${this.trace.pop()} gave ${shown}`);
    if (shown !== JSON.stringify(wanted ?? null)) {
      throw new Error(`The model says ${JSON.stringify(wanted)}`);
    }
    const broken = breaches(this.#before.jobs, this.state.jobs, this.#starts, this.gates);
    if (broken.length > 0) throw new Error(broken.join("\n"));
    const { now, jobs, log } = this.model;
    const queue = this.state.jobs.map((row) => settled(row, now));
    different("queue", queue, [...jobs.values()].map((job) => settled(modelRow(job), now)));
    this.#compareLog(this.state.log, log.written.slice(this.#logged));
    this.#logged = log.written.length;
    this.#lastLogId = Math.max(this.#lastLogId, ...this.state.log.map(([id]) => id as number));
  }

  /** Rows of one job have an order; those of several may be written in any. */
  #compareLog(given: readonly StateRow[], wanted: readonly ModelLogRow[]): void {
    const order = wanted.toSorted((one, other) => one.jobId - other.jobId);
    different("log", given.map(([, ...row]) => row), order.map(modelLogRow));
  }

  /** What operators read. */
  async compareReports(): Promise<void> {
    const { queries } = this.real;
    const model = this.model;
    const ids = [...model.known, NOBODY];
    const [{ log }, statistics, statuses, failed] = await Promise.all([
      this.real.state(0),
      queries.logStatistics(),
      queries.jobStatus(ids),
      queries.listFailed(),
      ...this.#sent,
    ]);
    this.trace.push("at last");
    this.#compareLog(log, model.log.rows);
    const counts = statistics.map(({ created, entrypoint, priority, status, count }) => [
      +created,
      entrypoint,
      priority,
      status,
      count,
    ]);
    different(
      "statistics",
      counts.map(String).sort(),
      model.log.statistics().map((count) => String(Object.values(count))).sort(),
    );
    different("job status", ids.map((id) => statuses.get(id)), ids.map((id) => model.statusOf(id)));
    const held = [...model.jobs.values()].filter(({ status }) => status === "failed")
      .sort((one, other) => other.created - one.created || other.id - one.id);
    different("held jobs", failed.map(shownJob), held.map(modelJob));
  }
}
