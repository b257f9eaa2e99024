/** One worker for all jobs: `pgq run examples/blog/main.ts:main` */
import process from "node:process";
import { openWorkerDriver, PgQueuer } from "pgqueuer";
import { indexArticle, sendWelcome } from "./tasks.ts";

/** Makes the worker. */
export async function main(): Promise<PgQueuer> {
  const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));

  pgq.entrypoint("index_article", indexArticle);
  pgq.entrypoint("send_welcome", {
    // What the mail server allows, counted over all workers.
    concurrencyLimit: 2,
    requestsPerSecond: 100,
    retry: { maxAttempts: 3 },
    // A job whose mail could not be sent is kept with status "failed", for somebody to look at.
    onFailure: "hold",
  }, sendWelcome);

  return pgq;
}
