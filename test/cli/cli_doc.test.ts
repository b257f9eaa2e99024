/** docs/cli.md says of each command what its help says, and its examples print what it shows. */
import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/main.ts";
import { DOCUMENT, refreshed } from "./cli_doc.ts";
import { callPgq, TestQueue } from "./fixtures/pgq.ts";

const markdown = readFileSync(DOCUMENT, "utf8");
const queue = new TestQueue();
afterAll(() => queue.drop());

test("arguments and flags of each command are those of its help (npm run docs writes them)", () => {
  expect(plain(markdown)).toBe(plain(refreshed(markdown)));
});

test("each command has an example, its exit codes and the form of its JSON", () => {
  const sections = markdown.split(/^(?=## )/m);
  const lacking = COMMANDS.flatMap(({ name }) => {
    const section = sections.find((text) => text.startsWith(`## pgq ${name}\n`)) ?? "";
    return [
      ...(section.includes(`$ pgq ${name}`) ? [] : [`${name}: an example`]),
      ...(/^Exit codes?: /m.test(section) ? [] : [`${name}: exit codes`]),
      ...(section.includes("--json") ? [] : [`${name}: what --json prints`]),
    ];
  });

  expect(lacking).toEqual([]);
});

test("the examples print what they show, run one after another on an empty database", async () => {
  const shown = [...markdown.matchAll(/^```console\n([^]*?)^```$/gm)].map(([, text]) => text!)
    .join("").split(/^(?=\$ )/m);
  expect(shown.length).toBeGreaterThan(15);

  for (const example of shown) {
    const [line, ...output] = example.trimEnd().split("\n");
    const args = line!.replace(/^\$ pgq /, "").match(/'[^']*'|\S+/g)!
      .map((arg) => arg.replace(/^'(.*)'$/, "$1"));
    const { stdout, stderr } = await callPgq(args, { env: queue.env });

    expect(`${line}\n${bare(stdout + stderr)}`).toBe(`${line}\n${bare(output.join("\n"))}`);
  }
}, 120_000);

/** As it stands in a document about a queue with the usual names: what differs from run to run is taken out. */
function bare(text: string): string {
  return text.replaceAll(`${queue.schema}.`, "").replaceAll(queue.prefix, "")
    .replaceAll(queue.schema, "public")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/\d+(\.\d+)?(ms|s|m|h|d)\b/g, "AGE")
    .replace(/\d+(\.\d+)?(e-\d+)?/g, "0")
    .replace(/[ \t]+/g, " ").replace(/ $/gm, "").trim();
}

/** Without what a formatter may change. */
function plain(text: string): string {
  return text.replace(/-{2,}/g, "-").replace(/ +/g, " ").replace(/\n{2,}/g, "\n\n").trim();
}
