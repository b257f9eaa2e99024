import { serverErrorOf } from "../clients/server_error.ts";
import type { ChannelListener, Driver, Executor, Parameter, Subscription } from "../driver.ts";
import { type Duration, toMs } from "../duration.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { statements } from "../sql/generated.ts";
import { knownOptions, shown } from "../validate.ts";
import { listenWith, type NodePostgresClient } from "./node_postgres_listener.ts";

/** A client that a pool has lent. */
export interface NodePostgresPoolClient {
  /** Runs a statement, prepared under a name if it has one. */
  query(
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    query: { text: string; name?: string; values?: any[] },
  ): Promise<{ readonly rows: unknown[]; readonly command?: string }>;
  /** Gives it back, or with an error or `true` closes it. */
  release(error?: Error | boolean): void;
  /** Without a listener an error of the connection would end the process. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Takes back what {@linkcode NodePostgresPoolClient.on} did. */
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** The part of a `Pool` of [pg](https://www.npmjs.com/package/pg) that is used. */
export interface NodePostgresPool {
  /** Lends a client. */
  connect(): Promise<NodePostgresPoolClient>;
  /** Without a listener an error of an idle connection would end the process. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Takes back what {@linkcode NodePostgresPool.on} did. */
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** What the pool makes its clients with: the one for LISTEN is made with the same. */
  readonly options: object;
}

/** Options for {@linkcode fromNodePostgres}. */
export interface NodePostgresOptions {
  /**
   * Makes the client for LISTEN, not yet connected. Needed where the pool goes through a pooler in transaction mode, which
   * loses LISTEN: give it the address of the server itself.
   *
   * @default one like those of the pool, apart from the pool
   */
  listenClient?: () => NodePostgresClient;
  /**
   * Longest wait for a connection and the answer to a statement. After it the connection is thought dead (a half-open
   * socket gives no error) and is closed. Keep it below `heartbeatTimeout`.
   *
   * @default {{ seconds: 15 }}
   */
  statementTimeout?: Duration;
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
 * Uses a pool of `pg`. The caller owns the pool and closes it. A worker takes up to three clients of it at a time, and one
 * beside it for LISTEN.
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
 */
export function fromNodePostgres(
  pool: NodePostgresPool,
  options: NodePostgresOptions = {},
): Driver {
  if (typeof pool?.connect !== "function" || !("totalCount" in pool) || !("options" in pool)) {
    throw new TypeError(
      `Cannot use the pool as it must be what new pg.Pool(…) gave: current value is ${shown(pool)}`,
    );
  }
  knownOptions("options", options, ["listenClient", "statementTimeout", "prepare", "logger"]);
  return new NodePostgresDriver(pool, options);
}

/** Sends one statement on a client that is lent. */
type Send = NodePostgresPoolClient["query"];

class NodePostgresDriver implements Driver {
  readonly #pool: NodePostgresPool;
  readonly #prepare: boolean;
  readonly #timeoutMs: number;
  readonly #logger: Logger;
  readonly #listenClient: () => NodePostgresClient;
  /** Names of prepared statements. */
  readonly #names = new Map<string, string>();
  readonly #onError: (error: Error) => void;

  constructor(pool: NodePostgresPool, options: NodePostgresOptions) {
    this.#pool = pool;
    this.#prepare = options.prepare ?? true;
    this.#timeoutMs = toMs("statementTimeout", options.statementTimeout ?? { seconds: 15 });
    this.#logger = options.logger ?? silentLogger;
    this.#listenClient = options.listenClient ?? (() => clientOf(pool));
    this.#onError = (error) => this.#logger.debug(`The pool has lost a connection: ${error}`);
    pool.on("error", this.#onError);
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

  listen(channel: string, listener: ChannelListener): Promise<Subscription> {
    return listenWith(this.#listenClient, channel, listener, {
      timeoutMs: this.#timeoutMs,
      logger: this.#logger,
    });
  }

  close(): Promise<void> {
    this.#pool.removeListener("error", this.#onError);
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
  async #lend<Result>(work: (send: Send) => Promise<Result>): Promise<Result> {
    const lent = this.#pool.connect();
    // One that comes after the time-out is of use to others.
    const tooLate = (): void => void lent.then((client) => client.release(), () => {});
    const client = await this.#inTime(lent, tooLate, this.#noClient());
    let broken = false;
    // Its errors reach the statement.
    const ignore = (): void => {};
    client.on("error", ignore);
    try {
      return await work(async (query) => {
        try {
          return await this.#inTime(
            client.query(query),
            () => destroy(client),
            `Cannot go on with a connection as a statement got no answer in ${this.#timeoutMs} ms`,
          );
        } catch (error) {
          broken ||= isFatal(error);
          throw error;
        }
      });
    } finally {
      client.release(broken ? true : undefined);
      client.removeListener("error", ignore);
    }
  }

  /** Waits for an answer, but not for ever. */
  async #inTime<Answer>(
    answer: Promise<Answer>,
    onLate: () => void,
    message: string,
  ): Promise<Answer> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        onLate();
        reject(new Error(message));
      }, this.#timeoutMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is wrong when the pool lends no client. Only the pool can give up one that it is about to connect. */
  #noClient(): string {
    const { connectionTimeoutMillis } = this.#pool.options as { connectionTimeoutMillis?: number };
    return `Cannot get a connection as the pool had none in ${this.#timeoutMs} ms` +
      (connectionTimeoutMillis
        ? ""
        : ': set "connectionTimeoutMillis" of the pool, else one that never connects keeps its place');
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

/** An error of the server leaves the connection as it is, unless the server ends it: class 57 is a shutdown. */
function isFatal(error: unknown): boolean {
  const code = serverErrorOf(error)?.code;
  return code === undefined || code.startsWith("57P") || code.startsWith("08");
}

/** Cuts the connection: a client with a statement under way waits for its end before it closes. */
function destroy(client: object): void {
  (client as { connection?: { stream?: { destroy?(): void } } }).connection?.stream?.destroy?.();
}

/** 64 bits, FNV-1a: of a few dozen texts no two have the same. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (let index = 0; index < text.length; index++) {
    value = BigInt.asUintN(64, (value ^ BigInt(text.charCodeAt(index))) * 0x100000001b3n);
  }
  return value.toString(16);
}
