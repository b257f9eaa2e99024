/** The parts of docs/cli.md that follow from the commands: `npm run docs` writes them, a test compares. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { type Command, type Flag, GLOBAL_FLAGS } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/main.ts";

/** Where the document is. */
export const DOCUMENT: string = fileURLToPath(new URL("../../docs/cli.md", import.meta.url));

const GLOBAL_HEADING = "## Flags of every command";

/** The same document with the tables of flags, and the headings that have none yet, as the commands say. */
export function refreshed(markdown: string): string {
  const [head, ...sections] = markdown.split(/^(?=## )/m);
  const known = new Map(sections.map((section) => [section.split("\n", 1)[0]!, section]));
  const wanted = [
    ...[...known].filter(([heading]) => !heading.startsWith("## pgq "))
      .map(([heading, section]) =>
        heading === GLOBAL_HEADING ? withTable(section, GLOBAL_FLAGS) : section
      ),
    ...COMMANDS.map((command) => sectionOf(command, known.get(`## pgq ${command.name}`))),
  ];
  return [head!.trimEnd(), ...wanted.map((section) => section.trimEnd())].join("\n\n") + "\n";
}

function sectionOf(command: Command, section: string | undefined): string {
  const usage = ["pgq", command.name, ...command.args.map(({ name }) => name)].join(" ");
  return withTable(
    section ?? `## pgq ${command.name}\n\n${command.summary}.\n\n\`${usage} [flags]\`\n`,
    [...command.args.map(({ name, summary }) => ({ flags: name, summary })), ...command.flags],
  );
}

/** Puts the table in place of the one that is there, else at the end. */
function withTable(section: string, flags: readonly Flag[]): string {
  const rows = flags.map(({ flags, summary }) =>
    `| \`${flags}\` | ${summary.replaceAll("|", "\\|")} |`
  );
  const table = rows.length === 0 ? "" : ["| | |", "| - | - |", ...rows].join("\n");
  const old = /(?:^\|.*\n?)+/m;
  if (old.test(section)) return section.replace(old, () => table === "" ? "" : `${table}\n`);
  return table === "" ? section : `${section.trimEnd()}\n\n${table}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(DOCUMENT, refreshed(readFileSync(DOCUMENT, "utf8")));
}
