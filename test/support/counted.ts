/** What of the log is counted in the statistics. */
import type { TestQueue } from "./queue.ts";

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
