/** A queue of its own for a test file: a random schema and prefix in the database that the wrapper chose. */
import { randomBytes } from "node:crypto";
import process from "node:process";
import postgres, { type Sql } from "postgres";
import {
  fromPostgresJs,
  openWorkerDriver,
  PgQueuer,
  type PgQueuerOptions,
  Queries,
} from "../../mod.ts";
import { pollingOften, POOLED_DSN } from "./pooler.ts";

/** The DSN of the test database. */
export function testDsn(): string {
  const dsn = process.env["PGQ_TEST_DSN"];
  if (dsn) return dsn;
  throw new Error(
    'PGQ_TEST_DSN is not set: run the tests with "npm test", which starts a database',
  );
}

/** One row of the log. */
export interface LogRow {
  job_id: number;
  status: string;
  entrypoint: string;
  traceback: Record<string, unknown> | null;
  created: Date;
}

/** One row of the queue table, as far as tests look at it. */
export interface QueueRow {
  id: number;
  status: string;
  priority: number;
  attempts: number;
  queue_manager_id: string | null;
}

/** A queue for tests. */
export interface TestQueue {
  readonly dsn: string;
  readonly sql: Sql;
  readonly names: { readonly schema: string; readonly prefix: string };
  readonly queries: Queries;
  /** `schema.table` of the queue and of the log, for `sql(…)`. */
  readonly table: string;
  readonly logTable: string;
  /** A worker on connections of its own. */
  worker(options?: PgQueuerOptions): Promise<PgQueuer>;
  /** The queue, by id. */
  rows(): Promise<QueueRow[]>;
  /** The log, oldest first. */
  log(): Promise<LogRow[]>;
  /** Statuses of one job's log rows, oldest first. */
  history(jobId: number): Promise<string[]>;
  /** Empties queue and log. */
  clear(): Promise<void>;
  /** Drops all of it. */
  close(): Promise<void>;
}

/** Makes an installed queue. */
export async function openTestQueue(given?: string): Promise<TestQueue> {
  const dsn = given ?? POOLED_DSN ?? testDsn();
  const id = randomBytes(4).toString("hex");
  const names = { schema: `test_${id}`, prefix: `t${id}_` };
  // What looks on and disturbs does so past a pooler. Who takes part goes through it.
  const sql = postgres(given ?? testDsn(), { max: 10, onnotice: () => {} });
  const producer = dsn === POOLED_DSN ? postgres(dsn, { max: 10, onnotice: () => {} }) : sql;
  const queries = new Queries(fromPostgresJs(producer), names);
  await queries.install();
  const table = `${names.schema}.${names.prefix}pgqueuer`;
  const logTable = `${table}_log`;
  const log = async (): Promise<LogRow[]> => {
    const rows = await sql<LogRow[]>`
      select job_id::int, status::text, entrypoint, traceback, created from ${
      sql(logTable)
    } order by id`;
    return Array.from(rows);
  };
  return {
    dsn,
    sql,
    names,
    queries,
    table,
    logTable,
    log,
    async worker(options = {}): Promise<PgQueuer> {
      return pollingOften(
        new PgQueuer(await openWorkerDriver(dsn), { ...names, ...options }),
      );
    },
    async rows(): Promise<QueueRow[]> {
      const rows = await sql<QueueRow[]>`
        select id::int, status::text, priority, attempts, queue_manager_id from ${
        sql(table)
      } order by id`;
      return Array.from(rows);
    },
    async history(jobId: number): Promise<string[]> {
      return (await log()).filter((row) => row.job_id === jobId).map((row) => row.status);
    },
    async clear(): Promise<void> {
      await sql`truncate ${sql(table)}`;
      await sql`truncate ${sql(logTable)}`;
    },
    async close(): Promise<void> {
      await sql`drop schema ${sql(names.schema)} cascade`;
      // A test that has failed may have left a connection reserved.
      await sql.end({ timeout: 5 });
      await producer.end({ timeout: 5 });
    },
  };
}

/** Bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Text of a payload. */
export function text(payload: Uint8Array | null): string {
  return payload === null ? "" : new TextDecoder().decode(payload);
}

/** Waits until `condition` gives something truthy, and gives that. The time-out only ends a test that has failed. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 45_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`Gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A promise and the function that resolves it. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => resolve = settle);
  return { promise, resolve };
}
