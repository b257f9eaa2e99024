/** Who is measured: each peer at its best settings and at those that a user gets who sets none. */
import type { Sql } from "postgres";
import type { Runtime } from "./process.ts";

/** What a peer's tables hold. */
export interface Holdings {
  /** Jobs that may run now and do not. */
  readonly ready: number;
  /** Jobs that wait for their time. */
  readonly deferred: number;
  /** Jobs that are being run. */
  readonly running: number;
  /** Jobs that have ended well, as far as the peer keeps that; `null` where it deletes them. */
  readonly done: number | null;
}

/** What a check of the tables found. */
export interface Verdict {
  /** A line for each thing that is not as it must be. */
  readonly problems: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

/** How a queue on PostgreSQL is looked into. */
export interface Tables {
  /** Whether a job is ready or running: one row with `busy`. Read often, so it must be cheap. */
  readonly busySql: string;
  /** Reads the tables through, to check them. */
  holdings(sql: Sql): Promise<Holdings>;
  /** Further things that must hold after `done` of `total` jobs have ended. */
  check?(sql: Sql, done: number, total: number, variant: string): Promise<Verdict>;
}

/** A queue. */
export interface Peer {
  readonly name: string;
  /** File in `bench/peers/` of its processes. */
  readonly file: string;
  readonly runtime: Runtime;
  /** `undefined` for one that is not on PostgreSQL. */
  readonly tables: Tables | undefined;
}

const PGQUEUER_TABLES: Tables = {
  busySql: `SELECT EXISTS (SELECT FROM pgqueuer WHERE status = 'picked')
    OR EXISTS (SELECT FROM pgqueuer WHERE status = 'queued' AND execute_after <= now()) AS busy`,
  async holdings(sql) {
    const [row] = await sql<[Holdings]>`
      SELECT count(*) FILTER (WHERE status = 'queued' AND execute_after <= now())::int AS ready,
        count(*) FILTER (WHERE status = 'queued' AND execute_after > now())::int AS deferred,
        count(*) FILTER (WHERE status = 'picked')::int AS running,
        (SELECT count(*)::int FROM pgqueuer_log WHERE status = 'successful') AS done
      FROM pgqueuer`;
    return row;
  },
  /** The log has a row for each step of each job, and no other. A job that is put back has two more, which are counted. */
  async check(sql, done, total, variant) {
    const rows = await sql<{ status: string; rows: number; jobs: number }[]>`
      SELECT status::text, count(*)::int AS rows, count(DISTINCT job_id)::int AS jobs
      FROM pgqueuer_log GROUP BY status`;
    const of = (status: string) => rows.find((row) => row.status === status) ?? NO_ROWS;
    // At the level "terminal" the log has only how jobs ended, and that they were put back.
    const isFull = variant !== "terminal";
    const putBack = of("queued").rows - (isFull ? total : 0);
    const wanted: [status: string, rows: number, jobs: number][] = [
      ["queued", (isFull ? total : 0) + putBack, isFull ? total : 0],
      ["picked", isFull ? done + putBack : 0, isFull ? done : 0],
      ["successful", done, done],
    ];
    const problems = wanted.filter(([status, rows, jobs]) =>
      // A job that was put back and not taken again has been picked, too.
      of(status).rows !== rows || of(status).jobs < jobs
    ).map(([status, rows, jobs]) =>
      `the log has ${of(status).rows} rows of ${of(status).jobs} jobs with status ${status}, ` +
      `not ${rows} of ${jobs}`
    );
    const others = rows.filter(({ status }) => !wanted.some(([name]) => name === status));
    return {
      problems: problems.concat(
        others.map(({ status, rows }) => `the log has ${rows} rows with status ${status}`),
      ),
      figures: putBack > 0 ? { putBack } : {},
    };
  },
};

const NO_ROWS = { rows: 0, jobs: 0 };

const PGQUEUER: Peer = {
  name: "pgqueuer",
  file: "pgqueuer_main.ts",
  runtime: "node",
  tables: PGQUEUER_TABLES,
};

const GRAPHILE_WORKER: Peer = {
  name: "graphile-worker",
  file: "graphile_worker_main.ts",
  runtime: "node",
  tables: {
    // Jobs that are done are deleted.
    busySql: `SELECT EXISTS (
      SELECT FROM graphile_worker._private_jobs WHERE run_at <= now()) AS busy`,
    async holdings(sql) {
      const [row] = await sql<[Holdings]>`
        SELECT count(*) FILTER (WHERE locked_at IS NULL AND run_at <= now())::int AS ready,
          count(*) FILTER (WHERE locked_at IS NULL AND run_at > now())::int AS deferred,
          count(*) FILTER (WHERE locked_at IS NOT NULL)::int AS running,
          null AS done
        FROM graphile_worker._private_jobs`;
      return row;
    },
  },
};

const PG_BOSS: Peer = {
  name: "pg-boss",
  file: "pg_boss_main.ts",
  runtime: "node",
  tables: {
    busySql: `SELECT EXISTS (SELECT FROM pgboss.job WHERE name LIKE 'bench%'
      AND state < 'completed' AND start_after <= now()) AS busy`,
    async holdings(sql) {
      const [row] = await sql<[Holdings]>`
        SELECT count(*) FILTER (WHERE state < 'active' AND start_after <= now())::int AS ready,
          count(*) FILTER (WHERE state < 'active' AND start_after > now())::int AS deferred,
          count(*) FILTER (WHERE state = 'active')::int AS running,
          count(*) FILTER (WHERE state = 'completed')::int AS done
        FROM pgboss.job WHERE name LIKE 'bench%'`;
      return row;
    },
  },
};

const BULLMQ: Peer = {
  name: "BullMQ",
  file: "bullmq_main.ts",
  runtime: "node",
  tables: undefined,
};

const PYTHON_PGQUEUER: Peer = {
  name: "Python pgqueuer",
  file: "python_pgqueuer_main.py",
  runtime: "python",
  tables: PGQUEUER_TABLES,
};

/** A peer at one of its settings. */
export interface Contender {
  /** As the table shows it, such as `graphile-worker tuned`. */
  readonly name: string;
  readonly peer: Peer;
  readonly tuned: boolean;
  readonly runtime: Runtime;
  /** Which of our own options it uses. */
  readonly variant: string;
}

/** The name under which we are in the tables. We are measured as we come: there is nothing to tune. */
export const OURS = "pgqueuer";

export const CONTENDERS: readonly Contender[] = [
  contender(PGQUEUER, false),
  ...[GRAPHILE_WORKER, PG_BOSS, PYTHON_PGQUEUER].flatMap((peer) => [
    contender(peer, true),
    contender(peer, false),
  ]),
  contender(BULLMQ, true),
];

function contender(peer: Peer, tuned: boolean): Contender {
  const name = tuned ? `${peer.name} tuned` : peer.name;
  return { name, peer, tuned, runtime: peer.runtime, variant: "" };
}

/** Ours on another runtime, or with another option. */
export function variantOf(ours: Contender, name: string, variant: Partial<Contender>): Contender {
  return { ...ours, name: `${OURS}${name}`, ...variant };
}
