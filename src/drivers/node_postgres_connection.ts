/** What we use of pg: connections that a pool lends, what a lost one means, and how to wait for its answers. */
import { serverErrorOf } from "../clients/server_error.ts";

/** A client that a pool has lent. */
export interface NodePostgresPoolClient {
  /** Runs a statement, prepared under a name if it has one. */
  query(
    // deno-lint-ignore no-explicit-any -- the client's own types are invariant in these positions.
    query: { text: string; name?: string; values?: any[] },
  ): Promise<{ readonly rows: unknown[]; readonly command?: string }>;
  /** Gives it back, or with an error or `true` closes it. */
  release(error?: Error | boolean): void;
  /** Without a listener an error of the connection would end the process. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Takes back what {@linkcode NodePostgresPoolClient.on} did. */
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** The part of a `Pool` of [pg](https://www.npmjs.com/package/pg) that is used. `Client` is what it lends. */
export interface NodePostgresPool<Client extends NodePostgresPoolClient = NodePostgresPoolClient> {
  /** Lends a client. */
  connect(): Promise<Client>;
  /** Without a listener an error of an idle connection would end the process. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Tells of each client it has made, before it lends it. */
  on(event: "connect", listener: (client: Client) => void): unknown;
  /** Takes back what {@linkcode NodePostgresPool.on} did. */
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** Takes back what {@linkcode NodePostgresPool.on} did. */
  removeListener(event: "connect", listener: (client: Client) => void): unknown;
  /** What the pool makes its clients with: the one for LISTEN is made with the same. */
  readonly options: object;
}

/** What a pool lends. That of `pg` has a second way to call `connect()`, with a callback. */
export type ClientOf<Pool> = Pool extends // deno-lint-ignore no-explicit-any -- whatever the callback is.
{ connect: { (): Promise<infer Client>; (callback: any): void } } ? Client
  : Pool extends NodePostgresPool<infer Client> ? Client
  : never;

/** Sends one statement on a client that is lent. */
export type Send = NodePostgresPoolClient["query"];

/** An error of the server leaves the connection as it is, unless the server ends it: class 57 is a shutdown. */
export function isFatal(error: unknown): boolean {
  const code = serverErrorOf(error)?.code;
  return code === undefined || code.startsWith("57P") || code.startsWith("08");
}

/**
 * Hears the errors of a new client until whoever it is lent to can: `connect()` gives it in a promise, and one that ends in
 * the packet that made it ready would meet no listener, which ends the process. Statements on it fail all the same.
 */
export function guardUntilLent(client: NodePostgresPoolClient): void {
  const ignore = (): void => {};
  client.on("error", ignore);
  setTimeout(() => client.removeListener("error", ignore), 0);
}

/** Cuts the connection: a client with a statement under way waits for its end before it closes. */
export function destroy(client: object): void {
  (client as { connection?: { stream?: { destroy?(): void } } }).connection?.stream?.destroy?.();
}

/** Waits for a client of the pool, but not for ever. */
export function lend<Client extends NodePostgresPoolClient>(
  pool: NodePostgresPool<Client>,
  timeoutMs: number,
): Promise<Client> {
  const lent = pool.connect();
  // One that comes after the time-out is of use to others.
  const tooLate = (): void => void lent.then((client) => client.release(), () => {});
  // Only the pool can give up one that it is about to connect.
  const { connectionTimeoutMillis } = pool.options as { connectionTimeoutMillis?: number };
  const message = `Cannot get a connection as the pool had none in ${timeoutMs} ms` +
    (connectionTimeoutMillis
      ? ""
      : ': set "connectionTimeoutMillis" of the pool, else one that never connects keeps its place');
  return inTime(lent, timeoutMs, tooLate, message);
}

/** Waits for an answer, but not for ever. */
export async function inTime<Answer>(
  answer: Promise<Answer>,
  timeoutMs: number,
  onLate: () => void,
  message: string =
    `Cannot go on with a connection as a statement got no answer in ${timeoutMs} ms`,
): Promise<Answer> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onLate();
      reject(new Error(message));
    }, timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
