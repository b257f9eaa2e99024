import type { Settings } from "../settings.ts";
import { printed } from "./generated.ts";
import { objectNames, render } from "./render.ts";

/** Name of a text in `sql/print`. */
export type PrintedName = keyof typeof printed;

/** SQL for somebody else to run, with the comment that says what it does. */
export function printedSql(
  name: PrintedName,
  settings: Settings,
  values: Readonly<Record<string, string>> = {},
): string {
  return render(printed[name], {
    ...objectNames(settings),
    prefix: settings.prefix,
    ...values,
  });
}

/** The same on one line, without the comment. */
export function printedLine(
  name: PrintedName,
  settings: Settings,
  values: Readonly<Record<string, string>> = {},
): string {
  return printedSql(name, settings, values).replace(/^--.*\n/gm, "").replace(/\s*\n\s*/g, " ");
}

/** A text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A name with the schema in front, where the settings name one. */
export function qualified(name: string, { schema }: Settings): string {
  return schema === null ? name : `${schema}.${name}`;
}
