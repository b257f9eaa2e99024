import { openWorkerDriver, type WorkerDriver } from "../drivers/worker_driver.ts";
import { normalizeDsn } from "../dsn.ts";
import { Queries } from "../queries/queries.ts";
import { resolveSettings, type Settings, type SettingsOptions } from "../settings.ts";
import { CliError, type Input, type Surroundings, UsageError } from "./command.ts";
import { createLog } from "./log.ts";

/** A day: longer is a mistake, and a timer could not hold it for ever. */
const MAX_CONNECT_TIMEOUT_S = 86_400;

/** Variables with a DSN, in the order in which they count. */
const DSN_VARIABLES = ["PGQUEUER_DSN", "PGDSN", "DATABASE_URL"] as const;

/** Those that Python's `pgq` reads too, which takes PGDSN first: where they differ, the two look at different databases. */
const PYTHON_VARIABLES: readonly string[] = ["PGQUEUER_DSN", "PGDSN"];

/** Variables of libpq that say where the database is: with one of them no DSN is needed. */
const TARGET_VARIABLES = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"];

/** What each variable of libpq is called in a DSN. */
const LIBPQ: Readonly<Record<string, string>> = {
  PGHOST: "host",
  PGHOSTADDR: "hostaddr",
  PGPORT: "port",
  PGDATABASE: "dbname",
  PGUSER: "user",
  PGPASSWORD: "password",
  PGSERVICE: "service",
  PGSSLMODE: "sslmode",
  PGCONNECT_TIMEOUT: "connect_timeout",
  PGTARGETSESSIONATTRS: "target_session_attrs",
};

/** Where the database is, and who said so. */
export interface ChosenDsn {
  readonly dsn: string;
  /** `--pg-dsn`, or the name of a variable. */
  readonly source: string;
  /** What of the DSN nothing here can obey, and which variable is not read: lines for the user. */
  readonly dropped: readonly string[];
}

/**
 * Chooses the DSN. Gives `undefined` where nothing names a database.
 *
 * @throws {UsageError} If `--pg-dsn` is no DSN.
 * @throws {CliError} If a variable is none.
 */
export function chooseDsn(
  flags: Input["flags"],
  env: Surroundings["env"],
): ChosenDsn | undefined {
  if (flags.pgDsn !== undefined) return normalized(String(flags.pgDsn), "--pg-dsn", UsageError);

  // A variable set to nothing is how a shell or a container unsets one.
  const [variable, ...others] = DSN_VARIABLES.filter((name) => env[name]);
  if (variable !== undefined) {
    const chosen = normalized(env[variable]!, variable, CliError);
    const ignored = others.filter((name) => PYTHON_VARIABLES.includes(name))
      .filter((name) => env[name] !== env[variable]);
    const notes = ignored.map((name) => `Ignoring ${name} as ${variable} names another database`);
    return { ...chosen, dropped: [...chosen.dropped, ...notes] };
  }

  const source = TARGET_VARIABLES.find((name) => env[name]);
  if (source === undefined) return undefined;
  const parameters = new URLSearchParams();
  for (const [name, parameter] of Object.entries(LIBPQ)) {
    if (env[name]) parameters.set(parameter, env[name]);
  }
  return normalized(`postgresql://?${parameters}`, source, CliError);
}

function normalized(
  text: string,
  source: string,
  Refusal: typeof UsageError | typeof CliError,
): ChosenDsn {
  const dropped: string[] = [];
  try {
    const dsn = normalizeDsn(text, {
      onDropped: (parameter, reason) =>
        dropped.push(`Ignoring "${parameter}" of ${source}: ${reason}`),
    });
    return { dsn, source, dropped };
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new Refusal(`${cause.message} (from ${source})`, { cause });
  }
}

/**
 * Where to listen, if not there: past a pooler, or `null` for nowhere. `undefined` where nobody says so.
 *
 * @throws {UsageError} If `--listen-dsn` is neither a DSN nor `none`.
 * @throws {CliError} If the variable is neither.
 */
export function chooseListenDsn(
  flags: Input["flags"],
  env: Surroundings["env"],
): ChosenDsn | null | undefined {
  const given = flags.listenDsn === undefined ? env.PGQUEUER_LISTEN_DSN : String(flags.listenDsn);
  if (flags.listenDsn === undefined && !given) return undefined;
  if (/^none$/i.test(given!)) return null;
  return flags.listenDsn === undefined
    ? normalized(given!, "PGQUEUER_LISTEN_DSN", CliError)
    : normalized(given!, "--listen-dsn", UsageError);
}

/** The same, where a database must be named. */
export function requireDsn(flags: Input["flags"], env: Surroundings["env"]): ChosenDsn {
  const chosen = chooseDsn(flags, env);
  if (chosen !== undefined) return chosen;
  throw new UsageError(
    "Cannot connect as no database is named: give --pg-dsn postgresql://user:password@host:5432/database, or set PGQUEUER_DSN or DATABASE_URL",
  );
}

/**
 * Names of the tables, from flags and environment.
 *
 * @throws {UsageError} If a flag is wrong.
 * @throws {CliError} If a variable is.
 */
export function chooseSettings(
  flags: Input["flags"],
  env: Surroundings["env"],
  more: SettingsOptions = {},
): Settings {
  const options = { ...more, ...settingsFlags(flags) };
  try {
    return resolveSettings(options, env);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    try {
      resolveSettings(options, {});
    } catch {
      throw new UsageError(cause.message, { cause });
    }
    throw new CliError(`${cause.message} (from the environment)`, { cause });
  }
}

function settingsFlags(flags: Input["flags"]): SettingsOptions {
  return {
    ...(flags.prefix === undefined ? {} : { prefix: String(flags.prefix) }),
    ...(flags.schema === undefined ? {} : { schema: String(flags.schema) }),
  };
}

/** Seconds, as the Python project reads them. It wins over `connect_timeout` of the DSN there and here. */
function connectTimeoutOf(env: Surroundings["env"]): { connectTimeout?: number } {
  const text = env.PGQUEUER_CONNECT_TIMEOUT;
  if (!text) return {};
  const seconds = Number(text);
  if (seconds > 0 && seconds <= MAX_CONNECT_TIMEOUT_S) return { connectTimeout: seconds * 1_000 };
  throw new CliError(
    `Cannot use "PGQUEUER_CONNECT_TIMEOUT" as it must be a number of seconds > 0 and <= ${MAX_CONNECT_TIMEOUT_S}: current value is "${text}"`,
  );
}

/** A statement over all of a long queue or log may take its time; Ctrl-C ends it too. */
const STATEMENT_TIMEOUT_MS = 300_000;

/** A database, and what is asked of it. */
export interface Database {
  readonly driver: WorkerDriver;
  readonly settings: Settings;
  readonly queries: Queries;
}

/** Runs `work` on the database that the command line or the environment names, then closes the connection. */
export async function withDatabase<T>(
  { flags }: Input,
  { env, say }: Surroundings,
  work: (database: Database) => Promise<T>,
  more: SettingsOptions = {},
): Promise<T> {
  const settings = chooseSettings(flags, env, more);
  const { dsn, dropped } = requireDsn(flags, env);
  const listen = chooseListenDsn(flags, env);
  for (const line of [...dropped, ...listen?.dropped ?? []]) say(line);

  const driver = await openWorkerDriver(dsn, {
    maxConnections: 1,
    listenDsn: listen === undefined ? dsn : listen?.dsn ?? null,
    statementTimeout: STATEMENT_TIMEOUT_MS,
    ...connectTimeoutOf(env),
    applicationName: env.PGQUEUER_APPLICATION_NAME || "pgq",
    logger: createLog("warning", say),
  });
  try {
    return await work({ driver, settings, queries: new Queries(driver, settings) });
  } finally {
    await driver.close();
  }
}

/** The same, for work that needs no more than {@linkcode Queries}. */
export function withQueries<T>(
  input: Input,
  surroundings: Surroundings,
  work: (queries: Queries) => Promise<T>,
  more: SettingsOptions = {},
): Promise<T> {
  return withDatabase(input, surroundings, ({ queries }) => work(queries), more);
}
