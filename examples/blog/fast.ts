/** The class of workers for jobs that a user waits for: `pgq run examples/blog/fast.ts:main` */
import process from "node:process";
import { openWorkerDriver, PgQueuer } from "pgqueuer";
import { sendWelcome } from "./tasks.ts";

/** Makes the worker. It claims jobs of its own entrypoints only. */
export async function main(): Promise<PgQueuer> {
  const pgq = new PgQueuer(await openWorkerDriver(process.env.DATABASE_URL));
  pgq.entrypoint("send_welcome", { onFailure: "hold" }, sendWelcome);
  return pgq;
}
