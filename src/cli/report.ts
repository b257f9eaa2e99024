import { CliError, UsageError } from "./command.ts";
import { explainError, hidePasswords } from "./explain_error.ts";

/** Whether errors are shown with their stacks, by `PGQ_DEBUG` or `--log-level debug`. */
export function wantsStacks(env: Record<string, string | undefined>, logLevel?: unknown): boolean {
  const variable = env.PGQ_DEBUG;
  if (variable !== undefined && !/^(|0|false|no|off)$/i.test(variable)) return true;
  return /^(debug|notset)$/i.test(String(logLevel));
}

/** What a user sees of an error: a line, with the stack where that was asked for or the error is their own. */
export function reportOf(error: unknown, stacks: boolean): string {
  return hidePasswords(textOf(error, stacks));
}

function textOf(error: unknown, stacks: boolean): string {
  const isOurs = error instanceof UsageError || error instanceof CliError;
  const line = isOurs ? error.message : explainError(error);
  const stack = error instanceof Error ? stackWithCauses(error) : undefined;
  if (stacks) return stack === undefined ? line : `${line}\n${stack}`;
  if (error instanceof CliError && error.details !== undefined) return `${line}\n${error.details}`;
  return line;
}

function stackWithCauses(error: Error): string {
  const stack = error.stack ?? String(error);
  return error.cause instanceof Error
    ? `${stack}\nCaused by: ${stackWithCauses(error.cause)}`
    : stack;
}
