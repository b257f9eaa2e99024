import { Command as Commander, CommanderError } from "commander";
import { type Command, type Flag, GLOBAL_FLAGS, type Input, UsageError } from "./command.ts";

/** What the program is called and does. */
export interface ProgramOptions {
  readonly version: string;
  readonly commands: readonly Command[];
  /** Gets the help and the version. */
  readonly print: (text: string) => void;
  /** Gets the help where a command is missing. */
  readonly say: (text: string) => void;
}

/**
 * Reads a command line. The only place that knows commander.
 *
 * @returns The command and what stood behind it, or `undefined` where the answer was the help or the version.
 * @throws {UsageError} If the command line is wrong.
 */
export async function readCommandLine(
  argv: readonly string[],
  options: ProgramOptions,
): Promise<{ command: Command; input: Input } | undefined> {
  let found: { command: Command; input: Input } | undefined;
  const program = new Commander("pgq")
    .description("A PostgreSQL job queue: manage its tables, enqueue, and run workers.")
    .version(options.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => options.print(text.trimEnd()),
      writeErr: (text) => options.say(text.trimEnd()),
      // It is thrown, too.
      outputError: () => {},
    })
    .exitOverride()
    .addHelpText(
      "after",
      `
Exit codes: 0 done, 1 did not do all that was asked, 2 wrong command line.
PGQ_DEBUG=1 prints the stack of errors.

Example:
  export PGQUEUER_DSN=postgresql://app@localhost/shop
  pgq install && pgq run ./main.ts:main`,
    );
  addFlags(program, GLOBAL_FLAGS);

  for (const command of options.commands) {
    const sub = program.command(command.name).summary(command.summary)
      .description(`${command.summary}.`).addHelpText("after", `\n${command.notes}`);
    for (const { name, summary } of command.args) sub.argument(name, summary);
    addFlags(sub, command.flags);
    sub.action(() => {
      // A variadic argument comes as an array.
      const args = sub.processedArgs.flat().filter((arg) => arg !== undefined) as string[];
      found = { command, input: { args, flags: sub.optsWithGlobals() } };
    });
  }

  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.help") {
      throw new UsageError("Cannot go on as no command is given: choose one of the above");
    }
    if (error.exitCode !== 0) throw new UsageError(reworded(error, argv));
  }
  return found;
}

function addFlags(command: Commander, flags: readonly Flag[]): void {
  for (const { flags: text, summary } of flags) command.option(text, summary);
}

/** In the words of our other messages, on one line. */
function reworded(error: CommanderError, argv: readonly string[]): string {
  const [what = "", ...rest] = error.message.replace(/^error: /, "").replace(/\.$/, "").split("\n");
  const hint = rest.join(" ").replace(
    /\(Did you mean (one of )?(.*)\?\)/,
    ', did you mean $1"$2"?',
  );
  const command = argv.find((arg) => !arg.startsWith("-"));
  const help = error.code === "commander.unknownCommand" ? "" : ` ${command ?? ""}`.trimEnd();
  return `Cannot read the command line: ${what.replaceAll("'", '"')}${
    hint || `, see "pgq${help} --help"`
  }`;
}
