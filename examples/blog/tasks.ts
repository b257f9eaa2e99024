/**
 * The handlers. Plain functions, so that a test calls them with a job written by hand.
 *
 * A job may run more than once, after a crash for instance: each of these can be repeated without harm.
 */
import type { Job } from "pgqueuer";
import { database } from "./database.ts";

/** Makes a published article searchable. */
export async function indexArticle(job: Job): Promise<void> {
  const startedAt = new Date();
  const id = idOf(job);
  // An article that was deleted or withdrawn since is no error: there is nothing left to do.
  await database()`
    UPDATE article
    SET search = setweight(to_tsvector('english', title), 'A')
          || setweight(to_tsvector('english', body), 'B'),
        index_started_at = ${startedAt}
    WHERE id = ${id} AND status = 'published'`;
}

/** Welcomes a new user, once. */
export async function sendWelcome(job: Job): Promise<void> {
  const id = idOf(job);
  await database().begin(async (tx) => {
    // Locked until the mail is out, so that a second run of this job waits and then finds it done.
    const [user] = await tx<{ email: string }[]>`
      SELECT email FROM app_user WHERE id = ${id} AND welcomed_at IS NULL FOR UPDATE`;
    if (user === undefined) return;
    await sendMail(user.email, "Welcome to the blog");
    await tx`UPDATE app_user SET welcomed_at = now() WHERE id = ${id}`;
  });
}

/** The payload is bytes; the producer put the id there as UTF-8. */
function idOf(job: Job): string {
  const id = new TextDecoder().decode(job.payload ?? new Uint8Array());
  if (/^\d+$/.test(id)) return id;
  throw new TypeError(
    `Cannot run ${job.entrypoint} as the payload must be an id: current value is "${id}"`,
  );
}

/** Stands for your mail provider. */
async function sendMail(_to: string, _subject: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
