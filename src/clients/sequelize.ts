import { type Client, hasMethods } from "./client.ts";

/** A `Transaction` of [Sequelize](https://sequelize.org), managed or not, savepoints included. */
export interface SequelizeTransaction {
  /** Commits it. */
  commit(): Promise<void>;
  /** Takes it back. */
  rollback(): Promise<void>;
  /** Another of its methods. */
  afterCommit: unknown;
}

/** What a transaction knows and its types do not say. */
interface Root {
  query(text: string, options: object): Promise<unknown[]>;
  /** Before release 7. */
  getDialect?(): string;
  /** Since release 7. */
  readonly dialect?: { readonly name?: string };
}

/** Recognizes instances and transactions of Sequelize. */
export function sequelize(handle: unknown): Client | undefined {
  const isTransaction = hasMethods(handle, "commit", "rollback", "afterCommit");
  if (!isTransaction && !hasMethods(handle, "query", "authenticate", "transaction")) {
    return undefined;
  }
  const transaction = handle as SequelizeTransaction & { sequelize?: Root; finished?: string };
  const root = isTransaction ? transaction.sequelize : handle as unknown as Root;
  if (root === undefined) return undefined;
  const dialect = root.getDialect?.() ?? root.dialect?.name ?? "another database";
  return {
    what: isTransaction ? "a transaction of Sequelize" : "the root instance of Sequelize",
    inside:
      "sequelize.transaction(async (transaction) => { await getQueue(transaction).enqueue(…) })",
    outside: "new Queries(fromClient(sequelize))",
    foreign: dialect === "postgres" ? undefined : dialect,
    isTransaction,
    standing: () => isTransaction ? transaction.finished ? "ended" : "open" : "outside",
    query: (text, parameters) =>
      root.query(text, {
        bind: [...parameters],
        type: "SELECT",
        // Else it may go to a replica, and in none but this to another transaction that the application passes unseen.
        useMaster: true,
        transaction: isTransaction ? transaction : null,
      }),
  };
}
