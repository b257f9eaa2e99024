import { SchemaStore } from "../queries/schema.ts";
import type { UpgradeStep } from "../queries/upgrade_plan.ts";
import { CliError, type Command, type Surroundings, UsageError } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";

/** `pgq upgrade` */
export const upgrade: Command = {
  name: "upgrade",
  summary: "Bring the tables of an older release up to date, while jobs run",
  args: [],
  flags: [
    { flags: "--plan", summary: "print the steps that this database needs, and take none" },
    {
      flags: "--widen-id",
      summary:
        "write tables with ids of four bytes anew, under a lock (default, or PGQUEUER_WIDEN_ID)",
    },
    { flags: "--no-widen-id", summary: "leave such ids as they are: they run out at two billion" },
  ],
  notes:
    `From every release of this project and of the Python project of the same name. One step at a time: what
is interrupted goes on where it was. Of large tables indexes are built beside the writes; a step that meets
a lock lets jobs pass and tries again. docs/upgrade.md has the steps with their locks.
Where nothing is installed it ends with code 1.

Example:
  pgq upgrade --plan
  pgq upgrade --no-widen-id`,

  async run(input, surroundings) {
    const flags = readFlags(input.flags, ["plan", "widenId"]);
    const widenId = flags.widenId ?? widenIdOf(surroundings.env);
    return await withDatabase(input, surroundings, async ({ driver, settings }) => {
      const schema = new SchemaStore(driver, settings);
      const present = await schema.present();
      if (!present.some((part) => part.startsWith("table "))) {
        throw new CliError('Cannot upgrade as nothing is installed: run "pgq install"');
      }
      if (flags.plan) {
        const steps = await schema.plan({ widenId });
        if (wantsJson(input)) printJson(surroundings, { steps });
        else printSteps(surroundings, steps);
        return 0;
      }
      const { outcome, added, changed } = await schema.install({ createSchema: false, widenId });
      if (wantsJson(input)) printJson(surroundings, { outcome, added, changed });
      else if (outcome === "unchanged") surroundings.print("Nothing had to change");
      else surroundings.print(upgraded(added, changed));
      return 0;
    });
  },
};

/** What an upgrade has done, in a line. */
export function upgraded(added: readonly string[], changed: readonly string[]): string {
  const parts = [
    ...(added.length > 0 ? [`added ${added.join(", ")}`] : []),
    ...(changed.length > 0 ? [`changed ${changed.join(", ")}`] : []),
  ];
  return `Upgraded, ${parts.join("; ")}`;
}

/** As a script for psql: what is said of a step is a comment. */
function printSteps({ print, say }: Surroundings, steps: readonly UpgradeStep[]): void {
  if (steps.length === 0) say("Nothing has to change");
  for (const [index, { step, what, lock, on, blocks, duration, sql }] of steps.entries()) {
    if (index > 0) print("");
    print(`-- ${index + 1}. ${what} (${step})`);
    const times = { moment: "a moment", scan: "one reading of it", rewrite: "a rewrite of it" };
    print(
      lock === null
        ? "-- Locks no table that jobs are in"
        : `-- Locks ${on} in ${lock} mode for ${times[duration]}, which holds up ${blocks}`,
    );
    print(sql);
  }
}

/** As the Python project reads it. */
function widenIdOf(env: Record<string, string | undefined>): boolean {
  const name = env.PGQUEUER_WIDEN_ID ? "PGQUEUER_WIDEN_ID" : "WIDEN_ID";
  const value = env[name]?.toLowerCase();
  if (!value || /^(1|t|true|y|yes|on)$/.test(value)) return true;
  if (/^(0|f|false|n|no|off)$/.test(value)) return false;
  throw new UsageError(
    `Cannot use "${name}" as it must be true or false: current value is "${value}"`,
  );
}
