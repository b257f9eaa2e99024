import { serverErrorOf } from "../clients/server_error.ts";
import { PgQueuerError, SchemaError } from "../errors.ts";
import type { Settings } from "../settings.ts";

/** The SQLSTATE of a server error, or `undefined` for any other error. */
export function sqlState(error: unknown): string | undefined {
  return serverErrorOf(error)?.code;
}

/** Whether a dedupe key was in use. */
export function isDuplicateKey(error: unknown, settings: Settings): boolean {
  const { code, constraint, message = "" } = serverErrorOf(error) ?? {};
  if (code !== "23505") return false;
  if (constraint !== undefined) return constraint === `${settings.queueTable}_unique_dedupe_key`;
  // A client that passes on nothing but a text: "Key (dedupe_key)=(x) already exists."
  return message.includes(settings.queueTable) || message.includes("(dedupe_key)");
}

/**
 * Turns a server error that has a known cause into one that says what to do. Gives any other error back as it is.
 *
 * @param error What the client threw.
 * @param action What could not be done, such as `enqueue`.
 */
export function explained(error: unknown, action: string, settings: Settings): unknown {
  if (error instanceof PgQueuerError) return error;
  const { code, message = "" } = serverErrorOf(error) ?? {};
  switch (code) {
    case "42883": // undefined_function: of ours, or of somebody's trigger on our tables
      if (!message.includes(`${settings.prefix}fn_pgqueuer_`)) return error;
    // falls through
    case "42P01": // undefined_table
    case "42704": // undefined_object, such as the enum
      return new SchemaError(`Cannot ${action} as ${message}: run "pgq install"`, { cause: error });
    case "3F000": // invalid_schema_name
      return new SchemaError(
        `Cannot ${action} as ${message}: run "pgq install --schema ${settings.schema}"`,
        { cause: error },
      );
    case "42703": // undefined_column
    case "22P02": // invalid_text_representation: a label that an older enum lacks
      return new SchemaError(`Cannot ${action} as ${message}: run "pgq upgrade"`, {
        cause: error,
      });
    case "42P10": // invalid_column_reference: ON CONFLICT finds no unique index
      return new SchemaError(
        `Cannot ${action} as the index of dedupe keys is missing: run "pgq install"`,
        {
          cause: error,
        },
      );
    case "42501": // insufficient_privilege
      return new SchemaError(
        `Cannot ${action} as ${message}: ${grantFor(message, action, settings)}`,
        { cause: error },
      );
    default:
      return error;
  }
}

/** The statement that gives the missing right, from the server's message "permission denied for table x". */
function grantFor(message: string, action: string, settings: Settings): string {
  const [, kind, name = "?"] = /permission denied for (\w+) (\S+)/.exec(message) ?? [];
  const prefix = settings.schema ? `${settings.schema}.` : "";
  switch (kind) {
    case "table":
    case "relation":
      // Who only looks needs no more than to look.
      return /^(read|examine) /.test(action)
        ? `run "GRANT SELECT ON ${prefix}${name} TO <role>"`
        : `run "GRANT SELECT, INSERT, UPDATE, DELETE ON ${prefix}${name} TO <role>"`;
    case "sequence":
      return `run "GRANT USAGE ON SEQUENCE ${prefix}${name} TO <role>"`;
    case "schema":
      return `run "GRANT USAGE ON SCHEMA ${name} TO <role>" (and CREATE for "pgq install")`;
    case "function":
      return `run "GRANT EXECUTE ON FUNCTION ${prefix}${name} TO <role>"`;
    case "database":
      return `run "GRANT CREATE ON DATABASE ${name} TO <role>"`;
    default:
      return "run it as the owner of the tables";
  }
}
