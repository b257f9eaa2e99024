import type { Executor, Parameter } from "../driver.ts";

/** A transaction of postgres.js: what `sql.begin()` and `sql.savepoint()` give to their callback. */
export interface PostgresJsTransaction {
  /** Runs a statement with numbered parameters. */
  unsafe(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    parameters?: any[],
  ): PromiseLike<ArrayLike<unknown>>;
  /** Only a transaction has it. */
  savepoint: unknown;
}

/** Whether `handle` is any client of postgres.js: a root, a reserved connection or a transaction. */
export function isPostgresJs(handle: unknown): boolean {
  return typeof handle === "function" &&
    typeof (handle as { unsafe?: unknown }).unsafe === "function";
}

/** Whether `handle` is an open transaction of postgres.js. */
export function isPostgresJsTransaction(handle: unknown): handle is PostgresJsTransaction {
  // A root client has begin(), a reserved connection has release(); only a transaction has savepoint().
  return isPostgresJs(handle) &&
    typeof (handle as { savepoint?: unknown }).savepoint === "function";
}

/** Runs statements in the caller's transaction. */
export function fromPostgresJsTransaction(transaction: PostgresJsTransaction): Executor {
  return {
    async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
      return Array.from(await transaction.unsafe(text, [...parameters])) as Row[];
    },
  };
}
