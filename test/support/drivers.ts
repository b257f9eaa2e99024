/** The drivers that a worker can run on, made alike for tests that each of them must pass. */
import pg from "pg";
import postgres, { type Sql } from "postgres";
import {
  type Driver,
  type Duration,
  fromNodePostgres,
  fromPostgresJs,
  type NodePostgresOptions,
  openWorkerDriver,
} from "../../mod.ts";
import { isPooled, listenDsnOf } from "./pooler.ts";

/** How a test wants its connections. */
export interface DriverOptions {
  applicationName?: string;
  statementTimeout?: Duration;
  /** Of the caller's pool. A worker needs no more than three, but for transactions. */
  poolSize?: number;
}

/** A driver, and what it stands on. */
export interface OpenDriver {
  readonly driver: Driver;
  /** Runs a statement on the client of the caller, if there is one. */
  readonly own?: (text: string) => Promise<unknown>;
  /** Closes the driver, and the client that the caller owns. */
  end(): Promise<void>;
}

type Open = (dsn: string, options?: DriverOptions) => Promise<OpenDriver>;

async function workerDriver(dsn: string, options: DriverOptions = {}): Promise<OpenDriver> {
  const { poolSize: _, ...rest } = options;
  const driver = await openWorkerDriver(dsn, rest);
  return { driver, end: () => driver.close() };
}

async function nodePostgres(dsn: string, options: DriverOptions = {}): Promise<OpenDriver> {
  const { applicationName, poolSize = 3, ...rest } = options;
  const pool = new pg.Pool({
    connectionString: dsn,
    max: poolSize,
    // Else one that is frozen while it is made keeps its place for ever.
    connectionTimeoutMillis: 5_000,
    ...(applicationName && { application_name: applicationName }),
  });
  const driver = fromNodePostgres(pool, { ...rest, ...poolerOptions(dsn, applicationName) });
  return await Promise.resolve({
    driver,
    own: (text) => pool.query(text),
    async end() {
      await driver.close();
      // What is lost from here on is none of ours.
      pool.on("error", () => {});
      await pool.end();
    },
  });
}

/** What `fromNodePostgres` must be told where the pool of a DSN leads through a pooler. */
export function poolerOptions(dsn: string, applicationName?: string): NodePostgresOptions {
  if (!isPooled(dsn)) return {};
  const listenDsn = listenDsnOf(dsn);
  const client = (connectionString: string): pg.Client =>
    new pg.Client({
      connectionString,
      ...(applicationName && { application_name: applicationName }),
    });
  return { prepare: false, listenClient: listenDsn === null ? null : () => client(listenDsn) };
}

async function postgresJs(dsn: string, options: DriverOptions = {}): Promise<OpenDriver> {
  const connect = (to: string, max: number): Sql =>
    postgres(to, {
      max,
      onnotice: () => {},
      connection: { application_name: options.applicationName ?? "" },
    });
  const sql = connect(dsn, 3);
  const listenDsn = listenDsnOf(dsn);
  const listenClient = !isPooled(dsn) ? sql : listenDsn === null ? null : connect(listenDsn, 1);
  const driver = fromPostgresJs(sql, { listenClient });
  return await Promise.resolve({
    driver,
    own: (text) => sql.unsafe(text),
    async end() {
      await driver.close();
      await Promise.all([sql, listenClient].map((client) => client?.end({ timeout: 1 })));
    },
  });
}

/** Drivers that notice a connection that gives neither answer nor error. */
export const WATCHFUL_DRIVERS: readonly (readonly [name: string, open: Open])[] = [
  ["openWorkerDriver()", workerDriver],
  ["fromNodePostgres()", nodePostgres],
];

/** All drivers. postgres.js cannot give up one connection of several, so its client is of the caller to watch. */
export const DRIVERS: readonly (readonly [name: string, open: Open])[] = [
  ...WATCHFUL_DRIVERS,
  ["fromPostgresJs()", postgresJs],
];
