import type { PostgresJsTransaction } from "../clients/postgres_js.ts";
import type { Driver, Executor, OpenTransaction, Parameter, TransactionEnd } from "../driver.ts";
import { getQueue } from "../get_queue.ts";
import { Queries } from "../queries/queries.ts";
import type { SettingsOptions } from "../settings.ts";
import { shown } from "../validate.ts";

/** The part of a root client of postgres.js that is used. `Tx` is what it gives as a transaction. */
export interface PostgresJsRoot<Tx> {
  /** Runs `use` in a transaction. */
  begin(use: (tx: Tx) => Promise<unknown>): PromiseLike<unknown>;
  /** Runs `use` in a transaction of some kind. */
  begin(options: string, use: (tx: Tx) => Promise<unknown>): PromiseLike<unknown>;
}

/** An open transaction that ends in a rollback, and a queue in it. */
export interface TestTransaction<Tx> extends AsyncDisposable {
  /** The transaction, for the code under test. */
  readonly tx: Tx;
  /** The queue in this transaction, as {@linkcode getQueue} gives it. */
  readonly queue: Queries;
  /**
   * For a {@linkcode PgQueuer} that works in this transaction, by {@linkcode drain}. A transactional handler gets a savepoint
   * of it.
   */
  readonly driver: Driver<Tx>;
  /** Rolls back. Safe to call again. */
  rollBack(): Promise<void>;
}

/**
 * Begins a transaction that is rolled back in the end, whatever happens in it: nothing that a test does in it is left,
 * no worker sees it, and no notification is sent. {@linkcode inRolledBackTransaction} does it around a function; this is
 * for hooks that run before and after each test, and for `await using`.
 *
 * @example In hooks
 * ```ts ignore
 * let test: TestTransaction<TransactionSql>;
 * beforeEach(async () => test = await openTestTransaction(sql));
 * afterEach(() => test.rollBack());
 * ```
 *
 * @param sql What `postgres(dsn)` gave.
 * @param options Names of the database objects, where they differ from the defaults.
 * @returns The open transaction.
 * @throws {TypeError} If `sql` is no root client of postgres.js.
 * @throws {Error} The client's error if the database cannot be reached.
 */
export function openTestTransaction<Tx extends PostgresJsTransaction>(
  sql: PostgresJsRoot<Tx>,
  options: SettingsOptions = {},
): Promise<TestTransaction<Tx>> {
  if (typeof sql?.begin !== "function") {
    const what = typeof (sql as { savepoint?: unknown } | null)?.savepoint === "function"
      ? "a transaction"
      : shown(sql);
    throw new TypeError(
      `Cannot begin the transaction of a test as the client must be what postgres(dsn) gave: current value is ${what}`,
    );
  }
  return new Promise((resolve, reject) => {
    const rollback = new Rollback();
    let end!: () => void;
    const wanted = new Promise<void>((settle) => end = settle);
    let open = true;
    /** Whether the client has ended the transaction by itself, as when the connection is lost. */
    let lost = false;

    const ended = Promise.resolve(sql.begin(async (tx) => {
      const rollBack = async (): Promise<void> => {
        open = false;
        // On a lost connection postgres.js would try to roll back, and that ends the process.
        if (!lost) end();
        const error = await ended;
        if (error !== undefined) throw error;
      };
      const executor = whileOpen(getQueue(tx, options).executor, () => open);
      resolve({
        tx,
        queue: new Queries(executor, options),
        driver: driverOf(tx, executor, options),
        rollBack,
        [Symbol.asyncDispose]: rollBack,
      });
      await wanted;
      throw rollback;
    })).then(() => undefined, (error) => {
      lost = true;
      return error === rollback ? undefined : error;
    });
    // Of no effect once the transaction is open: then rollBack() tells what went wrong.
    void ended.then(reject);
  });
}

/**
 * Runs `use` in a transaction that is rolled back when it has ended or thrown: nothing is left of what it did, no worker
 * sees it, and no notification is sent. Works in any test runner.
 *
 * @example The job is in the queue, and after the test it is not
 * ```ts ignore
 * import { expectEnqueued, inRolledBackTransaction } from "pgqueuer/testing";
 *
 * test("publishing an article enqueues its indexing", () =>
 *   inRolledBackTransaction(sql, async ({ tx, queue }) => {
 *     await publish(tx, 42);
 *
 *     await expectEnqueued(queue, { entrypoint: "index_article", payload: "42" });
 *   }));
 * ```
 *
 * @param sql What `postgres(dsn)` gave. Code that begins a transaction of its own on it is not in this one: give it `tx`.
 * @param use Is given the transaction, the queue in it, and a driver for a worker in it.
 * @param options Names of the database objects, where they differ from the defaults.
 * @returns What `use` gave.
 * @throws What `use` threw, after the rollback.
 */
export async function inRolledBackTransaction<Tx extends PostgresJsTransaction, Result>(
  sql: PostgresJsRoot<Tx>,
  use: (transaction: TestTransaction<Tx>) => Promise<Result> | Result,
  options: SettingsOptions = {},
): Promise<Result> {
  const transaction = await openTestTransaction(sql, options);
  let result: Result;
  try {
    result = await use(transaction);
  } catch (error) {
    // Why the test failed counts more than whether the rollback did.
    await transaction.rollBack().catch(() => {});
    throw error;
  }
  await transaction.rollBack();
  return result;
}

/** What the function given to `begin()` throws, as postgres.js rolls back for nothing else. */
class Rollback extends Error {
  override readonly name = "Rollback";
}

/** After its end the client would send statements outside of any transaction: a late one must not change the tables. */
function whileOpen(executor: Executor, open: () => boolean): Executor {
  return {
    async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
      if (open()) return await executor.query<Row>(text, parameters);
      throw new Error(
        "Cannot use the transaction of a test as it must be open: it has been rolled back",
      );
    },
  };
}

/** A driver on the transaction. There is nothing to hear: what others send is not for this test. */
function driverOf<Tx extends PostgresJsTransaction>(
  tx: Tx,
  executor: Executor,
  options: SettingsOptions,
): Driver<Tx> {
  return {
    inTransaction: true,
    // They are one connection, so one after another.
    transactions: { max: 1, run: (work) => inSavepoint(tx, options, work) },
    query: (text, parameters) => executor.query(text, parameters),
    async script(text: string): Promise<void> {
      await executor.query(text, []);
    },
    listen: () => Promise.resolve({ close: () => Promise.resolve() }),
    close: () => Promise.resolve(),
  };
}

/** Runs a handler's work in a savepoint. A lost connection ends the whole transaction, and the test with it. */
async function inSavepoint<Tx extends PostgresJsTransaction>(
  tx: Tx,
  options: SettingsOptions,
  work: (open: OpenTransaction<Tx>) => Promise<boolean>,
): Promise<TransactionEnd> {
  const rollback = new Rollback();
  const savepoint = tx.savepoint as (use: (inner: Tx) => Promise<void>) => Promise<void>;
  try {
    await savepoint(async (inner) => {
      const { executor } = getQueue(inner, options);
      if (!await work({ handle: inner, executor, abandon() {} })) throw rollback;
    });
    return { status: "committed" };
  } catch (error) {
    return { status: "rolled back", ...(error !== rollback && { error }) };
  }
}
