/** Gets what the peers need: packages of npm, and a Python of their own. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BENCH = dirname(fileURLToPath(import.meta.url));
const VENV = join(BENCH, ".venv");
const INSTALL_MS = 600_000;

/** Installs `bench/package.json` where it is not. Gives why it cannot, or `undefined`. */
export function installPackages(say: (line: string) => void): string | undefined {
  const lock = readFileSync(join(BENCH, "package-lock.json"), "utf8");
  const mark = join(BENCH, "node_modules", ".bench-lock");
  if (existsSync(mark) && readFileSync(mark, "utf8") === lock) return undefined;
  say("installing the peers: npm ci in bench/");
  const failure = run("npm", ["ci", "--no-audit", "--no-fund"]);
  if (failure === undefined) writeFileSync(mark, lock);
  return failure;
}

/** Installs `bench/requirements.txt` into `bench/.venv`. Gives why it cannot, or `undefined`. */
export function installPython(say: (line: string) => void): string | undefined {
  const requirements = readFileSync(join(BENCH, "requirements.txt"), "utf8");
  const mark = join(VENV, ".bench-requirements");
  if (existsSync(mark) && readFileSync(mark, "utf8") === requirements) return undefined;
  say("installing the Python project into bench/.venv");
  const failure = run("python3", ["-m", "venv", "--clear", VENV]) ??
    run(join(VENV, "bin", "pip"), [
      "install",
      "--disable-pip-version-check",
      "-r",
      "requirements.txt",
    ]);
  if (failure === undefined) writeFileSync(mark, requirements);
  return failure;
}

/** Its output is of interest only if it fails, and stdout may be somebody's JSON. */
function run(command: string, args: readonly string[]): string | undefined {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: BENCH,
    encoding: "utf8",
    timeout: INSTALL_MS,
  });
  if (status === 0) return undefined;
  const lines = `${stdout ?? ""}${stderr ?? ""}`.trim().split("\n");
  // npm says first what went wrong and ends with where its log is.
  const said = lines.find((line) => /^npm error (?!code)./.test(line)) ?? lines.at(-1);
  return `${command} ${args[0]} failed: ${error?.message ?? said}`;
}
