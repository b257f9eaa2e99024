import {
  type ChannelListener,
  type Driver,
  type Executor,
  noSession,
  type Parameter,
  type Session,
  type Subscription,
  type Transactions,
} from "../driver.ts";
import { type Duration, toMs } from "../duration.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { statements } from "../sql/generated.ts";
import { integerAtLeast, knownOptions, shown } from "../validate.ts";
import {
  type ClientOf,
  destroy,
  guardUntilLent,
  inTime,
  isFatal,
  lend,
  type NodePostgresPool,
  type NodePostgresPoolClient,
  type Send,
} from "./node_postgres_connection.ts";
import { listenWith, type NodePostgresClient } from "./node_postgres_listener.ts";
import { NodePostgresTransactions } from "./node_postgres_transactions.ts";

/** Clients of the pool that a worker takes at a time for statements of its own. */
const OWN_CLIENTS = 3;

/** Options for {@linkcode fromNodePostgres}. */
export interface NodePostgresOptions {
  /**
   * Makes the client for LISTEN, not yet connected. Needed where the pool goes through a pooler in transaction mode, which
   * loses LISTEN: give it the address of the server itself. `null`: it does not listen, and workers poll.
   *
   * @default one like those of the pool, apart from the pool
   */
  listenClient?: (() => NodePostgresClient) | null | undefined;
  /**
   * Longest wait for a connection and the answer to a statement. After it the connection is thought dead (a half-open
   * socket gives no error) and is closed. Keep it below `heartbeatTimeout`.
   *
   * @default {{ seconds: 15 }}
   */
  statementTimeout?: Duration;
  /**
   * Most clients of the pool for handlers of transactional entrypoints, each of which has one to itself while it runs. A
   * worker with such an entrypoint runs no more handlers at the same time, whatever its `maxConcurrentTasks`. It takes
   * three for itself, so keep the pool larger than that.
   *
   * @default the size of the pool less three
   */
  maxTransactions?: number;
  /**
   * Whether statements are prepared, once per connection. Turn it off behind a pooler that does not know prepared
   * statements.
   *
   * @default {true}
   */
  prepare?: boolean;
  /** Is told of lost connections. @default nobody */
  logger?: Logger;
}

/**
 * Uses a pool of `pg`. The caller owns the pool and closes it. A worker takes up to three clients of it at a time, one more
 * for each handler of a transactional entrypoint that runs, and one beside it for LISTEN.
 *
 * Set `connectionTimeoutMillis` of the pool. Without it a connection whose server falls silent while it is made keeps its
 * place in the pool until the operating system gives up, and after a few of them there is none left.
 *
 * @example Usage
 * ```ts ignore
 * import pg from "pg";
 * import { fromNodePostgres, PgQueuer } from "pgqueuer";
 *
 * const pool = new pg.Pool({
 *   connectionString: process.env.DATABASE_URL,
 *   connectionTimeoutMillis: 10_000,
 * });
 * const pgq = new PgQueuer(fromNodePostgres(pool));
 * ```
 *
 * @param pool What `new pg.Pool(…)` gave.
 * @param options Time-outs, and how to listen.
 * @returns A driver for {@linkcode Queries} and {@linkcode PgQueuer}.
 * @throws {TypeError} If `pool` is no pool of `pg`, or an option is of the wrong kind.
 * @throws {RangeError} If an option is out of range.
 */
export function fromNodePostgres<Pool extends NodePostgresPool>(
  pool: Pool,
  options: NodePostgresOptions = {},
): Driver<ClientOf<Pool>> {
  if (typeof pool?.connect !== "function" || !("totalCount" in pool) || !("options" in pool)) {
    throw new TypeError(
      `Cannot use the pool as it must be what new pg.Pool(…) gave: current value is ${shown(pool)}`,
    );
  }
  knownOptions("options", options, [
    "listenClient",
    "statementTimeout",
    "maxTransactions",
    "prepare",
    "logger",
  ]);
  return new NodePostgresDriver(pool, options) as Driver as Driver<ClientOf<Pool>>;
}

class NodePostgresDriver implements Driver {
  readonly transactions: Transactions;
  readonly #pool: NodePostgresPool;
  readonly #prepare: boolean;
  readonly #timeoutMs: number;
  readonly #logger: Logger;
  readonly #listenClient: (() => NodePostgresClient) | null;
  /** Names of prepared statements. */
  readonly #names = new Map<string, string>();
  readonly #onError: (error: Error) => void;

  constructor(pool: NodePostgresPool, options: NodePostgresOptions) {
    this.#pool = pool;
    this.#prepare = options.prepare ?? true;
    this.#timeoutMs = toMs("statementTimeout", options.statementTimeout ?? { seconds: 15 });
    this.#logger = options.logger ?? silentLogger;
    this.#listenClient = options.listenClient === undefined
      ? () => clientOf(pool)
      : options.listenClient;
    this.#onError = (error) => this.#logger.debug(`The pool has lost a connection: ${error}`);
    pool.on("error", this.#onError);
    pool.on("connect", guardUntilLent);
    this.transactions = new NodePostgresTransactions(
      pool,
      integerAtLeast("maxTransactions", options.maxTransactions ?? spareClients(pool), 0),
      (send, text, parameters) => this.#query(send, text, parameters),
      this.#timeoutMs,
    );
  }

  query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
    return this.#lend((send) => this.#query<Row>(send, text, parameters));
  }

  transaction<Result>(work: (executor: Executor) => Promise<Result>): Promise<Result> {
    return this.#lend(async (send) => {
      await send({ text: statements.begin });
      try {
        const result = await work({
          query: (text, parameters) => this.#query(send, text, parameters),
        });
        const { command } = await send({ text: statements.commit });
        if (command !== statements.commit) {
          throw new Error("Cannot commit as a statement has failed");
        }
        return result;
      } catch (error) {
        // If that fails too the connection is closed, and the server rolls back.
        await send({ text: statements.rollback }).catch(() => {});
        throw error;
      }
    });
  }

  async script(text: string): Promise<void> {
    await this.#lend((send) => send({ text }));
  }

  async session<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    if (!this.#prepare) throw noSession();
    return await this.#lend((_, client) =>
      work({
        query: async <Row>(text: string, parameters: readonly Parameter[]) =>
          (await client.query({ text, values: [...parameters] })).rows as Row[],
        script: async (text) => void await client.query({ text }),
      })
    );
  }

  /** Whether it does not listen: `listenClient` is `null`. */
  get polls(): boolean {
    return this.#listenClient === null;
  }

  async listen(channel: string, listener: ChannelListener): Promise<Subscription> {
    if (this.#listenClient === null) {
      throw new Error('Cannot listen as there must be a client for it: "listenClient" is null');
    }
    return await listenWith(this.#listenClient, channel, listener, {
      timeoutMs: this.#timeoutMs,
      logger: this.#logger,
    });
  }

  close(): Promise<void> {
    this.#pool.removeListener("error", this.#onError);
    this.#pool.removeListener("connect", guardUntilLent);
    return Promise.resolve();
  }

  async #query<Row>(
    send: Send,
    text: string,
    parameters: readonly Parameter[],
  ): Promise<Row[]> {
    const name = this.#prepare ? { name: this.#nameOf(text) } : {};
    return (await send({ text, values: [...parameters], ...name })).rows as Row[];
  }

  /** Works with a client of the pool. One that gives no answer, or has lost its connection, is closed in place of given back. */
  async #lend<Result>(
    work: (send: Send, client: NodePostgresPoolClient) => Promise<Result>,
  ): Promise<Result> {
    const client = await lend(this.#pool, this.#timeoutMs);
    let broken = false;
    // Its errors reach the statement.
    const ignore = (): void => {};
    client.on("error", ignore);
    try {
      return await work(async (query) => {
        try {
          return await inTime(client.query(query), this.#timeoutMs, () => destroy(client));
        } catch (error) {
          broken ||= isFatal(error);
          throw error;
        }
      }, client);
    } finally {
      client.release(broken ? true : undefined);
      client.removeListener("error", ignore);
    }
  }

  /** A name that no other text has, whoever shares the connection. */
  #nameOf(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) {
      name = `pgqueuer_${hash(text)}`;
      this.#names.set(text, name);
    }
    return name;
  }
}

/** How many clients the pool has beyond those for the worker itself. */
function spareClients({ options }: NodePostgresPool): number {
  return Math.max(0, Number((options as { max?: unknown }).max ?? 0) - OWN_CLIENTS);
}

/** A client like those of the pool, that is not in it. */
function clientOf(pool: NodePostgresPool): NodePostgresClient {
  const { Client } = pool as { Client?: new (options: object) => NodePostgresClient };
  if (typeof Client !== "function") {
    throw new TypeError(
      'Cannot listen as the pool does not say how to make a client: give the option "listenClient"',
    );
  }
  return new Client(pool.options);
}

/** 64 bits, FNV-1a: of a few dozen texts no two have the same. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (let index = 0; index < text.length; index++) {
    value = BigInt.asUintN(64, (value ^ BigInt(text.charCodeAt(index))) * 0x100000001b3n);
  }
  return value.toString(16);
}
