import { SchemaStore } from "../queries/schema.ts";
import { fixOf } from "../queries/schema_fixes.ts";
import type { Settings } from "../settings.ts";
import type { Command } from "./command.ts";
import { withDatabase, withQueries } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";
import { upgraded } from "./upgrade_command.ts";

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
    const { outcome, added, changed, settings } = await withQueries(
      input,
      surroundings,
      async (queries) => ({
        ...await queries.install({ createSchema: createSchema ?? true }),
        settings: queries.settings,
      }),
      { durability },
    );
    if (wantsJson(input)) {
      printJson(surroundings, { outcome, added, changed, tables: tablesOf(settings) });
    } else if (outcome === "installed") {
      surroundings.print(`Installed ${listed(tablesOf(settings))}`);
    } else if (outcome === "upgraded") surroundings.print(upgraded(added, changed));
    else surroundings.print("Nothing had to change");
    if (durability !== undefined && outcome !== "installed") {
      surroundings.say("--durability counts for new tables only: those that exist keep theirs");
    }
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
    const { removed, tables } = await withQueries(input, surroundings, async (queries) => {
      const removed = await queries.verify("absent");
      const gone = await queries.uninstall();
      return { removed, tables: tablesOf(queries.settings, gone) };
    });
    const others = removed.filter((part) => !part.startsWith("table "));
    if (wantsJson(input)) printJson(surroundings, { removed, tables });
    else if (tables.length > 0) surroundings.print(`Removed ${listed(tables)}`);
    else if (others.length > 0) {
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
  notes:
    `Compares columns, types, defaults, keys, indexes, functions and triggers. Prints each difference on a line
of its own and, to stderr, what mends it. Ends with code 1 if there is one.

Example:
  pgq verify --expect present || pgq install`,

  async run(input, surroundings) {
    const { expect = "present" } = readFlags(input.flags, ["expect"]);
    const found = await withDatabase(
      input,
      surroundings,
      async ({ driver, settings }) =>
        await examine(new SchemaStore(driver, settings), expect, settings),
    );
    const differences = found.map(({ part }) => part);
    if (wantsJson(input)) {
      printJson(surroundings, { expect, differences, fixes: found.map(({ fix }) => fix) });
    } else {
      for (const { state, part, fix } of found) {
        surroundings.print(`${state}: ${part}`);
        if (fix !== null) surroundings.say(`  ${fix}`);
      }
    }
    if (differences.length === 0) {
      const all = expect === "present" ? "everything is present" : "everything is absent";
      surroundings.say(`Verified: ${all}`);
      return 0;
    }
    surroundings.say(
      expect === "present"
        ? `Differs from what this version needs: run "pgq ${
          differences.some((part) => part.startsWith("table ")) ? "install" : "upgrade"
        }"`
        : 'There is something left: run "pgq uninstall"',
    );
    return 1;
  },
};

/** Our tables, or those of them that are `among` these, as a user of any `search_path` would write them. */
function tablesOf(settings: Settings, among?: readonly string[]): string[] {
  const { queueTable, queueTableLog, statisticsTable, schedulesTable, limitsTable, schema } =
    settings;
  return [queueTable, queueTableLog, statisticsTable, schedulesTable, limitsTable]
    .filter((table) => among === undefined || among.includes(table))
    .map((table) => schema === null ? table : `${schema}.${table}`);
}

function listed(tables: readonly string[]): string {
  return `${tables.length} ${tables.length === 1 ? "table" : "tables"}: ${tables.join(", ")}`;
}

interface Found {
  readonly state: string;
  readonly part: string;
  readonly fix: string | null;
}

async function examine(
  schema: SchemaStore,
  expect: "present" | "absent",
  settings: Settings,
): Promise<Found[]> {
  if (expect === "absent") {
    return (await schema.present()).map((part) => ({ state: "present", part, fix: null }));
  }
  return (await schema.differences()).filter(({ weight }) => weight !== "advised")
    .map(({ state, part }) => ({ state, part, fix: fixOf(part, settings) }));
}
