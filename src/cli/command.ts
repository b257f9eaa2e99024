import type { Terminal } from "./terminal.ts";

/** A mistake on the command line. Ends the process with code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something that a user can mend, said in one line. Ends the process with code 1. */
export class CliError extends Error {
  override readonly name = "CliError";
  /** Printed below the line, such as the stack of the user's own code. */
  readonly details: string | undefined;

  constructor(message: string, options: ErrorOptions & { details?: string | undefined } = {}) {
    super(message, options);
    this.details = options.details;
  }
}

/** A flag of a command. */
export interface Flag {
  /** As the help shows it, such as `-d, --durability <level>`. */
  readonly flags: string;
  /** What it does, and its default. */
  readonly summary: string;
}

/** What stood on the command line. */
export interface Input {
  /** What stood without a flag, the factory's arguments behind `--` included. */
  readonly args: readonly string[];
  /** Values by the camelCase name of their flag: text, or a boolean for a flag without a value. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** All that a command may touch. */
export interface Surroundings {
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** URL of the file that this process was started with, to start another one like it. */
  readonly entry: string;
  /** Writes a line of data to stdout. */
  print(line: string): void;
  /** Writes a message to stderr. */
  say(line: string): void;
  /** Aborts when nobody reads stdout any more: a command that goes on for ever ends. */
  readonly readerGone?: AbortSignal | undefined;
  /** The terminal that shows stdout. `undefined` where it is a file or a pipe: no colours, no tables then. */
  readonly terminal?: Terminal | undefined;
}

/** One command. Knows nothing of the library that reads the command line. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** As the help shows them, such as `<entrypoint>` and `[payload]`. */
  readonly args: readonly { readonly name: string; readonly summary: string }[];
  readonly flags: readonly Flag[];
  /** Printed at the end of the help. */
  readonly notes: string;
  /** Does it and gives the exit code: 0 done, 1 did not do all that was asked. */
  run(input: Input, surroundings: Surroundings): Promise<number>;
}

/** Flags that every command takes. */
export const GLOBAL_FLAGS: readonly Flag[] = [
  {
    flags: "--pg-dsn <dsn>",
    summary: "database, such as postgresql://user:password@host:5432/database " +
      "(default: PGQUEUER_DSN, PGDSN, DATABASE_URL, or PGHOST and its like)",
  },
  {
    flags: "--listen-dsn <dsn>",
    summary: "the same past a pooler, for LISTEN only, or none to poll (default: " +
      "PGQUEUER_LISTEN_DSN, else as above)",
  },
  {
    flags: "--prefix <text>",
    summary: "put in front of the names of all tables (default: PGQUEUER_PREFIX)",
  },
  {
    flags: "--schema <name>",
    summary: "PostgreSQL schema that holds the tables (default: PGQUEUER_SCHEMA)",
  },
  { flags: "--json", summary: "print JSON, of the form that docs/cli.md gives" },
];
