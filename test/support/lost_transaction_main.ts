/** A program of a user whose connection is lost inside `sql.begin()`, and that does not know of it. */
import process from "node:process";
import postgres from "postgres";

const dsn = process.env["DSN"]!;
const sql = postgres(dsn, { max: 1 });
const other = postgres(dsn, { max: 1 });

let hear!: () => void;
const heard = new Promise<void>((resolve) => hear = resolve);
const ended = sql.begin(async (tx) => {
  const [row] = await tx`select pg_backend_pid() as pid`;
  await other`select pg_terminate_backend(${row!["pid"]})`;
  // It has heard of the end by then: begin() itself has rejected.
  await heard;
  throw new Error("as any handler may");
});
console.log("begin() rejects with", await ended.catch((error) => error.code));
hear();
await new Promise((resolve) => setTimeout(resolve, 500));
console.log("survived");
process.exit(0);
