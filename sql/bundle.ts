/**
 * Writes `src/sql/generated.ts` from the `.sql` files beside this file: `tsx sql/bundle.ts`, or with `--check` says
 * whether the committed bundle is fresh. The library reads no file at run time, since JSR and bundlers have none.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const target = fileURLToPath(new URL("../src/sql/generated.ts", import.meta.url));

/** One `-- name:` block of a file of queries. */
export interface NamedStatement {
  readonly name: string;
  /** The comment lines between the name and the statement. */
  readonly comment: string;
  readonly text: string;
}

/** Splits a file of queries at its `-- name:` lines. What stands before the first one is the file's own comment. */
export function namedStatements(source: string): NamedStatement[] {
  return source.split(/^-- name: /m).slice(1).map((block) => {
    const lines = block.trimEnd().split("\n");
    const name = lines[0]!.trim();
    const end = lines.findIndex((line, index) => index > 0 && !line.startsWith("--"));
    return {
      name,
      comment: lines.slice(1, end).join("\n"),
      text: lines.slice(end).join("\n").trim().replace(/;$/, ""),
    };
  });
}

/** Scripts of several statements, by file name without its ending: what `install` and its kin send as one text. */
function scripts(): Record<string, string> {
  const functions = sqlFiles("functions").map(({ text }) => text).join("\n\n");
  const scripts = sqlFiles(".").map(({ name, text }) => [name, text]);
  return { ...Object.fromEntries(scripts), functions };
}

/** The `.sql` files of a folder. */
function sqlFiles(of: string): { name: string; text: string }[] {
  return readdirSync(join(folder, of)).filter((name) => name.endsWith(".sql")).sort()
    .map((name) => ({
      name: name.slice(0, -4),
      text: readFileSync(join(folder, of, name), "utf8").trim(),
    }));
}

/** The `-- name:` blocks of all files of a folder. */
function blocks(of: string): NamedStatement[] {
  const found = readdirSync(join(folder, of)).sort().flatMap((file) =>
    namedStatements(readFileSync(join(folder, of, file), "utf8"))
  );
  for (const [at, { name }] of found.entries()) {
    if (found.findIndex((other) => other.name === name) === at) continue;
    throw new Error(`Cannot bundle as the name "${name}" is used twice`);
  }
  return found;
}

function texts(of: string): Record<string, string> {
  return Object.fromEntries(blocks(of).map(({ name, text }) => [name, text]));
}

/** With the sentence on what each does, for those who read it in a terminal, and the semicolon. */
function printed(): Record<string, string> {
  return Object.fromEntries(
    blocks("print").map(({ name, comment, text }) => {
      const sentence = comment.split("\n").filter((line) => !/^--\s*\{/.test(line)).join("\n");
      return [name, `${sentence}\n${text};`];
    }),
  );
}

/** One `upgrade/` file is one step; the statements of a step are sent one by one. */
function upgradeSteps(): Record<string, string> {
  return Object.fromEntries(sqlFiles("upgrade").map(({ name, text }) => [name, text]));
}

function constant(name: string, doc: string, texts: Record<string, string>): string {
  const entries = Object.entries(texts).map(([key, text]) => {
    const literal = text.replaceAll("\\", "\\\\").replaceAll("`", "\\`").replaceAll("${", "\\${");
    return `  ${/^[a-z_]+$/.test(key) ? key : JSON.stringify(key)}: \`${literal}\`,\n`;
  });
  const keys = Object.keys(texts).map((key) =>
    `  readonly ${/^[a-z_]+$/.test(key) ? key : JSON.stringify(key)}: string;\n`
  );
  return `/** ${doc} */\nexport const ${name}: {\n${keys.join("")}} = {\n${entries.join("")}};\n`;
}

/** The whole text of `src/sql/generated.ts`. */
export function bundle(): string {
  return [
    "// Made by sql/bundle.ts from the files in sql/. Do not edit: change those and run `npm run sql`.\n",
    constant("scripts", "Scripts of several statements, from `sql/*.sql`.", scripts()),
    constant(
      "upgradeSteps",
      "Steps from older schemas, in order, from `sql/upgrade/*.sql`.",
      upgradeSteps(),
    ),
    constant("printed", "SQL that is only printed, from `sql/print/*.sql`.", printed()),
    constant("parts", "Parts of statements, from `sql/parts/*.sql`.", texts("parts")),
    constant("statements", "Single statements, from `sql/queries/*.sql`.", texts("queries")),
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--check")) {
    if (readFileSync(target, "utf8") !== bundle()) {
      console.error('src/sql/generated.ts is not fresh: run "npm run sql"');
      process.exit(1);
    }
  } else {
    writeFileSync(target, bundle());
  }
}
