import {
  autovacuumScript,
  durabilityScript,
  installScript,
  uninstallScript,
  upgradeScript,
} from "../queries/schema_scripts.ts";
import type { Settings } from "../settings.ts";
import { type Command, type Input, UsageError } from "./command.ts";
import { chooseSettings } from "./connection.ts";
import { flagOf, type FlagValues, readChoice, readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";

const LEVELS = ["volatile", "balanced", "durable"] as const;

const FLAGS = ["durability", "createSchema", "rollback"] as const;

/** What each kind of script is made from, and which flags it obeys. */
const SCRIPTS: Readonly<
  Record<string, {
    readonly flags: readonly string[];
    readonly takesLevel?: true;
    make(
      settings: Settings,
      flags: FlagValues<typeof FLAGS[number]>,
      level: typeof LEVELS[number],
    ): string;
  }>
> = {
  install: {
    flags: ["durability", "createSchema"],
    make: (settings, { createSchema = true }) => installScript(settings, { createSchema }),
  },
  upgrade: { flags: [], make: (settings) => upgradeScript(settings) },
  uninstall: { flags: [], make: (settings) => uninstallScript(settings) },
  durability: {
    flags: [],
    takesLevel: true,
    make: (settings, _, level) => durabilityScript(settings, level),
  },
  autovac: {
    flags: ["rollback"],
    make: (settings, { rollback = false }) => autovacuumScript(settings, { rollback }),
  },
};

const WHAT = Object.keys(SCRIPTS) as [string, ...string[]];

/** `pgq sql` */
export const sql: Command = {
  name: "sql",
  summary: "Print the SQL of a command, without a database",
  args: [
    { name: "<command>", summary: WHAT.join(", ") },
    { name: "[level]", summary: `of durability: ${LEVELS.join(", ")}` },
  ],
  flags: [
    {
      flags: "-d, --durability <level>",
      summary: "of install: volatile, balanced or durable (default: PGQUEUER_DURABILITY, " +
        "else durable)",
    },
    { flags: "--create-schema", summary: "of install: create the schema of --schema (default)" },
    { flags: "--no-create-schema", summary: "of install: leave that out" },
    { flags: "--rollback", summary: "of autovac: take the settings back" },
    { flags: "--no-rollback", summary: "of autovac: make the settings (default)" },
  ],
  notes:
    `For psql or a migration tool. Before PostgreSQL 12 the first statements of upgrade (ALTER TYPE) cannot run
inside a transaction.

Example:
  pgq sql install --schema jobs | psql shop
  pgq sql durability balanced > 0042_balanced.sql`,

  run(input, surroundings) {
    const text = scriptOf(input, surroundings.env);
    if (wantsJson(input)) printJson(surroundings, { sql: text });
    else surroundings.print(text);
    return Promise.resolve(0);
  },
};

function scriptOf(input: Input, env: Record<string, string | undefined>): string {
  const [command, level] = input.args as [string, string | undefined];
  const chosen = SCRIPTS[readChoice("<command>", command, WHAT)]!;
  const flags = readFlags(input.flags, FLAGS);
  for (const name of FLAGS) {
    if (input.flags[name] === undefined || chosen.flags.includes(name)) continue;
    throw new UsageError(
      `Cannot use "${flagOf(name)}" with pgq sql ${command}`,
    );
  }
  if (level !== undefined && !chosen.takesLevel) {
    throw new UsageError(`Cannot use "${level}" as pgq sql ${command} takes no level`);
  }
  const { durability } = flags;
  const settings = chooseSettings(input.flags, env, durability === undefined ? {} : { durability });
  const checked = chosen.takesLevel ? readChoice("[level]", level, LEVELS) : "durable";
  return chosen.make(settings, flags, checked);
}
