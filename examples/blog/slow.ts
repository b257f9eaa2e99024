/** The class of workers for jobs that may wait: `pgq run examples/blog/slow.ts:main` */
import process from "node:process";
import { openWorkerDriver, PgQueuer } from "pgqueuer";
import { indexArticle } from "./tasks.ts";

/** Makes the worker. It claims jobs of its own entrypoints only. */
export async function main(): Promise<PgQueuer> {
  const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));
  pgq.entrypoint("index_article", indexArticle);
  return pgq;
}
