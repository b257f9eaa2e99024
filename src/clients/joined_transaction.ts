import type { Executor, Parameter } from "../driver.ts";
import { statements } from "../sql/generated.ts";
import type { Client } from "./client.ts";
import { serverErrorOf, withoutItsStatement } from "./server_error.ts";

/**
 * Runs statements in the caller's transaction, and none outside of it.
 *
 * Where the client cannot tell whether its transaction is open, the server does. It is asked for the transaction before the
 * first insert, and each insert looks whether it is in that one: so none is too late, not even one that nobody awaits.
 * Before the first of all other statements stands a LOCK of a table that nobody locks, since it fails outside a
 * transaction block.
 */
export class JoinedTransaction implements Executor {
  readonly inTransaction = true;
  readonly #client: Client;
  /** What the server calls the transaction. */
  #transaction: Promise<Parameter> | undefined;
  /** That the server has said that a transaction is open, or is about to. */
  #answer: Promise<void> | undefined;

  /** @throws {TypeError} If the handle is known to be in no open transaction, or of another database. */
  constructor(client: Client) {
    this.#client = client;
    this.#refuse();
  }

  async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
    this.#refuse();
    if (this.#client.standing() === "unknown") await this.#ask();
    return await this.#send<Row>(text, parameters);
  }

  async insert<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
    this.#refuse();
    const known = this.#client.standing() !== "unknown";
    const transaction = known ? null : await this.#identify();
    const rows = await this.#send<Row>(text, [...parameters, transaction]);
    if ((rows[0] as { ids?: unknown } | undefined)?.ids !== null) return rows;
    throw this.#isOver();
  }

  /** The transaction is open already: what would be one is part of it. */
  transaction<Result>(work: (executor: Executor) => Promise<Result>): Promise<Result> {
    return work(this);
  }

  /** Throws if the client itself can tell that no transaction is open. */
  #refuse(): void {
    const { what, inside, foreign } = this.#client;
    if (foreign !== undefined) {
      throw new TypeError(
        `Cannot get a queue as the handle must be of PostgreSQL: current value is ${what} for ${foreign}. ` +
          `Use the client of the database that holds the queue: ${inside}`,
      );
    }
    switch (this.#client.standing()) {
      case "outside":
        throw this.#mustBeOpen(what);
      case "ended":
        throw this.#isOver();
    }
  }

  async #send<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
    try {
      return Array.from(await this.#client.query(text, parameters)) as Row[];
    } catch (error) {
      if (this.#client.hasEnded?.(error)) throw this.#isOver(error);
      throw withoutItsStatement(error) ?? error;
    }
  }

  #identify(): Promise<Parameter> {
    const text = statements.identify_transaction;
    return this.#transaction ??= this.#send<{ transaction: Parameter }>(text, [])
      .then((rows) => rows[0]!.transaction, (error) => {
        // A lost connection says nothing about the handle.
        this.#transaction = undefined;
        throw this.#explained(error);
      });
  }

  #ask(): Promise<void> {
    return this.#answer ??= this.#send(statements.require_transaction, []).then(
      () => {},
      (error) => {
        this.#answer = undefined;
        // no_active_sql_transaction
        throw serverErrorOf(error)?.code === "25P01" ? this.#isOver(error) : this.#explained(error);
      },
    );
  }

  /** Another database does not understand PostgreSQL's words. */
  #explained(error: unknown): unknown {
    const { code, message = String(error) } = serverErrorOf(error) ?? {};
    if (code !== undefined && code !== "42601" || !/syntax|unrecognized token/i.test(message)) {
      return error;
    }
    return new TypeError(
      `Cannot get a queue as the handle must be of PostgreSQL: current value is ${this.#client.what} whose database does not understand PostgreSQL. ` +
        `Use the client of the database that holds the queue: ${this.#client.inside}`,
      { cause: error },
    );
  }

  #isOver(cause?: unknown): TypeError {
    const { what, isTransaction } = this.#client;
    return this.#mustBeOpen(
      `${what} ${isTransaction ? "that has ended" : "that is in no transaction"}`,
      cause,
    );
  }

  #mustBeOpen(current: string, cause?: unknown): TypeError {
    const { inside, outside } = this.#client;
    return new TypeError(
      `Cannot get a queue as the handle must be an open transaction: current value is ${current}, so the job would not be in your transaction. ` +
        `Write ${inside}, or ${outside} to enqueue without one`,
      { cause },
    );
  }
}
