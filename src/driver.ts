import { PgQueuerError } from "./errors.ts";
/** What a parameter of a statement may be: the kinds that every client sends alike. */
export type Parameter = string | number | null;

/** Runs one statement: all that a producer needs of a PostgreSQL client. */
export interface Executor {
  /** Runs one statement and gives its rows. `$1` in the text is the first parameter. */
  query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]>;
  /**
   * Runs statements as one transaction: commits when `work` resolves, rolls back and rejects when it rejects. An executor
   * inside a transaction runs them in that. Without this method a batch is one statement, however large it is.
   */
  transaction?<Result>(work: (executor: Executor) => Promise<Result>): Promise<Result>;
  /**
   * Whether the statements are part of a transaction of the caller, which the first error ends: then nothing is tried
   * twice. Not known if it is left out.
   */
  readonly inTransaction?: boolean;
  /**
   * Runs a statement that inserts. Its last parameter, which this adds, says which transaction it must be in: in any other
   * it inserts nothing. Where there is no such method, the parameter is null.
   */
  insert?<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]>;
}

/** What a subscriber is told. */
export interface ChannelListener {
  /** A notification has come. */
  onPayload(payload: string): void;
  /** Listening has begun, or begun again after a lost connection: what was sent in between was not heard. */
  onListening(): void;
}

/** A channel being listened to. */
export interface Subscription {
  /** Stops listening. Does not wait for a server that no longer answers. */
  close(): Promise<void>;
}

/** How a worker's connections are opened. Plain data: it goes to another thread. Holds the password. */
export interface DriverAddress {
  /** What `openWorkerDriver()` was given. */
  readonly dsn: string;
  readonly options: {
    readonly connectTimeout: number;
    readonly statementTimeout: number;
    readonly applicationName: string;
  };
}

/**
 * Why a session is not lent where statements are not prepared. That is what is written for a pooler in transaction mode: it
 * would leave the lock and the settings of an upgrade to somebody else.
 */
export function noSession(): PgQueuerError {
  return new PgQueuerError(
    'Cannot upgrade as that needs a session, and the connection may lead through a pooler, as it prepares no statements ("pgbouncer=true" or "prepare=false"): connect to the server itself',
  );
}

/** One connection, for what must stay on it: session locks and settings, and statements that no transaction may hold. */
export interface Session extends Executor {
  /** Runs a script of several statements as {@linkcode Driver.script} does, however long that takes. */
  script(text: string): Promise<void>;
}

/** A transaction that is open for one handler, on a connection that nobody else uses meanwhile. */
export interface OpenTransaction<Transaction> {
  /** The transaction as the client itself has it. */
  readonly handle: Transaction;
  /** Runs statements in it, and waits for no answer longer than the driver does elsewhere. */
  readonly executor: Executor;
  /** Gives it up at once: closes its connection, whatever runs on it, and the server rolls back. */
  abandon(): void;
}

/** How a transaction came to its end. */
export type TransactionEnd =
  | { readonly status: "committed" }
  /** Nothing of it is left. `error` says why, where it was to commit. */
  | { readonly status: "rolled back"; readonly error?: unknown }
  /** Its connection is gone. If that was while it was to commit, nobody knows whether it has. */
  | { readonly status: "lost"; readonly error: unknown };

/** Transactions for handlers, on connections apart from those that claim and renew leases. */
export interface Transactions<Transaction = unknown> {
  /** Most that may be open at the same time. */
  readonly max: number;
  /**
   * Runs work in a transaction (READ COMMITTED): commits when it gives true and rolls back when it gives false. Work must
   * not reject. `onLost` is called as soon as the connection is known to be gone, while work may still go on. Rejects only
   * if the transaction could not be opened: then work was not called.
   */
  readonly run: (
    work: (open: OpenTransaction<Transaction>) => Promise<boolean>,
    onLost: (error: unknown) => void,
  ) => Promise<TransactionEnd>;
}

/**
 * All that a worker needs of a PostgreSQL client: statements on connections of its own, and LISTEN. `Transaction` is what
 * the client calls a transaction: handlers of transactional entrypoints get one.
 */
export interface Driver<Transaction = unknown> extends Executor {
  /**
   * Whether it does not listen, as behind a pooler that gives sessions away: its users poll, and `listen()` rejects.
   * Left out where it does listen.
   */
  readonly polls?: boolean;
  /** Listens to a channel until the subscription is closed, also across lost connections. */
  listen(channel: string, listener: ChannelListener): Promise<Subscription>;
  /**
   * Runs a script of several statements without parameters. As PostgreSQL does with a simple query, all of it is one
   * transaction unless the script says otherwise.
   */
  script(text: string): Promise<void>;
  /**
   * Lends one connection until `work` has settled; rejects where it may lead through a pooler. Left out where the client has
   * no such thing: then nothing can be upgraded.
   */
  session?<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
  /**
   * How to open another connection like these, for a thread that keeps leases while a handler blocks the event loop. Left
   * out where only the caller knows.
   */
  address?(): DriverAddress;
  /** For transactional entrypoints. Left out where the client has no transactions to give away. */
  readonly transactions?: Transactions<Transaction>;
  /** Closes the connections if the driver owns them; a client of the caller stays open. */
  close(): Promise<void>;
}
