/** The real layer behind one connection whose clock the test sets, and the only file that knows its signatures. */
import { wholeRange } from "../../src/queries/claim_range.ts";
import { randomBytes } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { type Driver, fromPostgresJs, type NewJob, Queries, resolveSettings } from "../../mod.ts";
import type { OnConflict } from "../../src/new_job.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import { type Gate, isLimited } from "../../src/queries/gate.ts";
import { LogStore } from "../../src/queries/log.ts";
import type { Claimed } from "../../src/queries/outcomes.ts";
import { type Lease, type Outlook, QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import type { Traceback } from "../../src/traceback.ts";

/** A row of the queue: id, entrypoint, priority and so on, in the order of `modelRow`. */
export type StateRow = readonly unknown[];

/** All that a run left in the tables. */
export interface State {
  readonly jobs: readonly StateRow[];
  readonly log: readonly StateRow[];
}

/** What an attempt came to. */
export type Status = "successful" | "exception" | "canceled" | "failed";

/**
 * Stands in front of the server's own clock, by the search path: every `now()` of a statement, a function or a default
 * asks the session. So time passes when the test says so, and a comparison is tested at its edge.
 */
const CLOCK = ["now", "transaction_timestamp", "statement_timestamp", "clock_timestamp"];

export class RealQueue {
  readonly #sql: Sql;
  readonly #schema: string;
  readonly #table: string;
  readonly #queue: QueueStore;
  readonly #log: LogStore;
  readonly queries: Queries;
  /** The lease of each worker's last claim of each job. */
  readonly #leases = new Map<string, string>();
  /** While a call is followed: the last log row that has been seen. */
  #seen: number | null = null;
  /** What the tables held when the last statement was done. */
  #behind: Promise<State> | null = null;

  constructor(sql: Sql, schema: string) {
    const names = { schema, prefix: `${schema}_`, durability: "volatile" } as const;
    // Statements are prepared, as by a worker.
    const driver: Driver = {
      ...fromPostgresJs(sql),
      query: (text, parameters) => {
        const rows = this.#query(text, parameters);
        if (this.#seen !== null) this.#behind = this.state(this.#seen);
        return rows as Promise<never>;
      },
    };
    const statements = new Statements(resolveSettings(names));
    this.#sql = sql;
    this.#schema = schema;
    this.#table = `${schema}.${schema}_pgqueuer`;
    this.#queue = new QueueStore(driver, statements);
    this.#log = new LogStore(driver, statements);
    this.queries = new Queries(driver, names);
  }

  async close(): Promise<void> {
    await this.#sql.unsafe(`drop schema ${this.#schema} cascade`);
    await this.#sql.end();
  }

  /** Empties every table. */
  async clear(): Promise<void> {
    const table = this.#table;
    await this.#sql.unsafe(
      `delete from ${table}; delete from ${table}_log; delete from ${table}_limits; delete from ${table}_statistics`,
    );
  }

  async setClock(ms: number): Promise<void> {
    await this.#query("select set_config('model.now', $1, false)", [new Date(ms).toISOString()]);
  }

  async #query<Row>(text: string, parameters: readonly (string | number | null)[]): Promise<Row[]> {
    const rows = await this.#sql.unsafe(text, [...parameters], { prepare: true });
    return Array.from(rows) as Row[];
  }

  /** Makes a call, and reads the tables right behind each of its statements: one connection keeps the order. */
  async follow<Answer>(
    call: (real: RealQueue) => Promise<Answer>,
    seen: number,
  ): Promise<[Answer, State]> {
    this.#seen = seen;
    this.#behind = null;
    try {
      const answer = await call(this);
      this.#seen = null;
      return [answer, await (this.#behind ?? this.state(seen))];
    } finally {
      this.#seen = null;
    }
  }

  /** The queue, and what was written to the log after the row `seen`. */
  async state(seen: number): Promise<State> {
    const ms = (column: string): string => `date_part('epoch', ${column}) * 1000`;
    const [row] = await this.#query<{ state: string }>(
      `select json_build_object(
        'jobs', (select coalesce(json_agg(json_build_array(
          id, entrypoint, priority, status, queue_manager_id, slot, attempts, take_overs, cancel_requested, dedupe_key,
          encode(payload, 'escape'), headers, ${ms("created")}, ${ms("updated")}, ${
        ms("heartbeat")
      }, ${ms("execute_after")}
        ) order by id), '[]') from ${this.#table}),
        'log', (select coalesce(json_agg(json_build_array(
          id, job_id, status, entrypoint, priority, ${
        ms("created")
      }, traceback->>'exception_type', aggregated
        ) order by job_id, id), '[]') from ${this.#table}_log where id > $1)
      )::text as state`,
      [seen],
    );
    return JSON.parse(row!.state) as State;
  }

  /** Gives the ids, or the name of the error. */
  enqueue(
    jobs: readonly NewJob[],
    onConflict: OnConflict,
  ): Promise<(number | null)[] | string> {
    return this.queries.enqueueMany(jobs, { onConflict }).catch((error: Error) => error.name);
  }

  /** Enqueues each job by a call of its own, all at the same time. */
  enqueueApart(
    jobs: readonly NewJob[],
    onConflict: OnConflict,
  ): Promise<(number | null | string)[]> {
    return Promise.all(
      jobs.map(({ entrypoint, payload, ...options }) =>
        this.queries.enqueue(entrypoint, payload, { ...options, onConflict })
          .catch((error: Error) => error.name)
      ),
    );
  }

  /** `startable` is how many of them may be of limited entrypoints; `split` a priority at which the ready ones are split. */
  async claim(
    limit: number,
    startable: number,
    split: number,
    gates: readonly Gate[],
    manager: string,
  ): Promise<ClaimedJob[]> {
    if (gates.some(isLimited)) {
      return this.#note(await this.#queue.claimLimited(limit, startable, gates, manager), manager);
    }
    const entrypoints = gates.map(({ entrypoint }) => entrypoint);
    const ranges = entrypoints.map(wholeRange).flatMap((range) => [
      { ...range, highest: split },
      { ...range, lowest: split + 1 },
    ]);
    return this.#note(await this.#queue.dequeue(limit, entrypoints, manager, ranges), manager);
  }

  async takeOver(
    limit: number,
    gates: readonly Gate[],
    manager: string,
    running: Iterable<number>,
  ): Promise<{ claimed: ClaimedJob[]; canceled: ClaimedJob[] }> {
    const taken = await this.#queue.takeOver(limit, gates, manager, [...running]);
    this.#note([...taken.claimed, ...taken.canceled], manager);
    return taken;
  }

  #note(jobs: ClaimedJob[], manager: string): ClaimedJob[] {
    for (const { id, lease } of jobs) this.#leases.set(`${manager} ${id}`, lease);
    return jobs;
  }

  /** What a worker knows of its claims. Of a job that it never had nothing. */
  #claimed(ids: readonly number[], manager: string): Claimed[] {
    return ids.map((id) => ({ id, lease: this.#leases.get(`${manager} ${id}`) ?? "0" }));
  }

  lookAhead(gates: readonly Gate[]): Promise<Outlook> {
    return this.#queue.lookAhead(gates, null);
  }

  heartbeat(ids: readonly number[], manager: string): Promise<Lease[]> {
    return this.#queue.heartbeat(ids, manager);
  }

  acknowledge(
    ids: readonly number[],
    status: Status,
    exception: string | null,
    manager: string,
  ): Promise<number[]> {
    const jobs = this.#claimed(ids, manager);
    const failures = jobs.map((job) => ({ job, traceback: traceback(job.id, exception) }));
    if (status === "failed") return this.#queue.hold(failures, manager);
    if (status === "exception") return this.#queue.acknowledgeFailure(failures, manager);
    return this.#queue.acknowledge(jobs, status, manager);
  }

  retry(
    ids: readonly number[],
    delayMs: number,
    exception: string,
    manager: string,
  ): Promise<number[]> {
    return this.#queue.retry(
      this.#claimed(ids, manager).map((job) => ({
        job,
        delayMs,
        traceback: traceback(job.id, exception),
      })),
      manager,
    );
  }

  release(ids: readonly number[], manager: string): Promise<number[]> {
    return this.#queue.release(this.#claimed(ids, manager), manager);
  }

  releaseUnknown(known: Iterable<number>, manager: string): Promise<number[]> {
    return this.#queue.releaseUnknown([...known], manager);
  }

  async aggregate(): Promise<void> {
    await this.#log.aggregate();
  }

  /** Gives how many log rows and how many counts went. */
  prune(ageMs: number): Promise<[number, number]> {
    return Promise.all([
      this.#log.pruneLog(ageMs, 1_000, 0).then(({ gone }) => gone),
      this.#log.pruneStatistics(ageMs, 1_000),
    ]);
  }
}

/** Makes an installed queue whose clock stands still. */
export async function openRealQueue(dsn: string): Promise<RealQueue> {
  const schema = `m${randomBytes(4).toString("hex")}`;
  const sql = postgres(dsn, {
    max: 1,
    onnotice: () => {},
    connection: { search_path: `${schema}, pg_catalog`, synchronous_commit: "off" },
  });
  const clock = CLOCK.map((name) =>
    `create function ${schema}.${name}() returns timestamptz language sql ${
      name === "clock_timestamp" ? "volatile" : "stable"
    } as $$ select current_setting('model.now')::timestamptz $$;`
  );
  await sql.unsafe(`create schema ${schema}; set model.now = '2040-01-01Z'; ${clock.join("")}`);
  // To plan a claim anew each time, as the server may choose, takes longer than all the rest of a run. Before PostgreSQL 12
  // nobody else may choose.
  await sql.unsafe(
    "select set_config(name, 'force_generic_plan', false) from pg_settings where name = 'plan_cache_mode'",
  );
  const real = new RealQueue(sql, schema);
  await real.queries.install();
  return real;
}

function traceback(jobId: number, exception: string | null): Traceback | null {
  if (exception === null) return null;
  return {
    job_id: jobId,
    timestamp: new Date().toISOString(),
    exception_type: exception,
    exception_message: "",
    traceback: "",
    additional_context: null,
  };
}
