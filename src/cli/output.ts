import type { Input, Surroundings } from "./command.ts";
import { type Column, tableLines } from "./table.ts";

/** Whether `--json` was given. */
export function wantsJson({ flags }: Input): boolean {
  return flags.json === true;
}

/** Prints a value as one line of JSON, or several on a terminal. */
export function printJson({ print, terminal }: Surroundings, value: unknown): void {
  const text = JSON.stringify(value, null, terminal === undefined ? 0 : 2);
  // JSON allows them as they stand; a terminal obeys some of them.
  print(
    text.replace(/[\x7f-\x9f]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}

/** Prints rows as a table on a terminal, else divided by tabs. */
export function printTable<Row>(
  { print, terminal }: Surroundings,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  for (const line of tableLines(columns, rows, terminal)) print(line);
}
