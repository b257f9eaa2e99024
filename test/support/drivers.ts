/** The drivers that a worker can run on, made alike for tests that each of them must pass. */
import pg from "pg";
import postgres from "postgres";
import {
  type Driver,
  type Duration,
  fromNodePostgres,
  fromPostgresJs,
  openWorkerDriver,
} from "../../mod.ts";

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
  const driver = fromNodePostgres(pool, rest);
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

async function postgresJs(dsn: string, options: DriverOptions = {}): Promise<OpenDriver> {
  const sql = postgres(dsn, {
    max: 3,
    onnotice: () => {},
    connection: { application_name: options.applicationName ?? "" },
  });
  const driver = fromPostgresJs(sql);
  return await Promise.resolve({
    driver,
    own: (text) => sql.unsafe(text),
    async end() {
      await driver.close();
      await sql.end({ timeout: 1 });
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
