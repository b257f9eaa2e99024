import { type Client, hasMethods } from "./client.ts";
import { withQuestionMarks } from "./question_marks.ts";

/** A transaction of [Knex](https://knexjs.org), savepoints included. */
export interface KnexTransaction {
  /** Whether it is over. */
  isCompleted(): boolean;
  /** Runs a statement with `?` for each value. */
  raw(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are narrower.
    values: any,
  ): PromiseLike<{ readonly rows: unknown[] }>;
}

/** Recognizes instances and transactions of Knex, a function with methods. */
export function knex(handle: unknown): Client | undefined {
  if (typeof handle !== "function" || !hasMethods(handle, "raw", "transaction", "queryBuilder")) {
    return undefined;
  }
  const db = handle as unknown as KnexTransaction & {
    isTransaction?: boolean;
    client?: { dialect?: string };
  };
  const isTransaction = db.isTransaction === true;
  const dialect = db.client?.dialect;
  return {
    what: isTransaction ? "a transaction of Knex" : "the root instance of Knex",
    inside: "knex.transaction(async (trx) => { await getQueue(trx).enqueue(…) })",
    outside: "new Queries(fromClient(knex))",
    foreign: dialect === "postgresql" ? undefined : dialect ?? "another database",
    isTransaction,
    standing: () => isTransaction ? db.isCompleted() ? "ended" : "open" : "outside",
    async query(text, parameters) {
      const written = withQuestionMarks(text, parameters);
      return (await db.raw(written.text, written.values)).rows;
    },
  };
}
