/** What of the log is counted in the statistics, and who is in the way of counting. */
import type { TransactionSql } from "postgres";
import { deferred, type TestQueue } from "./queue.ts";

/** What a session does in a transaction that goes on. */
export type Rival = (tx: TransactionSql) => Promise<unknown>;

/** Runs `act` while the transaction of another session is open. */
export async function besideRival<Result>(
  { sql }: TestQueue,
  rival: Rival,
  act: () => Promise<Result>,
): Promise<Result> {
  const [ready, end] = [deferred(), deferred()];
  const open = sql.begin(async (tx) => {
    await rival(tx);
    ready.resolve();
    await end.promise;
  });
  await Promise.race([ready.promise, open]);
  try {
    return await act();
  } finally {
    end.resolve();
    await open;
  }
}

/** Inserts the counts of this second and the next ones, as what is written a moment later adds to. */
export function insertCounts({ table }: TestQueue, status: "queued" | "picked"): Rival {
  return (tx) =>
    tx`
      insert into ${tx(`${table}_statistics`)} (created, entrypoint, priority, status, count)
      select date_trunc('second', now()) + n * interval '1 second', 'work', 0, ${status}, 0
      from generate_series(0, 60) as n`;
}

/** Locks the table of the statistics. */
export function lockCounts({ table }: TestQueue, mode: string): Rival {
  return (tx) => tx.unsafe(`lock table ${table}_statistics in ${mode} mode`);
}

/** How many log rows of each status are flagged as counted, and how many are not. */
export async function flags(
  { sql, logTable }: TestQueue,
): Promise<Record<string, [counted: number, not: number]>> {
  const rows = await sql<{ status: string; counted: number; not: number }[]>`
    select status::text, count(*) filter (where aggregated)::int as counted,
      count(*) filter (where not aggregated)::int as not
    from ${sql(logTable)} group by status`;
  return Object.fromEntries(rows.map((row) => [row.status, [row.counted, row.not]]));
}

/** Where the statistics and the flagged rows of the log differ: nowhere, if each is counted once and in its second. */
export function differences({ sql, table, logTable }: TestQueue): Promise<readonly unknown[]> {
  return sql`
    select * from (
      select date_trunc('second', created) as second, entrypoint, priority, status::text, count(*)::int
      from ${sql(logTable)} where aggregated group by 1, 2, 3, 4
    ) as flagged full join (
      select created as second, entrypoint, priority, status::text, count::int from ${
    sql(`${table}_statistics`)
  }
    ) as counted using (second, entrypoint, priority, status, count)
    where flagged is null or counted is null`;
}
