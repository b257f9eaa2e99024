import type { Settings } from "../settings.ts";
import { type PrintedName, printedSql } from "../sql/printed.ts";
import { type Command, type Surroundings, UsageError } from "./command.ts";
import { chooseSettings } from "./connection.ts";
import { readChoice, readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";

const TASKS = ["migrate", "produce", "work", "read"] as const;

/** What a role is for. */
type Task = typeof TASKS[number];

const GRANTS: Readonly<Record<Task, PrintedName>> = {
  migrate: "grant_migrate",
  produce: "grant_produce",
  work: "grant_work",
  read: "grant_read",
};

/** `pgq grants` */
export const grants: Command = {
  name: "grants",
  summary: "Print the SQL of roles that may do one task and nothing else",
  args: [{ name: "[tasks...]", summary: `${TASKS.join(", ")} (default: all)` }],
  flags: [{
    flags: "--role <name>",
    summary: "name of the role, for one task (default: pgqueuer_migrate and so on, with --prefix)",
  }],
  notes:
    `For somebody who may create roles; nothing is sent. The tables must be there for all but migrate: print and
run it again after an upgrade.

Example:
  pgq grants --schema jobs | psql shop
  pgq grants produce --role web | psql shop`,

  run(input, surroundings) {
    const { role } = readFlags(input.flags, ["role"]);
    const tasks = [
      ...new Set(input.args.map((task) => readChoice("[tasks...]", task, TASKS))),
    ];
    if (tasks.length === 0) tasks.push(...TASKS);
    if (role !== undefined && tasks.length > 1) {
      throw new UsageError(
        `Cannot use "--role" as ${tasks.length} tasks need a role each: name one`,
      );
    }
    const settings = chooseSettings(input.flags, surroundings.env);
    printRoles(
      surroundings,
      tasks.map((task) => roleOf(task, role, settings)),
      wantsJson(input),
    );
    return Promise.resolve(0);
  },
};

interface Role {
  readonly task: Task;
  readonly role: string;
  readonly sql: string;
}

function roleOf(task: Task, given: string | undefined, settings: Settings): Role {
  const role = given ?? `${settings.prefix}pgqueuer_${task}`;
  const values = { role, schema: settings.schema ?? "public" };
  const sql = [
    printedSql("create_role", settings, values),
    printedSql(GRANTS[task], settings, values),
  ];
  return { task, role, sql: sql.join("\n\n") };
}

function printRoles(surroundings: Surroundings, roles: readonly Role[], json: boolean): void {
  if (json) printJson(surroundings, roles);
  else surroundings.print(roles.map(({ sql }) => sql).join("\n\n"));
}
