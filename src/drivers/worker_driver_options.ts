import { normalizeDsn } from "../dsn.ts";
import { type Duration, toMs } from "../duration.ts";
import { environmentOf } from "../environment.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { integerAtLeast, knownOptions } from "../validate.ts";

const LISTEN_DSN = "PGQUEUER_LISTEN_DSN";

/** Options for `openWorkerDriver()`. */
export interface WorkerDriverOptions {
  /**
   * Most connections for statements. One claims while another acknowledges and a third renews leases, so more than three
   * are never in use. Listening has one of its own beside them.
   *
   * @default {3}
   */
  maxConnections?: number;
  /**
   * Most connections for handlers of transactional entrypoints, each of which has one to itself while it runs. They are
   * opened when they are needed, beside the others. A worker with such an entrypoint runs no more handlers at the same
   * time, whatever its `maxConcurrentTasks`, so that none waits for a connection.
   *
   * @default {10}
   */
  maxTransactions?: number;
  /** Longest wait for a connection to be made. @default `connect_timeout` of `dsn`, else {{ seconds: 10 }} */
  connectTimeout?: Duration;
  /**
   * Longest wait for the answer to a statement. After it the connections are thought dead (a half-open socket gives no
   * error) and are replaced. Keep it below `heartbeatTimeout`, so that a worker finds out before it loses its jobs.
   *
   * @default {{ seconds: 15 }}
   */
  statementTimeout?: Duration;
  /**
   * Where to listen, if `dsn` leads through a pooler such as PgBouncer in transaction mode, which loses LISTEN: the address
   * of the server itself, for one connection. `null`: it does not listen, and workers
   * poll every `dequeueTimeout`. Such a
   * pooler also loses prepared statements: add `pgbouncer=true` or `prepare=false` to `dsn`.
   *
   * @default `PGQUEUER_LISTEN_DSN`, where `none` means `null`, else `dsn`
   */
  listenDsn?: string | null | undefined;
  /** Name that `pg_stat_activity` shows. @default {"pgqueuer"} */
  applicationName?: string;
  /** Is told when connections are replaced and which parameters of the DSN were dropped. @default nobody */
  logger?: Logger;
}

/** {@linkcode WorkerDriverOptions} with every default filled in and every duration in milliseconds. */
export interface ResolvedDriverOptions {
  readonly dsn: string;
  readonly listenDsn: string | null;
  readonly maxConnections: number;
  readonly maxTransactions: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly applicationName: string;
  readonly logger: Logger;
}

/**
 * Checks options and fills them in.
 *
 * @throws {TypeError} If a DSN is none, or an option is unknown or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function resolveDriverOptions(
  dsn: string | undefined,
  options: WorkerDriverOptions,
): ResolvedDriverOptions {
  knownOptions("options", options, [
    "maxConnections",
    "maxTransactions",
    "connectTimeout",
    "statementTimeout",
    "listenDsn",
    "applicationName",
    "logger",
  ]);
  const logger = options.logger ?? silentLogger;
  const normalized = (given: string | undefined, name: string): string =>
    normalizeDsn(given as string, {
      onDropped: (parameter, reason) =>
        logger.warn(`Ignoring "${parameter}" of ${name}: ${reason}`),
    });
  const main = normalized(dsn, "the DSN");
  const listenDsn = chooseListenDsn(options.listenDsn);
  return {
    dsn: main,
    listenDsn: listenDsn === undefined ? main : listenDsn && normalized(listenDsn, "listenDsn"),
    maxConnections: integerAtLeast("maxConnections", options.maxConnections ?? 3, 1),
    maxTransactions: integerAtLeast("maxTransactions", options.maxTransactions ?? 10, 1),
    connectTimeoutMs: toMs("connectTimeout", options.connectTimeout ?? connectTimeoutOf(main)),
    statementTimeoutMs: toMs("statementTimeout", options.statementTimeout ?? { seconds: 15 }),
    applicationName: options.applicationName ?? "pgqueuer",
    logger,
  };
}

/** In seconds. `0` is no limit there: a worker must find out all the same. */
function connectTimeoutOf(dsn: string): Duration {
  return { seconds: Number(/[?&]connect_timeout=([\d.]+)/.exec(dsn)?.[1]) || 10 };
}

/** Where to listen, as far as that is given: by the option or by the environment. */
function chooseListenDsn(given: string | null | undefined): string | null | undefined {
  if (given !== undefined) return given;
  const variable = environmentOf([LISTEN_DSN])[LISTEN_DSN];
  if (!variable) return undefined;
  return /^none$/i.test(variable) ? null : variable;
}
