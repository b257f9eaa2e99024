/** What the index is for. */
import type { Sql } from "postgres";

/** An article that answers a question. */
export interface Hit {
  readonly title: string;
  /** Higher fits better. */
  readonly rank: number;
  /** The passage that fits, with the words of the question in `*stars*`. */
  readonly passage: string;
}

/** Finds the published articles that fit a question best. Takes what people type: words, "phrases", -without, or. */
export async function search(sql: Sql, question: string, limit: number): Promise<Hit[]> {
  // The passages of the best few only: ts_headline() reads the whole text.
  const hits = await sql<Hit[]>`
    SELECT title, rank, ts_headline('english', body, query,
      'StartSel=*, StopSel=*, MaxWords=14, MinWords=7') AS passage
    FROM (
      SELECT title, body, query, ts_rank(search, query) AS rank
      FROM article, websearch_to_tsquery('english', ${question}) AS query
      WHERE search @@ query AND status = 'published'
      ORDER BY rank DESC, id
      LIMIT ${limit}
    ) AS best
    ORDER BY rank DESC`;
  return Array.from(hits);
}
