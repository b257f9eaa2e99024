import { Maintenance } from "../queries/maintenance.ts";
import type { Command } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readChoice, readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";

/** `pgq durability` */
export const durability: Command = {
  name: "durability",
  summary: "Change which tables survive a crash of the server",
  args: [{ name: "<level>", summary: "volatile, balanced or durable" }],
  flags: [],
  notes: `durable: all. balanced: not the log and the statistics. volatile: none, jobs are lost too.
Tables that change are rewritten, and jobs wait meanwhile.

Example:
  pgq durability balanced`,

  async run(input, surroundings) {
    const level = readChoice("<level>", input.args[0], ["volatile", "balanced", "durable"]);
    await withDatabase(
      input,
      surroundings,
      ({ driver, settings }) => new Maintenance(driver, settings).setDurability(level),
    );
    if (wantsJson(input)) printJson(surroundings, { durability: level });
    else surroundings.print(`Set durability to ${level}`);
    return 0;
  },
};

/** `pgq autovac` */
export const autovac: Command = {
  name: "autovac",
  summary: "Let autovacuum keep up with the queue",
  args: [],
  flags: [
    { flags: "--rollback", summary: "take these settings back" },
    { flags: "--no-rollback", summary: "make these settings (default)" },
  ],
  notes: `Sets storage parameters of the tables; pgq sql autovac prints them. Jobs go on meanwhile.

Example:
  pgq autovac`,

  async run(input, surroundings) {
    const { rollback = false } = readFlags(input.flags, ["rollback"]);
    await withDatabase(
      input,
      surroundings,
      ({ driver, settings }) => new Maintenance(driver, settings).tuneAutovacuum({ rollback }),
    );
    if (wantsJson(input)) printJson(surroundings, { autovacuum: rollback ? "default" : "tuned" });
    else if (rollback) surroundings.print("Took the autovacuum settings back");
    else surroundings.print("Set autovacuum to keep up with the queue");
    return 0;
  },
};
