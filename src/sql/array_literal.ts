/**
 * Lists as the text of a PostgreSQL array (`{1,NULL,"a"}`).
 *
 * Text is the one kind of parameter that every client sends alike: postgres.js infers the type of an array from its
 * first element, and several clients cannot send an array that holds null. See
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO for the syntax.
 */
import { toHex } from "./bytes.ts";

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

/** The text of an array of bytea, in hex. In an array a backslash is written twice. */
export function byteaArray(values: readonly (Uint8Array | null)[]): string {
  const texts = values.map((value) => value === null ? "NULL" : `"\\\\x${toHex(value)}"`);
  return `{${texts.join(",")}}`;
}

/**
 * One value where all are the same, which a statement takes for all of them: a server reads a thousand times the same text
 * a thousand times.
 */
export function uniform<Value>(values: readonly Value[]): readonly Value[] {
  const first = values[0];
  return values.every((value) => value === first) ? values.slice(0, 1) : values;
}

/** No value where all are null. */
export function sparse<Value>(values: readonly (Value | null)[]): readonly (Value | null)[] {
  return values.every((value) => value === null) ? [] : values;
}
