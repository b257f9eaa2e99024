/** One worker for all jobs: `pgq run examples/blog/main.ts:main` */
import process from "node:process";
import { openWorkerDriver, PgQueuer } from "pgqueuer";
import { indexArticle, sendWelcome } from "./tasks.ts";

/** Makes the worker. */
export async function main(): Promise<PgQueuer> {
  const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));

  pgq.entrypoint("index_article", indexArticle);
  // A job whose mail could not be sent is kept with status "failed", for somebody to look at.
  pgq.entrypoint("send_welcome", { onFailure: "hold" }, sendWelcome);

  return pgq;
}
