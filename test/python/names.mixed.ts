/** Names of the two command lines. */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { expect, test } from "vitest";
import { callPgq } from "../cli/fixtures/pgq.ts";
import { runPython } from "./commands.ts";

const COMMANDS = [
  ...["install", "upgrade", "uninstall", "verify", "durability", "autovac"],
  ...["run", "queue", "failed", "requeue", "schedules", "dashboard", "listen"],
  ...["sql install", "sql upgrade", "sql uninstall", "sql durability", "sql autovac"],
];

/** Prints the help of each command, of all in one process. */
const HELP_OF_ALL = `
import json, sys
from typer.testing import CliRunner
from pgqueuer.adapters.cli.cli import app
commands = json.loads(sys.argv[1])
print(json.dumps({c: CliRunner().invoke(app, [*c.split(), "--help"]).stdout for c in commands}))
`;

/** Of the rows of a help, which begin with them; what stands in its sentences is not meant. */
function flagsOf(help: string): Set<string> {
  const rows = help.match(/^[\u2502* ]*-{1,2}[a-z].*$/gm) ?? [];
  return new Set(
    rows.flatMap((row) =>
      row.match(/^[\u2502* ]*((?:-{1,2}[a-z][a-z-]*,? *)+)/)![1]!.match(/-[a-z-]+/g)!
    ),
  );
}

test("every command, flag and variable of Python's is one of ours, or docs/python.md tells why not", async () => {
  const page = await readFile(new URL("../../docs/python.md", import.meta.url), "utf8");
  const [, differences = ""] = page.split(/^## What stays different$/m);
  const told = new Set(
    [...differences.matchAll(/`([^`]+)`/g)].map(([, code]) => code!.replace(/\s+/g, " ")),
  );
  const { stdout, stderr } = await runPython(
    ["-c", HELP_OF_ALL, JSON.stringify(["", ...COMMANDS])],
    process.env,
  );
  expect(stderr).toBe("");
  const theirs = JSON.parse(stdout) as Record<string, string>;
  const ourOverview = (await callPgq(["--help"])).stdout;

  const commands = [...theirs[""]!.matchAll(/^\u2502 ([a-z]+) {2,}/gm)].map(([, name]) => name!);
  const unknown = commands.filter((name) => !new RegExp(`^  ${name} `, "m").test(ourOverview))
    .map((name) => `pgq ${name}`);
  for (const [command, help] of Object.entries(theirs)) {
    // Ours has one page for all of pgq sql.
    const ours =
      (await callPgq([...command.split(" ").slice(0, 1).filter(Boolean), "--help"])).stdout;
    const known = flagsOf(ours);
    const words = ["pgq", ...command.split(" ").filter(Boolean)];
    for (const flag of flagsOf(help)) {
      if (!known.has(flag)) unknown.push([...words, flag].join(" "));
    }
    for (const [, variable] of help.matchAll(/\[env var: (\w+)\]/g)) {
      if (!ours.includes(variable!)) unknown.push(variable!);
    }
  }

  expect(commands).toContain("autovac");
  expect(flagsOf(theirs["run"]!)).toContain("--heartbeat-timeout");
  expect(unknown.filter((name) => !told.has(name))).toEqual([]);
});
