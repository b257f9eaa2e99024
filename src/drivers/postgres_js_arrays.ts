/**
 * Arrays for clients of postgres.js that are made with `fetch_types: false`.
 *
 * postgres.js 3.4.9 asks for the types of arrays by itself, outside of any promise: where the connection ends before the
 * answer, that ends the process. Here the question is the caller's, and fails as any other.
 */
import type { Sql } from "postgres";
import { statements } from "../sql/generated.ts";

type Parse = (text: string) => unknown;
type Serialize = (value: unknown) => unknown;

/** What a client knows of types, by the number of a type. Its own declarations leave it out. */
interface KnownTypes {
  readonly parsers: Record<number, Parse | undefined>;
  readonly serializers: Record<number, Serialize | undefined>;
  readonly shared: { readonly typeArrayMap: Record<number, number> };
}

/** A type of arrays. */
interface ArrayType {
  readonly id: number;
  readonly element: number;
  /** What stands between elements: a comma, and a semicolon between boxes. */
  readonly delimiter: string;
}

/** Asks for the types of arrays, once, so that the client can send and read them. */
export async function learnArrays(client: Sql): Promise<void> {
  const types: ArrayType[] = await client.unsafe(statements.array_types);
  const { parsers, serializers, shared } = client.options as unknown as KnownTypes;
  for (const { id, element, delimiter } of types) {
    shared.typeArrayMap[element] = id;
    // Looked up when they are needed: an element may be a type that the caller teaches the client later.
    parsers[id] ??= (text) => parseArray(text, parsers[element] ?? ((item) => item), delimiter);
    serializers[id] ??= (value) => arrayText(value, serializers[element] ?? String, delimiter);
  }
}

/** The text of an array, as deep as it is. See https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO. */
function arrayText(value: unknown, serialize: Serialize, delimiter: string): unknown {
  // The text of an array, or what else the caller has made of it.
  if (!Array.isArray(value)) return value;
  const items = value.map((item: unknown) => {
    if (item === null) return "NULL";
    if (item === undefined) {
      throw new TypeError("Cannot send an array as it must not hold undefined");
    }
    if (Array.isArray(item)) return arrayText(item, serialize, delimiter);
    return `"${String(serialize(untyped(item))).replace(/["\\]/g, "\\$&")}"`;
  });
  return `{${items.join(delimiter)}}`;
}

/** `sql.typed` gives the value with its type. */
function untyped(item: unknown): unknown {
  const { type, value } = item as { type?: unknown; value?: unknown };
  return type ? value : item;
}

/** The values in the text of an array. Bounds that do not begin at one (`[0:1]={…}`) are left out. */
function parseArray(text: string, parse: Parse, delimiter: string): unknown[] {
  let at = text.indexOf("{") + 1;
  const list = (): unknown[] => {
    const values: unknown[] = [];
    while (at < text.length && text[at] !== "}") {
      if (text[at] === delimiter) at++;
      else if (text[at] === "{") {
        at++;
        values.push(list());
      } else values.push(item());
    }
    at++;
    return values;
  };
  const item = (): unknown => {
    if (text[at] === '"') return parse(quoted());
    const begin = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== "}") at++;
    const value = text.slice(begin, at);
    return value === "NULL" ? null : parse(value);
  };
  const quoted = (): string => {
    let value = "";
    for (at++; at < text.length && text[at] !== '"'; at++) {
      if (text[at] === "\\") at++;
      value += text[at];
    }
    at++;
    return value;
  };
  return list();
}
