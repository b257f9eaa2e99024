/**
 * Runs the tests of a queue that both languages share, each with real processes of the released Python project:
 *
 *     tsx test/python/run.ts [arguments of vitest…]
 *
 * Its packages are installed once, into virtual environments below `node_modules/.cache`. Where that cannot be done, since
 * there is no Python 3.10 or no registry, the tests are skipped with a message; with `CI` set that is a failure.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(dirname(HERE));
const CACHE = join(ROOT, "node_modules", ".cache", "pgqueuer-python");
const INSTALL_MS = 300_000;
/** Variables for the tests, and what the Python behind each of them has installed. */
const ENVIRONMENTS = [
  ["PGQ_TEST_PYTHON", "requirements.txt"],
  ["PGQ_TEST_PYTHON_1_3", "requirements_1.3.txt"],
] as const;

/** Why there is no Python to test beside. */
class NoPython extends Error {}

process.exitCode = main(process.argv.slice(2));

function main(argv: readonly string[]): number {
  const found: Record<string, string> = {};
  try {
    const version = pythonVersion();
    for (const [variable, requirements] of ENVIRONMENTS) {
      found[variable] = environmentOf(requirements, version);
    }
  } catch (error) {
    if (!(error instanceof NoPython)) throw error;
    const isFailure = Boolean(process.env.CI);
    console.error(
      `${isFailure ? "Cannot run" : "Skipped"} the tests of both languages: ${error.message}`,
    );
    return isFailure ? 1 : 0;
  }
  const { status, signal } = spawnSync(
    process.execPath,
    ["--import", "tsx", join(ROOT, "test", "run.ts"), "--runtime", "python", ...argv],
    { cwd: ROOT, env: { ...process.env, ...found }, stdio: "inherit" },
  );
  return status ?? (signal === null ? 1 : 130);
}

/** @throws {NoPython} */
function pythonVersion(): string {
  const text = run("python3", ["--version"]).trim();
  const [, major, minor] = /(\d+)\.(\d+)/.exec(text) ?? [];
  if (Number(major) === 3 && Number(minor) >= 10) return text;
  throw new NoPython(`Python 3.10 or later is needed, found ${text}`);
}

/** The Python of an environment with these packages, which is made where there is none yet. */
function environmentOf(file: string, version: string): string {
  const requirements = readFileSync(join(HERE, file), "utf8");
  const key = createHash("sha256").update(`${version}\n${requirements}`).digest("hex").slice(0, 12);
  const folder = join(CACHE, key);
  const python = join(folder, "bin", "python");
  const mark = join(folder, "complete");
  if (existsSync(mark)) return python;

  console.error(`Installing test/python/${file} into ${folder}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  run("python3", ["-m", "venv", folder]);
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-input"];
  run(python, ["-m", "pip", "install", ...quiet, "-r", join(HERE, file)]);
  writeFileSync(mark, "");
  return python;
}

/** @throws {NoPython} */
function run(command: string, args: readonly string[]): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: INSTALL_MS,
  });
  if (status === 0) return stdout;
  const said = `${stdout ?? ""}${stderr ?? ""}`.trim().split("\n").at(-1);
  throw new NoPython(`${command} ${args.slice(0, 3).join(" ")} failed: ${error?.message ?? said}`);
}
