import type { Sql, TransactionSql } from "postgres";
import type { OpenTransaction, Parameter, TransactionEnd, Transactions } from "../driver.ts";
import { PREPARED } from "../clients/postgres_js.ts";
import { learnArrays } from "./postgres_js_arrays.ts";
import { endsSession } from "./postgres_js_connection.ts";

/** A stricter level would fail with 40001 wherever a heartbeat has renewed the job's lease meanwhile. */
const ISOLATION = "isolation level read committed read write";
/** Seconds after which a connection that nobody needs is closed. */
export const IDLE_S = 30;

/** Makes a client of one connection that calls `onclose` when it has lost that. */
export type ConnectOne = (onclose: () => void) => Sql;

/** What the work throws where it is not to commit: postgres.js rolls back for nothing else. */
class NotToCommit extends Error {}

/**
 * Transactions of postgres.js, each on a client of its own that has one connection: so one can be given up without the
 * others, and a lost one is of no use to anybody afterwards.
 */
export class PostgresJsTransactions implements Transactions<TransactionSql> {
  readonly max: number;
  readonly #connect: ConnectOne;
  readonly #timeoutMs: number;
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];

  /** @param timeoutMs Longest wait for an answer to what is not the handler's own. */
  constructor(connect: ConnectOne, max: number, timeoutMs: number) {
    this.#connect = connect;
    this.max = max;
    this.#timeoutMs = timeoutMs;
  }

  /** Runs work in a transaction. */
  readonly run = async (
    work: (open: OpenTransaction<TransactionSql>) => Promise<boolean>,
    onLost: (error: unknown) => void,
  ): Promise<TransactionEnd> => {
    const connection = this.#take();
    let working: Promise<boolean> | undefined;
    let stopWatch = connection.watch(this.#timeoutMs);
    try {
      await Promise.race([connection.ready, connection.lost]);
      const ended = connection.client.begin(ISOLATION, async (transaction) => {
        stopWatch();
        working = work(this.#open(transaction, connection));
        const commit = await connection.heeded(working);
        stopWatch = connection.watch(this.#timeoutMs);
        if (!commit) throw new NotToCommit();
      });
      await Promise.race([ended, connection.lost]);
      return { status: "committed" };
    } catch (error) {
      const begun = working as Promise<boolean> | undefined;
      if (begun === undefined) {
        void connection.cut();
        throw error;
      }
      if (error instanceof NotToCommit) return { status: "rolled back" };
      if (!connection.closed && !endsSession(error)) return { status: "rolled back", error };
      void connection.cut();
      onLost(error);
      await begun;
      return { status: "lost", error };
    } finally {
      stopWatch();
      if (!connection.closed) this.#idle.push(connection);
    }
  };

  /** Closes all connections. What is open on them is rolled back. */
  async close(): Promise<void> {
    await Promise.all([...this.#all].map((connection) => connection.cut("the worker has ended")));
  }

  #open(transaction: TransactionSql, connection: Connection): OpenTransaction<TransactionSql> {
    const query = async <Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> => {
      const stopWatch = connection.watch(this.#timeoutMs);
      try {
        const rows = await transaction.unsafe(text, [...parameters] as never[], PREPARED);
        return Array.from(rows) as Row[];
      } finally {
        stopWatch();
      }
    };
    return {
      handle: connection.guarded(transaction),
      executor: { inTransaction: true, query },
      abandon: () => void connection.cut("it was given up"),
    };
  }

  /** The one used last, so that those too many fall idle and are closed. */
  #take(): Connection {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.closed) return idle;
    }
    const connection = new Connection(this.#connect, () => this.#all.delete(connection));
    this.#all.add(connection);
    return connection;
  }
}

/** A client of one connection. It is of no use once that is closed. */
class Connection {
  readonly client: Sql;
  /** Rejects when the connection is closed, by whomever. */
  readonly lost: Promise<never>;
  /** Resolves when a handler may send and read arrays. */
  readonly ready: Promise<void>;
  closed = false;
  #lose!: (error: Error) => void;
  readonly #onClosed: () => void;

  constructor(connect: ConnectOne, onClosed: () => void) {
    this.#onClosed = onClosed;
    this.lost = new Promise((_, reject) => this.#lose = reject);
    // It may be closed while nobody uses it.
    this.lost.catch(() => {});
    this.client = connect(() => void this.cut());
    this.ready = learnArrays(this.client);
    // It may be lost first, which is heard of instead.
    this.ready.catch(() => {});
  }

  /** Closes it at once. What is under way on it fails. */
  async cut(why = "its connection is lost"): Promise<void> {
    this.closed = true;
    this.#onClosed();
    this.#lose(new Error(`Cannot go on with the transaction as ${why}`));
    await this.client.end({ timeout: 0 });
  }

  /** Cuts it after a while, unless what it gives is called first. */
  watch(timeoutMs: number): () => void {
    const why = `a statement got no answer in ${timeoutMs} ms`;
    // In two halves: while the event loop was blocked the answer may have come, and be read between them.
    let timer = setTimeout(() => {
      timer = setTimeout(() => void this.cut(why), timeoutMs / 2);
    }, timeoutMs / 2);
    return () => clearTimeout(timer);
  }

  /**
   * What postgres.js is to hear of the work in a transaction. Nothing once the connection is closed: it would answer with a
   * rollback.
   */
  async heeded<Result>(work: Promise<Result>): Promise<Result> {
    try {
      return await work;
    } finally {
      if (this.closed) await new Promise<never>(() => {});
    }
  }

  /**
   * The transaction for a handler. Once the connection is closed its statements go to the client, which has ended and
   * rejects them. postgres.js 3.4.9 itself would keep them without an answer, or write them to a socket that is gone,
   * outside of any promise, and that ends the process.
   */
  guarded(transaction: TransactionSql): TransactionSql {
    const usable = (): Sql | TransactionSql => this.closed ? this.client : transaction;
    const savepoint = (...given: unknown[]): Promise<unknown> => {
      if (this.closed) return this.lost;
      const use = given.pop() as (inner: TransactionSql) => unknown;
      const begin = transaction.savepoint as (...given: unknown[]) => Promise<unknown>;
      const ended = begin(
        ...given,
        (inner: TransactionSql) => this.heeded((async () => await use(this.guarded(inner)))()),
      );
      return Promise.race([ended, this.lost]);
    };
    return new Proxy(transaction, {
      apply: (_, __, given) => Reflect.apply(usable(), undefined, given),
      get: (_, name) => name === "savepoint" ? savepoint : Reflect.get(usable(), name),
    });
  }
}
