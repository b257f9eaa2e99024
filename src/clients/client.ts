import type { Parameter } from "../driver.ts";

/**
 * Where a handle stands:
 * - `open`: inside a transaction.
 * - `ended`: its transaction is over.
 * - `outside`: it can be in none, as a pool or a root client.
 * - `unknown`: the client cannot tell, the server has to be asked.
 */
export type Standing = "open" | "ended" | "outside" | "unknown";

/** What an adapter makes of a handle that is of its client. */
export interface Client {
  /** What the handle is, as a message says it: `a transaction of Knex`. */
  readonly what: string;
  /** The line of code that opens a transaction and enqueues in it. */
  readonly inside: string;
  /** What to write to enqueue outside a transaction. */
  readonly outside: string;
  /** The database that the handle is of, where that is not PostgreSQL. */
  readonly foreign?: string | undefined;
  /** Whether the handle was made for one transaction. A connection may see several, or none. */
  readonly isTransaction: boolean;
  /** Where the handle stands now. */
  standing(): Standing;
  /** Whether the client has refused a statement as the transaction is over. */
  hasEnded?(error: unknown): boolean;
  /** Runs one statement and gives its rows. */
  query(text: string, parameters: readonly Parameter[]): Promise<ArrayLike<unknown>>;
  /** Runs several statements without parameters, where the client can. */
  script?(text: string): Promise<unknown>;
}

/** Looks at a handle. Gives `undefined` if it is not of this adapter's client. */
export type Adapter = (handle: unknown) => Client | undefined;

/** Whether `value` is an object or a function that has all of these methods. */
export function hasMethods<const Name extends string>(
  value: unknown,
  ...names: readonly Name[]
): value is Record<Name, (...parameters: never[]) => unknown> & Record<string, unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}
