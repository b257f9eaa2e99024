import type { Settings } from "../settings.ts";
import { CliError, type Command } from "./command.ts";
import { withQueries } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";

/** `pgq install` */
export const install: Command = {
  name: "install",
  summary: "Create the tables, or add what older ones lack",
  args: [],
  flags: [
    {
      flags: "-d, --durability <level>",
      summary: "volatile, balanced or durable: which new tables survive a crash of the server " +
        "(default: PGQUEUER_DURABILITY, else durable)",
    },
    { flags: "--create-schema", summary: "create the schema that --schema names (default)" },
    { flags: "--no-create-schema", summary: "refuse where that schema does not exist" },
  ],
  notes:
    `Run it again after each upgrade of the package: on tables that have everything it changes nothing.

Example:
  pgq install --pg-dsn postgresql://app@localhost/shop`,

  async run(input, surroundings) {
    const { durability, createSchema } = readFlags(input.flags, ["durability", "createSchema"]);
    const { outcome, added, settings } = await withQueries(
      input,
      surroundings,
      async (queries) => ({
        ...await queries.install({ createSchema: createSchema ?? true }),
        settings: queries.settings,
      }),
      { durability },
    );
    if (wantsJson(input)) {
      printJson(surroundings, { outcome, added, tables: tablesOf(settings) });
    } else if (outcome === "installed") {
      surroundings.print(`Installed ${tablesOf(settings).join(", ")}`);
    } else if (outcome === "upgraded") surroundings.print(`Upgraded, added ${added.join(", ")}`);
    else surroundings.print("Nothing had to change");
    if (durability !== undefined && outcome !== "installed") {
      surroundings.say("--durability counts for new tables only: those that exist keep theirs");
    }
    return 0;
  },
};

/** `pgq upgrade` */
export const upgrade: Command = {
  name: "upgrade",
  summary: "Add what the tables of an older release lack",
  args: [],
  flags: [],
  notes:
    `On tables that have everything it changes nothing. Where nothing is installed it ends with code 1.

Example:
  pgq upgrade --pg-dsn postgresql://app@localhost/shop`,

  async run(input, surroundings) {
    const { outcome, added } = await withQueries(input, surroundings, async (queries) => {
      const present = await queries.verify("absent");
      if (!present.some((part) => part.startsWith("table "))) {
        throw new CliError('Cannot upgrade as nothing is installed: run "pgq install"');
      }
      return await queries.install({ createSchema: false });
    });
    if (wantsJson(input)) printJson(surroundings, { outcome, added });
    else if (outcome === "unchanged") surroundings.print("Nothing had to change");
    else surroundings.print(`Upgraded, added ${added.join(", ")}`);
    return 0;
  },
};

/** `pgq uninstall` */
export const uninstall: Command = {
  name: "uninstall",
  summary: "Remove the tables with all jobs and logs",
  args: [],
  flags: [],
  notes: `The schema itself stays, and so does everything that is not ours.

Example:
  pgq uninstall --pg-dsn postgresql://app@localhost/shop`,

  async run(input, surroundings) {
    const { present, tables } = await withQueries(input, surroundings, async (queries) => ({
      present: await queries.verify("absent"),
      tables: await queries.uninstall(),
    }));
    const others = present.filter((part) => !part.startsWith("table "));
    if (wantsJson(input)) {
      printJson(surroundings, { removed: tables.length > 0 || others.length > 0 ? present : [] });
    } else if (tables.length > 0) {
      const noun = tables.length === 1 ? "table" : "tables";
      surroundings.print(`Removed ${tables.length} ${noun}: ${tables.join(", ")}`);
    } else if (others.length > 0) {
      surroundings.print(`Removed no table, but ${others.join(", ")}`);
    } else {
      surroundings.print("Nothing to remove");
    }
    return 0;
  },
};

/** `pgq verify` */
export const verify: Command = {
  name: "verify",
  summary: "Compare the database with what this version needs",
  args: [],
  flags: [{
    flags: "--expect <state>",
    summary: "present: everything must be there; absent: nothing may be (default: present)",
  }],
  notes: `Prints each difference on a line of its own, and ends with code 1 if there is one.

Example:
  pgq verify --expect present || pgq install`,

  async run(input, surroundings) {
    const { expect = "present" } = readFlags(input.flags, ["expect"]);
    const differences = await withQueries(
      input,
      surroundings,
      (queries) => queries.verify(expect),
    );
    const word = expect === "present" ? "missing" : "present";
    if (wantsJson(input)) printJson(surroundings, { expect, differences });
    else for (const part of differences) surroundings.print(`${word}: ${part}`);
    if (differences.length === 0) {
      const all = expect === "present" ? "everything is present" : "everything is absent";
      surroundings.say(`Verified: ${all}`);
      return 0;
    }
    surroundings.say(
      expect === "present"
        ? 'Differs from what this version needs: run "pgq install"'
        : 'There is something left: run "pgq uninstall"',
    );
    return 1;
  },
};

function tablesOf(settings: Settings): string[] {
  const { queueTable, queueTableLog, statisticsTable, schedulesTable, schema } = settings;
  return [queueTable, queueTableLog, statisticsTable, schedulesTable]
    .map((table) => schema === null ? table : `${schema}.${table}`);
}
