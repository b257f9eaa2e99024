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

const HEX_DIGITS: Uint8Array = new TextEncoder().encode("0123456789abcdef");
const [QUOTE, BACKSLASH, COMMA, X, OPEN, CLOSE, N, U, L] = new TextEncoder().encode('"\\,x{}NUL');

/** The text of an array of bytea, in hex. Written as bytes first: strings that grow by a character are slow. */
export function byteaArray(values: readonly (Uint8Array | null)[]): string {
  let length = 2;
  for (const value of values) length += value === null ? 5 : 2 * value.length + 6;
  const text = new Uint8Array(length);
  let at = 0;
  text[at++] = OPEN!;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (index > 0) text[at++] = COMMA!;
    if (value === null) {
      for (const letter of [N!, U!, L!, L!]) text[at++] = letter;
      continue;
    }
    // In an array a backslash is written twice.
    for (const letter of [QUOTE!, BACKSLASH!, BACKSLASH!, X!]) text[at++] = letter;
    for (let byte = 0; byte < value.length; byte++) {
      text[at++] = HEX_DIGITS[value[byte]! >> 4]!;
      text[at++] = HEX_DIGITS[value[byte]! & 15]!;
    }
    text[at++] = QUOTE!;
  }
  text[at++] = CLOSE!;
  return new TextDecoder().decode(text.subarray(0, at));
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
