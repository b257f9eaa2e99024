import type { Parameter } from "../driver.ts";
import { type Client, hasMethods } from "./client.ts";

/** Any client of PostgreSQL, as one function that runs a statement in the caller's transaction. */
export interface QueryFunction {
  /**
   * Runs one statement. `$1` in the text is the first parameter.
   *
   * @returns The rows as objects, or an object that has them as `rows`.
   */
  query(
    text: string,
    // deno-lint-ignore no-explicit-any -- a client's own types may be narrower.
    parameters: any[],
  ): PromiseLike<unknown>;
}

/** Recognizes anything else that has `query(text, parameters)`. */
export function queryFunction(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "query")) return undefined;
  const client = handle as unknown as QueryFunction;
  return {
    what: "an object with query()",
    inside:
      "getQueue({ query: (text, parameters) => … }) where query() runs in your open transaction",
    outside: "new Queries({ query: async (text, parameters) => rows })",
    isTransaction: false,
    standing: () => "unknown",
    query: async (text: string, parameters: readonly Parameter[]) =>
      rowsOf(await client.query(text, [...parameters])),
  };
}

function rowsOf(answer: unknown): unknown[] {
  const rows = Array.isArray(answer) ? answer : (answer as { rows?: unknown } | null)?.rows;
  if (Array.isArray(rows)) return rows;
  throw new TypeError(
    "Cannot read the answer of query() as it must be an array of rows, or an object with rows",
  );
}
