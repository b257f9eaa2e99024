/** An upgrade as a process of its own, while processes of an earlier release work on the tables. */
import { randomBytes } from "node:crypto";
import postgres, { type ReservedSql, type Sql } from "postgres";
import { type Finished, runPgq } from "../cli/fixtures/pgq.ts";
import { testDsn, until } from "../support/queue.ts";
import type { UpgradeStep } from "../../src/queries/upgrade_plan.ts";

/** What the sessions of the earlier release are called. */
const LOAD = "load";
/** A step may hold up others for half a second, and they it. Who waits for longer than this has an error to tell of. */
const LOCK_TIMEOUT = "20s";
/** How many jobs have to start while a step is held up. */
const PROGRESS = 3;
/** The server shows so much of a statement. */
const SHOWN = 1_000;

/** A database of its own: an index that is built beside writes waits for every snapshot in its database, also of other tests. */
export interface UpgradeDatabase {
  readonly dsn: string;
  readonly sql: Sql;
  close(): Promise<void>;
}

/** Makes one. */
export async function openUpgradeDatabase(): Promise<UpgradeDatabase> {
  const name = `upgrade_${randomBytes(4).toString("hex")}`;
  const admin = postgres(testDsn(), { max: 1, onnotice: () => {} });
  await admin`create database ${admin(name)}`;
  const url = new URL(testDsn());
  url.pathname = `/${name}`;
  const sql = postgres(url.href, { max: 6, onnotice: () => {} });
  return {
    dsn: url.href,
    sql,
    async close() {
      await sql.end();
      // Sessions of processes that were killed would end in their own time.
      await until(
        "nobody is in the database",
        async () =>
          (await admin`
            select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`)
            .length === 0,
      );
      await admin`drop database ${admin(name)}`;
      await admin.end();
    },
  };
}

/** For the processes of the earlier release: their sessions are known by it, and end rather than wait for long. */
export function dsnOfLoad(dsn: string): string {
  const url = new URL(dsn);
  url.searchParams.set("application_name", LOAD);
  url.searchParams.set("lock_timeout", LOCK_TIMEOUT);
  return url.href;
}

/** Fills a queue until its table counts as large. */
export async function makeLarge(sql: Sql, table: string): Promise<void> {
  await sql`
    insert into ${sql(table)} (priority, status, entrypoint, payload)
    select 0, 'failed', 'large', convert_to(repeat('x', 1000), 'UTF8') from generate_series(1, 11000)`;
}

/** Which tables are upgraded. */
export interface Upgraded {
  readonly dsn: string;
  readonly sql: Sql;
  readonly table: string;
  readonly names: { readonly schema: string; readonly prefix: string };
}

/** What was seen of an upgrade. */
export interface UpgradeUnderLoad {
  /** As `pgq upgrade --plan` printed it before. */
  readonly plan: readonly UpgradeStep[];
  /** Steps that met a transaction and waited for it, while jobs started. */
  readonly heldUp: readonly UpgradeStep[];
  /** Steps that statements of the earlier release had to wait for, although the plan says that nothing does. */
  readonly unannounced: readonly string[];
  /** Others than steps that they had to wait for. */
  readonly strangers: readonly string[];
  readonly upgrade: Finished;
}

/**
 * Upgrades the tables. A transaction that writes to the queue is open at the first step that needs the table for itself, and at
 * each that is said to be in nobody's way, until jobs have started meanwhile.
 *
 * @param started How many jobs the workers have started so far.
 */
export async function upgradeUnderLoad(
  queue: Upgraded,
  started: () => number,
): Promise<UpgradeUnderLoad> {
  const env = {
    PGQUEUER_DSN: queue.dsn,
    PGQUEUER_SCHEMA: queue.names.schema,
    PGQUEUER_PREFIX: queue.names.prefix,
  };
  const planned = await runPgq(["upgrade", "--plan", "--json"], { env });
  const { steps: plan } = JSON.parse(planned.stdout) as { steps: UpgradeStep[] };
  const watch = new Watch(queue.sql, plan);

  let rival = await Rival.prepare(queue);
  await rival.begin();
  let ended = false;
  const isOver = (): boolean => ended;
  const upgrade = runPgq(["upgrade"], { env }).finally(() => ended = true);
  const watching = watch.waits(isOver);
  const heldUp = new Set<UpgradeStep>();
  while (!ended) {
    const held = await until(
      "a step meets the transaction",
      async () => ended ? "over" : await watch.stepBehind(rival.pid),
    );
    if (held === "over") break;
    if (held.blocks === "nothing" || heldUp.size === 0) {
      const before = started();
      await until(
        `jobs start while "${held.what}" is held up`,
        () => started() >= before + PROGRESS,
      );
      heldUp.add(held);
    }
    // The next transaction begins before this one ends, or stands in the queue behind the step that needs the table for itself:
    // so each step that comes meets one.
    const next = await Rival.prepare(queue);
    const open = next.begin();
    await until("it has begun, or waits for the step", () => next.isQueued());
    await rival.end();
    await open;
    rival = next;
  }
  await rival.end();
  const [finished] = await Promise.all([upgrade, watching]);
  const { unannounced, strangers } = watch;
  return { plan, heldUp: [...heldUp], unannounced, strangers, upgrade: finished };
}

/** A session with a transaction that writes to the queue. */
class Rival {
  readonly pid: number;
  readonly #session: ReservedSql;
  readonly #queue: Upgraded;
  #hasBegun = false;

  private constructor(session: ReservedSql, pid: number, queue: Upgraded) {
    this.#session = session;
    this.#queue = queue;
    this.pid = pid;
  }

  static async prepare(queue: Upgraded): Promise<Rival> {
    const session = await queue.sql.reserve();
    const [row] = await session`select pg_backend_pid() as pid`;
    return new Rival(session, row!["pid"] as number, queue);
  }

  async begin(): Promise<void> {
    const { table } = this.#queue;
    await this.#session.unsafe(
      `begin; insert into ${table} (priority, status, entrypoint) values (0, 'failed', 'rival')`,
    );
    this.#hasBegun = true;
  }

  async isQueued(): Promise<boolean> {
    if (this.#hasBegun) return true;
    const rows = await this.#queue.sql`
      select from pg_locks where pid = ${this.pid}::int and not granted`;
    return rows.length > 0;
  }

  async end(): Promise<void> {
    await this.#session.unsafe("commit");
    this.#session.release();
  }
}

/** The steps of a plan that are taken beside the writes of this table. */
export function stepsBeside(plan: readonly UpgradeStep[], table: string): UpgradeStep[] {
  return plan.filter(({ sql, on }) => sql.includes(" CONCURRENTLY ") && on === table);
}

/** Looks at who waits for whom. */
class Watch {
  readonly unannounced: string[] = [];
  readonly strangers: string[] = [];
  readonly #sql: Sql;
  readonly #plan: readonly UpgradeStep[];

  constructor(sql: Sql, plan: readonly UpgradeStep[]) {
    this.#sql = sql;
    this.#plan = plan;
  }

  /** The step that a statement is, in its first or its only words. */
  #stepOf(query: string): UpgradeStep | undefined {
    return this.#plan.find(({ sql }) => sql.slice(0, SHOWN) === query);
  }

  /** The step that waits for this session. */
  async stepBehind(pid: number): Promise<UpgradeStep | undefined> {
    const rows = await this.#sql`
      select left(query, ${SHOWN}) as query from pg_stat_activity
      where ${pid}::int = any (pg_blocking_pids(pid)) and state = 'active'`;
    return rows.map((row) => this.#stepOf(row["query"] as string)).find(Boolean);
  }

  /** Writes down what sessions of the earlier release wait for, where the plan does not say so. */
  async waits(isOver: () => boolean): Promise<void> {
    let before = new Set<string>();
    while (!isOver()) {
      // The lock of NOTIFY, an "object" of no database, is one for all sessions that tell something: a commit holds it for as
      // long as the disk takes.
      const rows = await this.#sql`
        select waiter.pid, waiter.query_start::text as since, left(blocker.query, ${SHOWN}) as query
        from pg_stat_activity as waiter
        cross join lateral unnest(pg_blocking_pids(waiter.pid)) as other(pid)
        join pg_stat_activity as blocker on blocker.pid = other.pid and blocker.datname = waiter.datname
        where waiter.application_name = ${LOAD} and blocker.application_name <> ${LOAD}
          and not exists (
            select from pg_locks where pid = waiter.pid and not granted and locktype = 'object' and database = 0
          )`;
      const now = new Set<string>();
      for (const { pid, since, query } of rows) {
        const step = this.#stepOf(query as string);
        if (step !== undefined && step.blocks !== "nothing") continue;
        // The locks are read a moment after the statements: what is seen once may be of two moments.
        const wait = JSON.stringify([pid, since, query]);
        now.add(wait);
        if (!before.has(wait)) continue;
        if (step === undefined) this.strangers.push(query as string);
        else this.unannounced.push(step.what);
      }
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
