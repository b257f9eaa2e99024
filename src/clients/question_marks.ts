import type { Parameter } from "../driver.ts";

/**
 * Writes a statement for clients that know `?` only: each `$n` becomes one, with its value in that place, and a `?` of the
 * statement itself gets a backslash. Comments go, as they speak of parameters too.
 *
 * No statement of ours has a `$1` or `--` in a string: a test sees to it.
 */
export function withQuestionMarks(
  text: string,
  parameters: readonly Parameter[],
): { text: string; values: Parameter[] } {
  const values: Parameter[] = [];
  const escaped = text.replace(/--.*/g, "").replace(/\?/g, "\\?");
  const written = escaped.replace(/\$(\d+)/g, (_, number: string) => {
    values.push(parameters[Number(number) - 1]!);
    return "?";
  });
  return { text: written, values };
}
