/** Compares the catalog with what this version needs. Pure: `SchemaStore` reads the catalog, `upgrade_plan.ts` mends it. */
import type { Settings } from "../settings.ts";
import { scripts } from "../sql/generated.ts";
import { ENQUEUE_VERSION, objectNames, render } from "../sql/render.ts";
import {
  costlyIndexesOf,
  functionsOf,
  indexesOf,
  keysOf,
  LABELS,
  parametersOf,
  publicFunctionsOf,
  SERIAL,
  tablesOf,
} from "./schema_parts.ts";

/** One row of the statement `inspect`. */
export interface CatalogRow {
  readonly kind: string;
  readonly name: string;
  readonly detail: string;
}

/** What the catalog has of ours: for each name what else it says. */
export interface Catalog {
  readonly tables: ReadonlyMap<string, string>;
  readonly columns: ReadonlyMap<string, string>;
  readonly sequences: ReadonlyMap<string, string>;
  readonly indexes: ReadonlyMap<string, string>;
  readonly keys: ReadonlyMap<string, string>;
  readonly labels: ReadonlySet<string>;
  readonly typeKind: string | undefined;
  readonly functions: ReadonlyMap<string, string>;
  readonly triggers: ReadonlyMap<string, string>;
  readonly parameters: ReadonlyMap<string, string>;
  /** Bytes of each table. */
  readonly sizes: ReadonlyMap<string, string>;
  /** Of the server, such as 150004. */
  readonly version: number;
}

/** Sorts the rows of `inspect`. */
export function catalogOf(rows: readonly CatalogRow[], settings: Settings): Catalog {
  const of = (kind: string): Map<string, string> =>
    new Map(rows.filter((row) => row.kind === kind).map((row) => [row.name, row.detail]));
  return {
    tables: of("table"),
    columns: of("column"),
    sequences: of("sequence"),
    indexes: of("index"),
    keys: of("key"),
    labels: new Set(of("label").keys()),
    typeKind: of("type").get(settings.queueStatusType),
    functions: of("function"),
    triggers: of("trigger"),
    parameters: of("parameter"),
    sizes: of("size"),
    version: Number(of("server").get("version")),
  };
}

/** How much a difference matters. Without what is `fatal` a worker cannot run; what is `advised` no worker misses. */
export type Weight = "fatal" | "needed" | "advised";

/** One thing in which the catalog is not as this version needs it. */
export interface Difference {
  /** What it is about, such as `column pgqueuer.slot` or `column pgqueuer.updated not null`. */
  readonly part: string;
  /** Not there, there in another form, or there and in the way. */
  readonly state: "missing" | "different" | "extra";
  readonly weight: Weight;
}

/** Lists all differences, in the order in which they can be mended. */
export function differencesOf(catalog: Catalog, settings: Settings): Difference[] {
  return [
    ...typeDifferences(catalog, settings),
    ...Object.entries(tablesOf(settings)).flatMap(([table, columns]) =>
      catalog.tables.has(table)
        ? columnDifferences(table, columns, catalog)
        : [missing(`table ${table}`)]
    ),
    ...indexDifferences(catalog, settings),
    ...functionDifferences(catalog, settings),
    ...triggerDifferences(catalog, settings),
    ...Object.entries(parametersOf(settings))
      .filter(([name]) => catalog.tables.has(name.split(".")[0]!) && !catalog.parameters.has(name))
      .map(([name]) => missing(`parameter ${name}`, "advised")),
  ];
}

function missing(part: string, weight: Weight = "fatal"): Difference {
  return { part, state: "missing", weight };
}

function different(part: string, weight: Weight = "needed"): Difference {
  return { part, state: "different", weight };
}

function typeDifferences({ typeKind, labels }: Catalog, settings: Settings): Difference[] {
  return typeKind === undefined
    ? [missing(`type ${settings.queueStatusType}`)]
    : LABELS.filter((label) => !labels.has(label)).map((label) => missing(`label ${label}`));
}

/** Such as `bigint not null default 0`, in its parts. */
function parsed(spec: string): { type: string; notNull: boolean; fallback: string } {
  const [, type = "", notNull, fallback = ""] = /^(.*?)( not null)?(?: default (.*))?$/.exec(spec)!;
  return { type, notNull: notNull !== undefined, fallback };
}

function columnDifferences(
  table: string,
  columns: Readonly<Record<string, string>>,
  catalog: Catalog,
): Difference[] {
  const found = Object.entries(columns).flatMap(([column, spec]): Difference[] => {
    const name = `${table}.${column}`;
    const actual = catalog.columns.get(name);
    if (actual === undefined) return [missing(`column ${name}`)];
    const [is, wanted] = [parsed(actual), parsed(spec)];
    const narrow = is.type === "integer" && wanted.type === "bigint";
    const sequence = catalog.sequences.get(name) ?? "bigint";
    const serial = spec === SERIAL && is.fallback.startsWith("nextval(");
    return [
      // Ids of four bytes do until they run out.
      ...(is.type === wanted.type
        ? []
        : [different(`column ${name} as ${wanted.type}`, narrow ? "needed" : "fatal")]),
      ...(sequence === "bigint" ? [] : [different(`sequence of ${name} as bigint`)]),
      ...(is.fallback === wanted.fallback || serial ? [] : [
        different(
          wanted.fallback === ""
            ? `column ${name} without default`
            : `column ${name} default ${wanted.fallback}`,
          wanted.fallback === "" ? "needed" : "fatal",
        ),
      ]),
      ...(is.notNull === wanted.notNull ? [] : [
        wanted.notNull
          ? different(`column ${name} not null`)
          : different(`column ${name} nullable`, "fatal"),
      ]),
    ];
  });
  // Nobody writes a column that this version does not know.
  const strangers = [...catalog.columns].filter(([name, spec]) =>
    name.startsWith(`${table}.`) && !Object.hasOwn(columns, name.slice(table.length + 1)) &&
    parsed(spec).notNull && parsed(spec).fallback === ""
  );
  return [...found, ...strangers.map(([name]) => different(`column ${name} nullable`, "fatal"))];
}

function indexDifferences(catalog: Catalog, settings: Settings): Difference[] {
  const { indexes, keys, tables } = catalog;
  return [
    ...keysOf(settings).filter((key) => !keys.has(key)).map((key) =>
      missing(`key ${key}`, "needed")
    ),
    ...Object.entries(indexesOf(settings)).flatMap(([name, definition]): Difference[] => {
      const actual = indexes.get(name) ?? "invalid";
      if (actual === "invalid") return [missing(`index ${name}`, "needed")];
      return actual === definition ? [] : [different(`index ${name} as defined`)];
    }),
    ...costlyIndexesOf(settings).filter((name) => indexes.has(name))
      .map((name): Difference => ({
        part: `index ${name} dropped`,
        state: "extra",
        weight: "advised",
      })),
  ].filter(({ part }) => !part.startsWith("key ") || tables.has(part.split(" ")[1]!));
}

/** The functions of a script as `inspect` gives them, by name: each body, and the settings that go with it. */
function definitionsOf(script: string, settings: Settings): Map<string, string> {
  const text = render(script, objectNames({ ...settings, schema: null }));
  const definitions = new Map<string, string>();
  for (
    const [, name, body, options] of text.matchAll(
      /FUNCTION (\w+)\([^$]*?AS \$\$([^]*?)\$\$([^;]*);/g,
    )
  ) {
    const set = [...options!.matchAll(/SET (\w+) = (\w+)/g)].map(([, key, to]) => `${key}=${to}`);
    definitions.set(name!, [body, ...set].join(" "));
  }
  return definitions;
}

function functionDifferences({ functions }: Catalog, settings: Settings): Difference[] {
  const definitions = definitionsOf(scripts.functions, settings);
  return [
    ...functionsOf(settings).flatMap((name): Difference[] => {
      const actual = functions.get(name);
      if (actual === undefined) return [missing(`function ${name}`)];
      // That of the trigger may be Python's, which sends the same, as long as it sends there.
      const same = name === settings.function
        ? actual.includes(`'${settings.channel}'`)
        : actual === definitions.get(name);
      return same ? [] : [different(`function ${name} as defined`)];
    }),
    ...publicFunctionDifferences(functions, settings),
  ];
}

function publicFunctionDifferences(
  functions: Catalog["functions"],
  settings: Settings,
): Difference[] {
  const versionOf = (detail: string): number => Number(/^version (\d+)/.exec(detail)?.[1] ?? 0);
  // A later release may have other signatures: ours beside them would only make calls ambiguous.
  if ([...functions.values()].some((detail) => versionOf(detail) > ENQUEUE_VERSION)) return [];
  const wanted = `version ${ENQUEUE_VERSION}, log ${settings.log}`;
  return publicFunctionsOf(settings).flatMap((name): Difference[] => {
    const detail = functions.get(name);
    if (detail === wanted) return [];
    return detail === undefined
      ? [missing(`function ${name}`, "needed")]
      : [different(`function ${name} of ${wanted}`)];
  });
}

/** After each statement that inserts, updates, deletes or truncates, as bits of the catalog. */
const EVENTS = 4 + 8 + 16 + 32;

function triggerDifferences({ triggers }: Catalog, settings: Settings): Difference[] {
  const actual = triggers.get(settings.trigger);
  if (actual === undefined) return [missing(`trigger ${settings.trigger}`)];
  if (actual === "off") return [different(`trigger ${settings.trigger} turned on`)];
  return actual === `${EVENTS} ${settings.function}`
    ? []
    : [different(`trigger ${settings.trigger} as defined`)];
}
