/** Compares what the producers know with what the database holds. */
import type { JobId } from "pgqueuer";
import type { Sql } from "postgres";
import type { Ledger } from "./publisher.ts";

/** One count that must be right. */
export interface Check {
  readonly what: string;
  readonly expected: number;
  readonly found: number;
}

/** Median and 95th percentile, in milliseconds. */
export interface Spread {
  readonly p50: number;
  readonly p95: number;
}

/** What the demo found out. */
export interface Findings {
  readonly indexed: number;
  readonly welcomed: number;
  /** Jobs with at least one log row of success. */
  readonly jobsRun: number;
  /** Committed jobs that have none. */
  readonly jobsLost: number;
  /** From the first commit to the last stored outcome. */
  readonly jobsPerSecond: number;
  /** From the commit of a publication to the start of its handler. */
  readonly toStart: Spread;
  /** From the commit of a publication to the stored outcome. */
  readonly toDone: Spread;
  readonly checks: readonly Check[];
}

interface LogRow {
  readonly job_id: string;
  readonly status: string;
}

/** Reads the tables after the last job has ended. */
export async function audit(sql: Sql, ledger: Ledger): Promise<Findings> {
  const log = await sql<LogRow[]>`SELECT job_id, status FROM pgqueuer_log`;
  const [counts] = await sql`
    SELECT
      (SELECT count(*)::int FROM article WHERE status = 'published') AS published,
      (SELECT count(*)::int FROM article WHERE status = 'published' AND search IS NOT NULL) AS indexed,
      (SELECT count(*)::int FROM article WHERE id = ANY (${[...ledger.rolledBack.keys()]}::bigint[])
        AND (status <> 'draft' OR search IS NOT NULL)) AS half_done,
      (SELECT count(*)::int FROM app_user WHERE welcomed_at IS NOT NULL) AS welcomed,
      (SELECT count(*)::int FROM pgqueuer) AS queued`;
  const { published, indexed, half_done, welcomed, queued } = counts as Record<string, number>;

  const successes = countById(log.filter(({ status }) => status === "successful"));
  const known = countById(log);
  const jobs = ledger.jobs;
  const lost = jobs.filter((id) => !successes.has(id)).length;
  const once = jobs.filter((id) => successes.get(id) === 1).length;
  const ghosts = [...ledger.rolledBack.values()].filter((id) => known.has(id)).length;
  const failures = log.filter(({ status }) => ["exception", "failed"].includes(status)).length;
  const { toStart, toDone, seconds } = await measure(sql, ledger);

  const check = (what: string, found: number | undefined, expected: number): Check => ({
    what,
    expected,
    found: found ?? NaN,
  });
  return {
    indexed: indexed ?? 0,
    welcomed: welcomed ?? 0,
    jobsRun: successes.size,
    jobsLost: lost,
    jobsPerSecond: successes.size / seconds,
    toStart,
    toDone,
    checks: [
      check("articles with status published", published, ledger.published.size),
      check("published articles with a search index", indexed, ledger.published.size),
      check("users with a welcome", welcomed, ledger.welcomes.length),
      check("jobs with exactly one success in the log", once, jobs.length),
      check("jobs that the log knows", known.size, jobs.length),
      check("committed jobs that never ran", lost, 0),
      check("rolled back articles that are published or indexed", half_done, 0),
      check("jobs of rolled back transactions in the log", ghosts, 0),
      check("failures in the log", failures, 0),
      check("jobs left in the queue", queued, 0),
    ],
  };
}

/**
 * All times are those of one machine's clock. The server itself dates a commit, just before it makes it durable, so the
 * write to disk counts; the worker dates the start of a job as the first thing its handler does, and the server the
 * outcome as it writes it. Not by the transaction that wrote a row of the log: it is written anew when it is counted.
 */
async function measure(
  sql: Sql,
  ledger: Ledger,
): Promise<{ toStart: Spread; toDone: Spread; seconds: number }> {
  const articles = [...ledger.published.keys()];
  const publications = [...ledger.published.values()];
  const jobs = publications.map(({ jobId }) => String(jobId));
  const transactions = publications.map(({ transaction }) => transaction);
  const [times] = await sql<
    { start_p50: number; start_p95: number; done_p50: number; done_p95: number; seconds: number }[]
  >`
    WITH times AS (
      SELECT committed.at AS committed_at, done.created AS done_at,
        extract(epoch FROM article.index_started_at - committed.at) * 1000 AS to_start,
        extract(epoch FROM done.created - committed.at) * 1000 AS to_done
      FROM unnest(${articles}::bigint[], ${jobs}::bigint[], ${transactions}::text[])
        AS ledger(article_id, job_id, transaction)
      CROSS JOIN LATERAL (SELECT pg_xact_commit_timestamp(transaction::xid) AS at) AS committed
      JOIN article ON article.id = article_id
      JOIN pgqueuer_log AS done ON done.job_id = ledger.job_id AND done.status = 'successful'
    )
    SELECT
      percentile_cont(0.50) WITHIN GROUP (ORDER BY to_start::float8) AS start_p50,
      percentile_cont(0.95) WITHIN GROUP (ORDER BY to_start::float8) AS start_p95,
      percentile_cont(0.50) WITHIN GROUP (ORDER BY to_done::float8) AS done_p50,
      percentile_cont(0.95) WITHIN GROUP (ORDER BY to_done::float8) AS done_p95,
      extract(epoch FROM max(done_at) - min(committed_at))::float8 AS seconds
    FROM times`;
  const { start_p50, start_p95, done_p50, done_p95, seconds } = times!;
  return {
    toStart: { p50: start_p50, p95: start_p95 },
    toDone: { p50: done_p50, p95: done_p95 },
    seconds,
  };
}

function countById(rows: readonly LogRow[]): Map<JobId, number> {
  const counts = new Map<JobId, number>();
  for (const { job_id } of rows) counts.set(Number(job_id), (counts.get(Number(job_id)) ?? 0) + 1);
  return counts;
}
