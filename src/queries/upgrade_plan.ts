/** What an upgrade has to do, from the differences of a catalog. Pure: `upgrade.ts` does it. */
import type { Settings } from "../settings.ts";
import { scripts, upgradeSteps } from "../sql/generated.ts";
import { printedLine, qualified } from "../sql/printed.ts";
import { objectNames, render, Statements } from "../sql/render.ts";
import { type Catalog, type Difference, differencesOf } from "./schema_differences.ts";
import { changeIndex, fixOf, readIndexes } from "./schema_fixes.ts";

/** From this size on an index is built beside the writes, which takes twice as long as a build that holds them up. */
export const LARGE_TABLE_BYTES = 10_000_000;

/** What others have to wait for while a step runs. */
export type Blocks = "nothing" | "writes" | "reads and writes";

/** One step of an upgrade: run by itself, and harmless where it has been run before. */
export interface UpgradeStep {
  /** The file and the place of a step in `sql/upgrade`, such as `0001.8`; `labels`, `tables`, `indexes`, `functions`, `repair`. */
  readonly step: string;
  /** What it does, in a few words. */
  readonly what: string;
  /** What it mends, as {@linkcode Queries.verify} calls it. */
  readonly mends: readonly string[];
  /** The SQL that is sent. */
  readonly sql: string;
  /** The strongest lock that it takes, and on which table. `null`: none that jobs could meet. */
  readonly lock: string | null;
  readonly on: string | null;
  /** What waits while it holds the lock. */
  readonly blocks: Blocks;
  /** How long that is: `"moment"`, or as long as it takes to read or write the whole table. */
  readonly duration: "moment" | "scan" | "rewrite";
}

/** A step as its file describes it. */
interface WrittenStep {
  readonly step: string;
  readonly what: string;
  readonly mends: readonly string[];
  readonly table: string;
  readonly lock: string;
  /** Whether the table is written anew: always, or before this version of the server. */
  readonly rewritesBefore: number;
  readonly sql: string;
}

/** Which steps to leave out. */
export interface PlanOptions {
  /** `false`: ids of four bytes stay, since the tables would be written anew. */
  readonly widenId: boolean;
}

/** The steps that this catalog needs, in the order in which they run. */
export function planUpgrade(
  catalog: Catalog,
  settings: Settings,
  { widenId }: PlanOptions,
): UpgradeStep[] {
  const differences = differencesOf(catalog, settings)
    .filter(({ part }) => widenId || !isNarrowId(part));
  const written = writtenSteps(settings);
  const known = new Set(written.flatMap(({ mends }) => mends));
  const of = (kind: RegExp): Difference[] => differences.filter(({ part }) => kind.test(part));
  const parts = differences.map(({ part }) => part);
  return [
    ...of(/^label /).map((difference) => labelStep(difference, settings)),
    ...scriptStep("tables", "Create what is missing", of(/^(type|table) /), ["install"], settings),
    ...columnsAtOnce(
      written.filter(({ mends }) => mends.some((part) => parts.includes(part)))
        .map((step) => asStep(step, parts, catalog, settings)),
    ),
    ...of(/^(column|key|sequence) /).filter(({ part }) => !known.has(part))
      .map((difference) => repairStep(difference, settings)),
    ...indexSteps(of(/^index /).filter(({ part }) => !known.has(part)), catalog, settings),
    ...scriptStep(
      "functions",
      "Create functions",
      of(/^function /).filter(({ part }) => part.split(" ")[1] !== settings.function),
      ["functions", "enqueue"],
      settings,
    ),
    ...notifyStep(
      [
        ...of(/^function /).filter(({ part }) => part.split(" ")[1] === settings.function),
        ...of(/^trigger /),
      ],
      settings,
    ),
  ];
}

function isNarrowId(part: string): boolean {
  return / as bigint$/.test(part);
}

/** Reads the files of `sql/upgrade`: see the head of the first one. */
function writtenSteps(settings: Settings): WrittenStep[] {
  return Object.entries(upgradeSteps).flatMap(([file, text]) =>
    render(text, objectNames(settings)).split(/^-- step: /m).slice(1).map((block, index) => {
      const [what = "", ...lines] = block.trim().split("\n");
      const notes = lines.filter((line) => line.startsWith("--   "))
        .map((line) => line.slice(5));
      const values = (word: string): string[] =>
        notes.filter((line) => line.startsWith(`${word} `)).map((line) =>
          line.slice(word.length + 1)
        );
      const [, table = "", lock = ""] = /^(\S+) (.*)$/.exec(values("locks")[0] ?? "") ?? [];
      const [rewrites = ""] = values("rewrites");
      return {
        step: `${file.slice(0, 4)}.${index + 1}`,
        what,
        mends: values("mends"),
        table,
        lock,
        rewritesBefore: rewrites === "always"
          ? Infinity
          : Number(/\d+$/.exec(rewrites)?.[0] ?? 0) * 10_000,
        sql: lines.filter((line) => !line.startsWith("--   ")).join("\n").trim(),
      };
    })
  );
}

function asStep(
  { step, what, mends, table, lock, rewritesBefore, sql }: WrittenStep,
  parts: readonly string[],
  catalog: Catalog,
  settings: Settings,
): UpgradeStep {
  const beside = /^DROP INDEX /.test(sql) && isLarge(table, catalog);
  return {
    step,
    what,
    mends: mends.filter((part) => parts.includes(part)),
    sql: changeIndex(sql, { beside }),
    lock: beside ? "SHARE UPDATE EXCLUSIVE" : lock,
    on: nameOf(table, settings),
    blocks: beside || lock === "SHARE UPDATE EXCLUSIVE" ? "nothing" : "reads and writes",
    duration: catalog.version < rewritesBefore ? "rewrite" : "moment",
  };
}

/** What follows the name of the table where a step does nothing but add a column. */
const ADDS_COLUMN = /^ALTER TABLE \S+( ADD COLUMN [^;]+);$/;

/**
 * Makes one step of all that add a column to the same table. A prepared statement of a worker that runs fails once its rows
 * have become wider. Its client prepares it again, and many do so once: two changes in a row would end the worker.
 */
function columnsAtOnce(steps: readonly UpgradeStep[]): UpgradeStep[] {
  const adding = steps.filter(({ sql }) => ADDS_COLUMN.test(sql));
  return steps.flatMap((step): UpgradeStep[] => {
    const all = adding.filter(({ on }) => on === step.on);
    if (all.length < 2 || !all.includes(step)) return [step];
    if (step !== all[0]) return [];
    const columns = all.map(({ sql }) => ADDS_COLUMN.exec(sql)![1]!);
    return [{
      ...step,
      step: all.map((one) => one.step).join(" "),
      what: `Add the columns ${
        all.map(({ what }) => what.replace("Add the column ", "")).join(", ")
      }`,
      mends: all.flatMap(({ mends }) => mends),
      sql: step.sql.replace(columns[0]!, () => columns.join(",\n   ")),
      duration: all.some(({ duration }) => duration === "rewrite") ? "rewrite" : step.duration,
    }];
  });
}

function labelStep({ part }: Difference, settings: Settings): UpgradeStep {
  return {
    step: "labels",
    what: `Add the ${part}`,
    mends: [part],
    sql: fixOf(part, settings),
    lock: null,
    on: null,
    blocks: "nothing",
    duration: "moment",
  };
}

function repairStep({ part }: Difference, settings: Settings): UpgradeStep {
  return {
    step: "repair",
    what: `Mend ${part}`,
    mends: [part],
    sql: fixOf(part, settings),
    lock: "ACCESS EXCLUSIVE",
    on: part.split(/[ .]/)[part.startsWith("sequence of") ? 2 : 1]!,
    blocks: "reads and writes",
    duration: / as /.test(part) ? "rewrite" : / not null$|^key /.test(part) ? "scan" : "moment",
  };
}

/** Scripts that are safe to repeat, and lock no table that jobs are in. */
function scriptStep(
  step: string,
  what: string,
  differences: readonly Difference[],
  names: readonly (keyof typeof scripts)[],
  settings: Settings,
): UpgradeStep[] {
  if (differences.length === 0) return [];
  const sql = new Statements(settings);
  return [{
    step,
    what: `${what}: ${differences.map(({ part }) => part).join(", ")}`,
    mends: differences.map(({ part }) => part),
    sql: names.map((name) => sql.render(scripts[name])).join("\n"),
    lock: null,
    on: null,
    blocks: "nothing",
    duration: "moment",
  }];
}

function notifyStep(differences: readonly Difference[], settings: Settings): UpgradeStep[] {
  const [step] = scriptStep("functions", "Create", differences, ["notify"], settings);
  if (step === undefined) return [];
  const on = settings.queueTable;
  return [{ ...step, lock: "ACCESS EXCLUSIVE", on, blocks: "reads and writes" }];
}

function isLarge(table: string, catalog: Catalog): boolean {
  const name = table.split(".").at(-1)!;
  return Number(catalog.sizes.get(name) ?? 0) >= LARGE_TABLE_BYTES;
}

function nameOf(table: string, { schema }: Settings): string {
  return schema === null ? table : table.slice(schema.length + 1);
}

function indexSteps(
  differences: readonly Difference[],
  catalog: Catalog,
  settings: Settings,
): UpgradeStep[] {
  const written = readIndexes(settings, catalog.version);
  return differences.flatMap(({ part, state }) => {
    const name = part.split(" ")[1]!;
    const index = written.get(name);
    if (index === undefined) return [];
    const table = nameOf(index.table, settings);
    const beside = isLarge(table, catalog);
    const step = (
      what: string,
      sql: string,
      lock: string,
      blocks: Blocks,
      duration: UpgradeStep["duration"],
    ): UpgradeStep => ({
      step: "indexes",
      what,
      mends: [part],
      sql,
      lock,
      on: table,
      blocks,
      duration,
    });
    const drop = (of: string): UpgradeStep =>
      step(
        `Drop what is left of a build of ${of}`,
        printedLine("drop_index", settings, { index: qualified(of, settings) }),
        "SHARE UPDATE EXCLUSIVE",
        "nothing",
        "moment",
      );
    const build = (as: string): UpgradeStep =>
      step(
        `Build the index ${as}`,
        changeIndex(index.sql.replace(name, as), { beside }),
        beside ? "SHARE UPDATE EXCLUSIVE" : "SHARE",
        beside ? "nothing" : "writes",
        "scan",
      );
    if (state === "missing") {
      return [...(catalog.indexes.get(name) === "invalid" ? [drop(name)] : []), build(name)];
    }
    // The older one serves, and keeps what is unique so, until the new one is there.
    const fresh = `${name}_new`;
    return [
      ...(catalog.indexes.has(fresh) ? [drop(fresh)] : []),
      build(fresh),
      step(
        `Put it in the place of ${name}`,
        fixOf(`swap ${name}`, settings),
        "ACCESS EXCLUSIVE",
        "reads and writes",
        "moment",
      ),
    ];
  });
}
