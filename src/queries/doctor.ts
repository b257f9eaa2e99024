import type { Driver } from "../driver.ts";
import { SchemaError } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { type StatementName, Statements } from "../sql/render.ts";
import { explained, sqlState } from "./database_error.ts";
import { Overview, type ScheduleInfo, type Status } from "./overview.ts";
import { catalogOf, type CatalogRow, differencesOf } from "./schema_differences.ts";
import { parametersOf } from "./schema_parts.ts";

/** Where to stop counting rows of the log. */
export const PENDING_LIMIT = 200_000;

/** What of the server's state slows or stops a queue. */
export interface ServerState {
  readonly standby: boolean;
  readonly readonly: boolean;
  readonly autovacuum: boolean;
  /** How full the queue of notifications is, from 0 to 1. */
  readonly notifications: number;
  /** Whether the trigger's function sends to the channel that workers listen to. */
  readonly notifies: boolean;
  readonly schema: string;
  /** Milliseconds by which this machine's clock is ahead of the database's, and how exactly that is known. */
  readonly skewMs: number;
  readonly skewErrorMs: number;
}

/** A table with its indexes. */
export interface TableState {
  readonly name: string;
  readonly size: number;
  readonly live: number;
  readonly dead: number;
  readonly vacuumed: Date | null;
  /** Autovacuum is turned off for it. */
  readonly unvacuumed: boolean;
  /** A crash of the server empties it. */
  readonly unlogged: boolean;
}

/** Something that keeps dead rows from being removed. */
export interface SnapshotHolder {
  readonly kind: "session" | "prepared transaction" | "replication slot";
  readonly name: string;
  /** In seconds; `null` where it is not known. */
  readonly age: number | null;
  readonly about: string;
}

/** What the log holds. */
export interface LogState {
  /** Age of the oldest row in seconds; `null` if there is none. */
  readonly oldest: number | null;
  /** Rows that no aggregation has counted, at most {@linkcode PENDING_LIMIT}. */
  readonly pending: number;
}

/** What is wrong with the schema. */
export interface SchemaState {
  /** Nothing of ours is there. */
  readonly absent: boolean;
  /** As {@linkcode Queries.verify} says. */
  readonly missing: readonly string[];
  /** What no worker misses, such as `index pgqueuer_log_status dropped`. */
  readonly advised: readonly string[];
  /** Storage parameters that somebody has set to another value than `install` does. */
  readonly parameters: readonly { name: string; value: string; wanted: string }[];
  /** Names of indexes that are left of a build that failed. */
  readonly invalidIndexes: readonly string[];
  /** The trigger is there and turned off. */
  readonly disabledTrigger: boolean;
}

/** A part of the findings, or why there is none. */
export type Examined<T> =
  | { readonly found: T }
  | {
    readonly error: unknown;
    /** The role may not read it. */
    readonly denied: boolean;
  };

/** Everything that the checks look at. */
export interface Examination {
  readonly settings: Settings;
  readonly schema: SchemaState;
  readonly server: Examined<ServerState>;
  readonly tables: Examined<readonly TableState[]>;
  readonly snapshots: Examined<readonly SnapshotHolder[]>;
  readonly log: Examined<LogState>;
  readonly status: Examined<Status>;
  readonly schedules: Examined<readonly ScheduleInfo[]>;
}

/** Reads what can be wrong with a queue. Judges nothing. */
export class Doctor {
  readonly #driver: Driver;
  readonly #settings: Settings;
  readonly #sql: Statements;

  constructor(driver: Driver, settings: Settings) {
    this.#driver = driver;
    this.#settings = settings;
    this.#sql = new Statements(settings);
  }

  /**
   * Reads all. A part that cannot be read, since a table of an older release lacks a column or the role lacks a right, does
   * not stop the others.
   *
   * @param windowMs How far to look back for work that was done.
   */
  async examine(windowMs: number): Promise<Examination> {
    const overview = new Overview(this.#driver, this.#settings);
    const schema = await this.#schema();
    const examined = async <T>(read: () => Promise<T>): Promise<Examined<T>> => {
      try {
        return { found: await read() };
      } catch (error) {
        const denied = sqlState((error as Error).cause) === "42501";
        // What is missing is a finding of its own. Anything else is not for a doctor of queues.
        const isKnown = denied || schema.missing.length > 0 && error instanceof SchemaError;
        if (!isKnown) throw error;
        return { error, denied };
      }
    };
    // One after another: the command line has one connection.
    return {
      settings: this.#settings,
      schema,
      server: await examined(() => this.#server()),
      tables: await examined(() => this.#tables()),
      snapshots: await examined(() => this.#query<SnapshotHolder>("examine_snapshots")),
      log: await examined(async () =>
        (await this.#query<LogState>("examine_log", [PENDING_LIMIT]))[0]!
      ),
      status: await examined(() => overview.status(windowMs)),
      schedules: await examined(() => overview.schedules()),
    };
  }

  async #schema(): Promise<SchemaState> {
    const rows = await this.#query<CatalogRow>("inspect");
    const catalog = catalogOf(rows, this.#settings);
    const differences = differencesOf(catalog, this.#settings);
    const parts = (isAdvised: boolean): string[] =>
      differences.filter(({ weight }) => (weight === "advised") === isAdvised)
        .map(({ part }) => part);
    return {
      absent: !rows.some(({ kind }) => kind === "table"),
      missing: parts(false),
      advised: parts(true),
      parameters: Object.entries(parametersOf(this.#settings)).flatMap(([name, wanted]) => {
        const value = catalog.parameters.get(name);
        return value === undefined || value === wanted ? [] : [{ name, value, wanted }];
      }),
      invalidIndexes: rows.filter(({ kind, detail }) => kind === "index" && detail === "invalid")
        .map(({ name }) => name),
      disabledTrigger: rows.some(({ kind, detail }) => kind === "trigger" && detail === "off"),
    };
  }

  async #server(): Promise<ServerState> {
    const before = Date.now();
    const [row] = await this.#query<
      Omit<ServerState, "skewMs" | "skewErrorMs"> & { now: Date | string }
    >("examine_server");
    const after = Date.now();
    const { now, ...state } = row!;
    return {
      ...state,
      skewMs: (before + after) / 2 - new Date(now).getTime(),
      skewErrorMs: (after - before) / 2,
    };
  }

  async #tables(): Promise<TableState[]> {
    const rows = await this.#query<
      Omit<TableState, "vacuumed"> & { vacuumed: Date | string | null }
    >("examine_tables");
    return rows.map((row) => ({
      ...row,
      vacuumed: row.vacuumed === null ? null : new Date(row.vacuumed),
    }));
  }

  async #query<Row>(name: StatementName, parameters: readonly number[] = []): Promise<Row[]> {
    try {
      return await this.#driver.query<Row>(this.#sql.get(name), parameters);
    } catch (error) {
      throw explained(error, "examine the queue", this.#settings);
    }
  }
}
