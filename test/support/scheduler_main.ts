/** A scheduler for the tests of G11. Each fire writes a row, by default in a transaction of its own. */
import "./ends_with_parent.ts";
import process from "node:process";
import postgres from "postgres";
import { openWorkerDriver, PgQueuer } from "../../mod.ts";

const { dsn, names, heartbeatTimeoutMs, shutdownTimeoutMs, handlerMs, cron, enqueue } = JSON.parse(
  process.env["SCHEDULER"]!,
) as {
  dsn: string;
  names: { schema: string; prefix: string };
  heartbeatTimeoutMs: number;
  shutdownTimeoutMs: number;
  handlerMs: number;
  cron: string;
  enqueue: boolean;
};

const log = (message: string): void => console.error(message);
const pgq = new PgQueuer(await openWorkerDriver(dsn, { statementTimeout: 3_000 }), {
  ...names,
  logger: { debug: log, info: log, warn: log, error: log },
});
const sql = postgres(dsn, { max: 2, onnotice: () => {} });

if (enqueue) {
  pgq.schedule("tick", cron, { enqueue: true, missed: "all" });
  pgq.entrypoint("tick", () => {});
} else {
  pgq.schedule("tick", cron, async ({ due }) => {
    const fires = sql(`${names.schema}.fires`);
    await sql`insert into ${fires} (due, pid) values (${due}, ${process.pid})`;
    await new Promise((resolve) => setTimeout(resolve, handlerMs));
    await sql`update ${fires} set ended = clock_timestamp() where due = ${due} and pid = ${process.pid}`;
  });
}

process.on("SIGTERM", () => void pgq.stop());
const run = pgq.run({ heartbeatTimeout: heartbeatTimeoutMs, shutdownTimeout: shutdownTimeoutMs });
console.log("ready");
await run;
await sql.end({ timeout: 1 });
process.exit(0);
