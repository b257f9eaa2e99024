/** An error that the server sent, whatever the client made of it. */
export interface ServerError {
  /** SQLSTATE, such as `23505`. */
  readonly code: string;
  readonly message: string;
  /** Name of the constraint that was violated, where the server named one and the client tells. */
  readonly constraint: string | undefined;
}

/** No client wraps an error more often. */
const MOST_WRAPPERS = 5;

/** Finds the server's error in what a client threw. Gives `undefined` for any other error. */
export function serverErrorOf(error: unknown): ServerError | undefined {
  let layer = fields(error);
  for (let depth = 0; layer !== undefined && depth < MOST_WRAPPERS; depth++) {
    // Bun has it as errno, Prisma as originalCode. Prisma's own codes look like one: P2010.
    const code = "clientVersion" in layer
      ? undefined
      : [layer["originalCode"], layer["code"], layer["errno"]].find(isSqlState);
    if (code !== undefined) {
      return {
        code,
        message: String(layer["originalMessage"] ?? layer["message"] ?? ""),
        constraint: constraintOf(layer),
      };
    }
    layer = wrapped(layer);
  }
  return undefined;
}

/**
 * An error that says what to do, where a statement was prepared on one connection and run on another, as a pooler in
 * transaction mode does. `undefined` for any other error.
 */
export function withoutItsStatement(error: unknown): Error | undefined {
  const { code, message } = serverErrorOf(error) ?? {};
  if (code !== "26000" && code !== "42P05") return undefined;
  return new Error(
    `Cannot run a prepared statement as it must stay on its connection (${message}): behind a pooler in transaction mode add "pgbouncer=true" to the DSN, or make the client with { prepare: false }`,
    { cause: error },
  );
}

/** What a client's error is about: Drizzle and Prisma say cause, Sequelize original, TypeORM driverError. */
function wrapped(error: Record<string, unknown>): Record<string, unknown> | undefined {
  const meta = fields(error["meta"]);
  return fields(error["driverError"]) ?? fields(error["original"]) ??
    fields(meta?.["driverAdapterError"]) ?? meta ?? fields(error["cause"]);
}

/** postgres.js says constraint_name, pg constraint, Prisma an object that holds the index. */
function constraintOf(error: Record<string, unknown>): string | undefined {
  const named = error["constraint_name"] ?? error["constraint"];
  const name = fields(named)?.["index"] ?? named;
  return typeof name === "string" ? name : undefined;
}

function fields(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : undefined;
}

/** `EPIPE` of the system has five letters too, but no digit. */
function isSqlState(code: unknown): code is string {
  return typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code);
}
