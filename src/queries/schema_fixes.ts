import type { Settings } from "../settings.ts";
import { scripts, upgradeSteps } from "../sql/generated.ts";
import { literal, printedLine, qualified } from "../sql/printed.ts";
import { objectNames, render } from "../sql/render.ts";

/**
 * The statement that mends one difference of the schema, from the same files that `install` sends.
 *
 * @param part What {@linkcode Queries.verify} calls it, such as `index pgqueuer_ready_idx`.
 * @param options `invalid`: the index is there, as what is left of a build that failed.
 * @returns SQL for psql; or the command that mends it, where it takes more than one statement.
 */
export function fixOf(
  part: string,
  settings: Settings,
  options: { invalid: boolean } = { invalid: false },
): string {
  const [kind, name = "", ...rest] = part.split(" ");
  const change = rest.join(" ");
  const fixes: Record<string, () => string | undefined> = {
    index: () => indexFix(name, change, settings, options.invalid),
    column: () => columnFix(name, change, settings),
    label: () => printedLine("add_label", settings, { label: literal(name) }),
    trigger: () => triggerFix(name, change, settings),
    key: () => printedLine("add_key", settings, { table: qualified(name, settings), key: change }),
    // "sequence of pgqueuer.id as bigint"
    sequence: () => printedLine("widen_sequence", settings, placeOf(rest[0]!, settings)),
    swap: () =>
      printedLine("swap_index", settings, {
        index: qualified(name, settings),
        built: qualified(`${name}_new`, settings),
        name,
      }),
  };
  return fixes[kind!]?.() ?? "pgq upgrade";
}

/** Creates or drops an index so that nobody has to wait for it, if it must be `beside` the writes. */
export function changeIndex(sql: string, { beside }: { beside: boolean }): string {
  return beside ? sql.replace(/INDEX (?=IF )/, "INDEX CONCURRENTLY ") : sql;
}

/** An index as `sql/indexes.sql` creates it. */
export interface WrittenIndex {
  readonly table: string;
  readonly sql: string;
}

/** The statements of `sql/indexes.sql`, each on one line, by the name of the index. Of two forms the later one is newer. */
export function readIndexes(
  settings: Settings,
  version: number = Infinity,
): Map<string, WrittenIndex> {
  const text = render(scripts.indexes, objectNames(settings)).replace(/--.*/g, "");
  const pattern = /(EXECUTE ')?(CREATE (?:UNIQUE )?INDEX IF NOT EXISTS (\w+)\s+ON (\S+)\s[^;]*;)/g;
  const indexes = new Map<string, WrittenIndex>();
  for (const [, quoted, create = "", name = "", table = ""] of text.matchAll(pattern)) {
    const line = create.replace(/\s*\n\s*/g, " ");
    const sql = quoted === undefined ? line : line.replace(/';$/, ";").replaceAll("''", "'");
    if (version >= 110000 || !/ INCLUDE /.test(sql)) indexes.set(name, { table, sql });
  }
  return indexes;
}

/** Without a lock that would hold up jobs, however long the table is. */
function indexFix(
  name: string,
  change: string,
  settings: Settings,
  invalid: boolean,
): string | undefined {
  const drop = printedLine("drop_index", settings, { index: qualified(name, settings) });
  if (change === "dropped") return drop;
  // Of an index in another form, the old one has to serve until the new one is there.
  if (change !== "") return undefined;
  const index = readIndexes(settings).get(name);
  if (index === undefined) return undefined;
  const create = changeIndex(index.sql, { beside: true });
  return invalid ? `${drop} ${create}` : create;
}

/** Such as `pgqueuer.slot`, as values of holes. */
function placeOf(name: string, settings: Settings): { table: string; column: string } {
  const [table = "", column = ""] = name.split(".");
  return { table: qualified(table, settings), column };
}

function columnFix(name: string, change: string, settings: Settings): string | undefined {
  const place = placeOf(name, settings);
  const [word, ...rest] = change.split(" ");
  const value = rest.join(" ");
  switch (word) {
    case "as":
      return printedLine("change_column", settings, { ...place, type: value });
    case "default":
      return value === "identity"
        ? undefined
        : printedLine("set_default", settings, { ...place, value });
    case "without":
      return printedLine("drop_default", settings, place);
    case "not":
      return printedLine("set_not_null", settings, place);
    case "nullable":
      return printedLine("drop_not_null", settings, place);
  }
  const steps = Object.values(upgradeSteps).join("\n");
  const pattern = /^ALTER TABLE (\S+ ADD COLUMN IF NOT EXISTS \w+)\s[^;]*;/gm;
  const added = `${place.table} ADD COLUMN IF NOT EXISTS ${place.column}`;
  return found(steps, pattern, added, settings);
}

function triggerFix(name: string, change: string, settings: Settings): string | undefined {
  if (change === "turned on") return printedLine("enable_trigger", settings);
  if (change !== "") return undefined;
  return found(scripts.notify, /^CREATE TRIGGER (\w+)\s[^;]*;/gm, name, settings);
}

/** The statement of a script, on one line, whose name by the pattern is this one. */
function found(
  script: string,
  pattern: RegExp,
  name: string,
  settings: Settings,
): string | undefined {
  const text = render(script, objectNames(settings)).replace(/--.*/g, "");
  return [...text.matchAll(pattern)].find(([, found]) => found === name)?.[0]
    .replace(/\s*\n\s*/g, " ");
}
