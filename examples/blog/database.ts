/** The connections of the application. A worker's own are opened by `openWorkerDriver()`. */
import process from "node:process";
import { normalizeDsn } from "pgqueuer";
import postgres, { type Sql } from "postgres";

let pool: Sql | undefined;

/** The application's pool, opened at the first call: importing a task needs no database. */
export function database(): Sql {
  return pool ??= postgres(normalizeDsn(process.env.DATABASE_URL ?? ""), {
    max: 4,
    onnotice: () => {},
  });
}
