/** What the conformance suite asks of a client, in the client's own words. */
import type { TransactionHandle } from "../../mod.ts";

/** Where a client is opened. */
export interface Place {
  readonly dsn: string;
  /** Schema and prefix of the queue. */
  readonly names: { readonly schema: string; readonly prefix: string };
  /** The caller's own table, with its schema. It has the columns `id` and `status`. */
  readonly article: string;
}

/** An open transaction or savepoint of a client. */
export interface OpenTransaction {
  /** What its user has in hand. */
  readonly handle: TransactionHandle;
  /** Writes a row of the caller, as its user would. */
  insert(id: number): Promise<unknown>;
  /** Runs in a savepoint, which is rolled back if `run` rejects. */
  savepoint<T>(run: (inner: OpenTransaction) => Promise<T>): Promise<T>;
}

/** A handle that {@linkcode getQueue} must refuse. */
export interface WrongHandle {
  readonly what: string;
  readonly handle: unknown;
  /** What the message must say. */
  readonly says: RegExp;
}

/** Looks at the database from outside the client's transactions. */
export interface Observer {
  query<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]>;
  /** Listens to a channel. Gives what ends it. */
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<unknown>>;
  /** Whether it works while a transaction is open. */
  readonly concurrent: boolean;
}

/** A client of its own connections. */
export interface OpenClient {
  /** Runs in a transaction, which is rolled back if `run` rejects. */
  transaction<T>(run: (tx: OpenTransaction) => Promise<T>): Promise<T>;
  readonly wrong: readonly WrongHandle[];
  /** What {@linkcode fromClient} takes, if the client has such a thing. */
  readonly root?: object;
  /** Looks into a database of the client's own. */
  readonly observer?: Observer;
  close(): Promise<unknown>;
}

/** Opens one client. */
export type OpenClientAt = (place: Place) => Promise<OpenClient>;
