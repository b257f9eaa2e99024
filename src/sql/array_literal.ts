/**
 * Lists as the text of a PostgreSQL array (`{1,NULL,"a"}`).
 *
 * Text is the one kind of parameter that every client sends alike: postgres.js infers the type of an array from its
 * first element, and several clients cannot send an array that holds null. See
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO for the syntax.
 */

/** The text of an array of numbers. */
export function numberArray(values: readonly number[]): string {
  return `{${values.join(",")}}`;
}

/** The text of an array of strings, each quoted: NULL, commas and braces in one then mean nothing. */
export function textArray(values: readonly (string | null)[]): string {
  let text = "{";
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (index > 0) text += ",";
    text += value === null ? "NULL" : quoted(value);
  }
  return text + "}";
}

function quoted(value: string): string {
  return /["\\]/.test(value) ? `"${value.replace(/["\\]/g, "\\$&")}"` : `"${value}"`;
}

const HEX: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);

/** The text of an array of bytea, in hex. */
export function byteaArray(values: readonly (Uint8Array | null)[]): string {
  let text = "{";
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (index > 0) text += ",";
    if (value === null) {
      text += "NULL";
      continue;
    }
    text += '"\\\\x';
    for (let at = 0; at < value.length; at++) text += HEX[value[at]!];
    text += '"';
  }
  return text + "}";
}
