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
  // Such as "column pgqueuer.id as bigint".
  const [kind, name = "", , ...type] = part.split(" ");
  const fixes: Record<string, () => string | undefined> = {
    index: () => indexFix(name, settings, options.invalid),
    column: () => columnFix(name, type.join(" "), settings),
    label: () => printedLine("add_label", settings, { label: literal(name) }),
    trigger: () => found(scripts.notify, /^CREATE TRIGGER (\w+)\s[^;]*;/gm, name, settings),
  };
  return fixes[kind!]?.() ?? "pgq upgrade";
}

/** Without a lock that would hold up jobs, however long the table is. */
function indexFix(name: string, settings: Settings, invalid: boolean): string | undefined {
  const pattern = /^CREATE (?:UNIQUE )?INDEX IF NOT EXISTS (\w+)\s[^;]*;/gm;
  const create = found(scripts.indexes, pattern, name, settings)
    ?.replace("INDEX IF NOT EXISTS", "INDEX CONCURRENTLY IF NOT EXISTS");
  if (create === undefined || !invalid) return create;
  return `${printedLine("drop_index", settings, { index: qualified(name, settings) })} ${create}`;
}

function columnFix(name: string, type: string, settings: Settings): string | undefined {
  const [table = "", column = ""] = name.split(".");
  // It is there, and of another type.
  if (type !== "") {
    const values = { table: qualified(table, settings), column, type };
    return printedLine("change_column", settings, values);
  }
  const steps = Object.values(upgradeSteps).join("\n");
  const pattern = /^ALTER TABLE (\S+ ADD COLUMN IF NOT EXISTS \w+)\s[^;]*;/gm;
  return found(
    steps,
    pattern,
    `${qualified(table, settings)} ADD COLUMN IF NOT EXISTS ${column}`,
    settings,
  );
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
