import type { OpenTransaction, Parameter, TransactionEnd, Transactions } from "../driver.ts";
import { statements } from "../sql/generated.ts";
import {
  destroy,
  inTime,
  isFatal,
  lend,
  type NodePostgresPool,
  type NodePostgresPoolClient,
  type Send,
} from "./node_postgres_connection.ts";

/** Runs one statement of ours. */
type Query = <Row>(send: Send, text: string, parameters: readonly Parameter[]) => Promise<Row[]>;

/** Transactions of pg, each on a client that the pool lends. */
export class NodePostgresTransactions<Client extends NodePostgresPoolClient>
  implements Transactions<Client> {
  readonly max: number;
  readonly #pool: NodePostgresPool<Client>;
  readonly #query: Query;
  readonly #timeoutMs: number;

  /** @param timeoutMs Longest wait for an answer to what is not the handler's own. */
  constructor(pool: NodePostgresPool<Client>, max: number, query: Query, timeoutMs: number) {
    this.max = max;
    this.#pool = pool;
    this.#query = query;
    this.#timeoutMs = timeoutMs;
  }

  /** Runs work in a transaction. */
  readonly run = async (
    work: (open: OpenTransaction<Client>) => Promise<boolean>,
    onLost: (error: unknown) => void,
  ): Promise<TransactionEnd> => {
    const client = await lend(this.#pool, this.#timeoutMs);
    const transaction = new LentTransaction(client, this.#timeoutMs);
    let working: Promise<boolean> | undefined;
    try {
      await transaction.send({ text: statements.begin_for_handler });
      working = work({
        handle: client,
        executor: {
          inTransaction: true,
          query: (text, parameters) => this.#query(transaction.send, text, parameters),
        },
        abandon: () => transaction.lose(new Error("Cannot go on as it was given up")),
      });
      const commit = await Promise.race([working, transaction.lost]);
      const wanted = commit ? statements.commit : statements.rollback;
      const { command } = await transaction.send({ text: wanted });
      if (!commit) return { status: "rolled back" };
      if (command === statements.commit) return { status: "committed" };
      const error = new Error("Cannot commit as a statement of the transaction has failed");
      return { status: "rolled back", error };
    } catch (error) {
      if (!transaction.isLost && !isFatal(error)) {
        if (working === undefined) throw error;
        return { status: "rolled back", error };
      }
      transaction.lose(error);
      if (working === undefined) throw error;
      onLost(error);
      await working;
      return { status: "lost", error };
    } finally {
      transaction.giveBack();
    }
  };
}

/** One client of the pool, for the time of a transaction. */
class LentTransaction {
  /** Rejects when the connection is lost. */
  readonly lost: Promise<never>;
  isLost = false;
  #reject!: (error: unknown) => void;
  readonly #client: NodePostgresPoolClient;
  readonly #onError = (error: unknown): void => this.lose(error);
  readonly send: Send;

  constructor(client: NodePostgresPoolClient, timeoutMs: number) {
    this.#client = client;
    this.lost = new Promise((_, reject) => this.#reject = reject);
    this.lost.catch(() => {});
    client.on("error", this.#onError);
    this.send = (query) => inTime(client.query(query), timeoutMs, () => destroy(client));
  }

  /** Closes the connection: what is under way on it fails, and the server rolls back. */
  lose(error: unknown): void {
    this.isLost = true;
    this.#reject(error);
    destroy(this.#client);
  }

  /** Gives the client back to its pool, or out of it. */
  giveBack(): void {
    this.#client.release(this.isLost ? true : undefined);
    if (!this.isLost) this.#client.removeListener("error", this.#onError);
  }
}
