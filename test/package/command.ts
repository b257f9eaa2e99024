import { spawn } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Nothing here takes as long, unless it hangs. */
const TIMEOUT_MS = 120_000;

/** Process ids of what runs now: each leads a group of its own. */
const running = new Set<number>();
process.on("exit", () => running.forEach(killGroup));

/** Thrown when something is not as it must be. `output` is shown to the reader. */
export class CheckError extends Error {
  override readonly name = "CheckError";
  readonly output: string;

  constructor(message: string, output: string = "") {
    super(message);
    this.output = output;
  }
}

/** What a command printed, and how it ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  /** Both streams, in the order of their coming. */
  readonly output: string;
}

/** Where and with what a command runs. */
export interface CommandOptions {
  /** @default the checkout */
  cwd?: string;
  /** Added to the environment. */
  env?: Record<string, string>;
}

/** A program of our own `node_modules`. */
export function bin(name: string): string {
  return join(ROOT, "node_modules", ".bin", name);
}

/** Runs a command to its end and gives what it wrote to stdout. */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { code, stdout, output } = await finish(command, args, options);
  if (code === 0) return stdout;
  throw new CheckError(`"${[command, ...args].join(" ")}" ended with code ${code}`, output);
}

/** Runs a command to its end, whichever that is. */
export function finish(
  command: string,
  args: readonly string[],
  { cwd = ROOT, env = {} }: CommandOptions = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...cleanEnvironment(), ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let stdout = "";
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      stdout += chunk;
      output += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk) => output += chunk);

    const { pid } = child;
    if (pid !== undefined) running.add(pid);
    const timer = setTimeout(() => {
      output += `\nStopped as it took longer than ${TIMEOUT_MS / 1000} s`;
      if (pid !== undefined) killGroup(pid);
    }, TIMEOUT_MS);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new CheckError(`"${command}" could not start: ${error.message}`));
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      if (pid !== undefined) running.delete(pid);
      // A signal ended it.
      resolve({ code: code ?? -1, stdout, output });
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/**
 * The environment of somebody who has never seen this checkout: without what `npm run` adds, as an npm below would take
 * our project for its own, and without the variables that name a database.
 */
function cleanEnvironment(): Record<string, string> {
  const own = /^(INIT_CWD|npm_(lifecycle_|package_|command|config_local_prefix).*)$/;
  const database = /^(PG.*|DATABASE_URL)$/;
  const entries = Object.entries(process.env).filter((entry): entry is [string, string] =>
    entry[1] !== undefined && !own.test(entry[0]) && !database.test(entry[0])
  );
  const path = (process.env.PATH ?? "").split(delimiter)
    .filter((folder) => !folder.endsWith(join("node_modules", ".bin")));
  return { ...Object.fromEntries(entries), PATH: path.join(delimiter), NO_COLOR: "1" };
}
