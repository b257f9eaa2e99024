import process from "node:process";
import { bench } from "./bench_command.ts";
import { type Command, type Surroundings, UsageError } from "./command.ts";
import { cancel, requeue } from "./change_commands.ts";
import { readCommandLine } from "./commander.ts";
import { dashboard } from "./dashboard_command.ts";
import { dev } from "./dev_command.ts";
import { doctor } from "./doctor_command.ts";
import { grants } from "./grants_command.ts";
import { failed, ls } from "./list_commands.ts";
import { listen } from "./listen_command.ts";
import { autovac, durability } from "./maintenance_commands.ts";
import { queue } from "./queue_command.ts";
import { reportOf, wantsStacks } from "./report.ts";
import { run } from "./run_command.ts";
import { schedules } from "./schedules_command.ts";
import { install, uninstall, verify } from "./schema_commands.ts";
import { show } from "./show_command.ts";
import { sql } from "./sql_command.ts";
import { status } from "./status_command.ts";
import { processTerminal } from "./terminal.ts";
import { upgrade } from "./upgrade_command.ts";
import { packageVersion } from "./version.ts";

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  install,
  upgrade,
  uninstall,
  verify,
  durability,
  autovac,
  grants,
  sql,
  run,
  dev,
  queue,
  status,
  dashboard,
  doctor,
  ls,
  show,
  failed,
  requeue,
  cancel,
  bench,
  schedules,
  listen,
];

/**
 * Runs the command line of this process.
 *
 * @param argv What stood behind the program's name.
 * @param entry URL of the file that was started.
 * @returns The exit code.
 */
export async function main(argv: readonly string[], entry: string): Promise<number> {
  // A reader such as `head` may have seen enough.
  const reader = new AbortController();
  process.stdout.on("error", () => reader.abort());
  process.stderr.on("error", () => {});
  return await runCommandLine(argv, {
    env: process.env,
    cwd: process.cwd(),
    entry,
    print: (line) => void process.stdout.write(`${line}\n`),
    say: (line) => void process.stderr.write(`${line}\n`),
    readerGone: reader.signal,
    terminal: processTerminal(process.env),
  });
}

/**
 * Runs one command line.
 *
 * @returns The exit code: 0 done, 1 did not do all that was asked, 2 wrong command line.
 */
export async function runCommandLine(
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const { env, print, say } = surroundings;
  let debug = wantsStacks(env);
  try {
    const version = packageVersion(import.meta.url);
    const asked = await readCommandLine(argv, { version, commands: COMMANDS, print, say });
    if (asked === undefined) return 0;
    debug = wantsStacks(env, asked.input.flags.logLevel);
    return await asked.command.run(asked.input, surroundings);
  } catch (error) {
    say(reportOf(error, debug));
    return error instanceof UsageError ? 2 : 1;
  }
}

/** Ends the process once all that was written has arrived: a worker's factory may have left something open. */
export async function exit(code: number): Promise<never> {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}

function flushed(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("error", () => resolve());
    stream.write("", () => resolve());
  });
}
