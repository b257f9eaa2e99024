/** The producers. The row and its job are written in one transaction: both exist, or neither does. */
import { getQueue, type JobId } from "pgqueuer";
import type { TransactionSql } from "postgres";

/**
 * Publishes a draft and has it indexed.
 *
 * @param tx The caller's open transaction. Nothing happens until it commits.
 * @param id Of the article.
 * @returns Id of the job that indexes it.
 * @throws {Error} If there is no such draft.
 */
export async function publish(tx: TransactionSql, id: string): Promise<JobId | null> {
  const { count } = await tx`
    UPDATE article SET status = 'published', published_at = now()
    WHERE id = ${id} AND status = 'draft'`;
  if (count === 0) throw new Error(`Cannot publish article ${id} as it must be a draft`);
  return await getQueue(tx).enqueue("index_article", new TextEncoder().encode(id));
}

/**
 * Adds a user and has a welcome sent.
 *
 * @param tx The caller's open transaction. Nothing happens until it commits.
 * @param email Where the welcome goes.
 * @returns Id of the job that sends it.
 */
export async function signUp(tx: TransactionSql, email: string): Promise<JobId | null> {
  const [user] = await tx<{ id: string }[]>`
    INSERT INTO app_user (email) VALUES (${email}) RETURNING id`;
  return await getQueue(tx).enqueue("send_welcome", new TextEncoder().encode(user!.id));
}
