/** The pooler in front of the database, where `test/pgbouncer/run.ts` has put one: who goes through it, and how they listen. */
import process from "node:process";
import type { Duration, PgQueuer } from "../../mod.ts";

/** Between two looks of a worker that does not listen. Its default of 30 s would make each test wait for one. */
const POLL_MS = 100;

/** The DSN of producers and workers, if there is a pooler. Statements are not prepared by it. */
export const POOLED_DSN: string | undefined = process.env["PGQ_TEST_POOLED_DSN"] || undefined;

/** Whether workers must poll: there is a pooler, and no way past it. */
export const POLLS_ONLY: boolean = POOLED_DSN !== undefined &&
  process.env["PGQUEUER_LISTEN_DSN"] === "none";

/** A `dequeueTimeout` that no test lives to see, so that what happens is not owed to a poll. Unless there is nothing else. */
export const NO_POLL: Duration = POLLS_ONLY ? POLL_MS : { minutes: 10 };

/** Whether a DSN leads through the pooler, by another host perhaps. */
export function isPooled(dsn: string): boolean {
  return new URL(dsn).searchParams.get("prepare") === "false";
}

/** Where who connects by a DSN is to listen: `null` for nowhere. */
export function listenDsnOf(dsn: string): string | null {
  if (!isPooled(dsn)) return dsn;
  return POLLS_ONLY ? null : process.env["PGQUEUER_LISTEN_DSN"] ?? dsn;
}

/** Has a worker look often where it cannot listen, unless its test says how often. */
export function pollingOften(pgq: PgQueuer): PgQueuer {
  if (!POLLS_ONLY) return pgq;
  const run = pgq.run.bind(pgq);
  pgq.run = (options) => run({ dequeueTimeout: POLL_MS, ...options });
  return pgq;
}
