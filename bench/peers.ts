/** Who is measured: each peer at its best settings and at those that a user gets who sets none. */
import type { Sql } from "postgres";
import type { Runtime } from "./process.ts";

export type PeerName = "pgqueuer" | "graphile-worker" | "pg-boss" | "bullmq" | "pgqueuer-python";

/** What a peer's tables hold. */
export interface Holdings {
  /** Jobs that may run now or run. */
  readonly ready: number;
  /** Jobs that wait for their time. */
  readonly deferred: number;
  /** Jobs that are being run. */
  readonly running: number;
  /** Jobs that have ended well, as far as the peer keeps that; `null` where it deletes them. */
  readonly done: number | null;
}

/** A queue on PostgreSQL. */
export interface Peer {
  readonly name: PeerName;
  /** File in `bench/peers/` of its processes. */
  readonly file: string;
  readonly runtime: Runtime;
  /** Whether a job is ready or running: one row with `busy`. Read often, so it must be cheap. */
  readonly busySql: string;
  /** Reads the tables through, to check them. */
  holdings(sql: Sql): Promise<Holdings>;
  /** Further things that must hold after `done` jobs have ended: a line for each that does not. */
  check?(sql: Sql, done: number, total: number): Promise<string[]>;
}

const PGQUEUER: Peer = {
  name: "pgqueuer",
  file: "pgqueuer_main.ts",
  runtime: "node",
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
  /** The log has a row for each step of each job, and no other. */
  async check(sql, done, total) {
    const rows = await sql<{ status: string; rows: number; jobs: number }[]>`
      SELECT status::text, count(*)::int AS rows, count(DISTINCT job_id)::int AS jobs
      FROM pgqueuer_log GROUP BY status`;
    const wanted: Record<string, number> = { queued: total, picked: done, successful: done };
    return Object.entries(wanted).flatMap(([status, count]) => {
      const found = rows.find((row) => row.status === status) ?? { rows: 0, jobs: 0 };
      if (found.rows === count && found.jobs === count) return [];
      return [
        `the log has ${found.rows} rows of ${found.jobs} jobs with status ${status}, not ${count}`,
      ];
    }).concat(
      rows.filter(({ status }) => !(status in wanted))
        .map(({ status, rows }) => `the log has ${rows} rows with status ${status}`),
    );
  },
};

const PEERS: readonly Peer[] = [PGQUEUER];

/** A peer at one of its settings. */
export interface Contender {
  /** As the table shows it, such as `graphile-worker tuned`. */
  readonly name: string;
  readonly peer: Peer;
  readonly tuned: boolean;
  readonly runtime: Runtime;
}

/** All that can be measured here. */
export function contenders(): Contender[] {
  return PEERS.map((peer) => ({
    name: peer.name,
    peer,
    // Ours is measured as it comes.
    tuned: false,
    runtime: peer.runtime,
  }));
}
