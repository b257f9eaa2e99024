import { randomBytes } from "node:crypto";
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Account,
  type Binaries,
  canEnter,
  EmbeddedPostgresError,
  exists,
  findBinaries,
  runAs,
  serverAccount,
  sharedFolder,
} from "./embedded_binaries.ts";
import { isAlive } from "./embedded_process.ts";

/**
 * The files of one server. `directory/postgres` holds them, or is a link to the
 * folder that does, where the server's account may not enter `directory`:
 *
 *     data/           what initdb made, the only folder that the server owns
 *     password        of the user postgres, made once at random
 *     settings.conf   written before each start, included by data/postgresql.conf
 *     port            of the last start
 *     server.log
 *     users/          one file for each process that uses the server
 *
 * It is made under another name and then renamed, so it is never half there:
 * a killed initdb leaves only rubbish, and of two starters one wins.
 */
export interface Cluster {
  /** The folder with the files above, free of links. */
  readonly folder: string;
  readonly data: string;
  readonly log: string;
  readonly password: string;
  readonly account: Account;
  readonly binaries: Binaries;
}

/** How long a folder of an unfinished initdb may belong to a process that lives: initdb takes seconds. */
const UNFINISHED_MAX_AGE_MS = 10 * 60_000;

/** Opens the cluster of `directory`, made first where there is none. */
export async function openCluster(
  directory: string,
  options: {
    fsync: boolean;
    packageFolder?: string | undefined;
    onLog: (line: string) => void;
  },
): Promise<Cluster> {
  const link = join(resolve(directory), "postgres");
  await mkdir(directory, { recursive: true });

  if (!(await hasCluster(link))) {
    const account = await serverAccount();
    const binaries = await findBinaries(account, options.packageFolder);
    options.onLog(`Creating a PostgreSQL ${binaries.version} cluster in ${link}`);
    await createCluster(link, account, binaries, options.fsync);
    return await readCluster(link, account, binaries);
  }

  const account = await ownerOf(link);
  return await readCluster(link, account, await findBinaries(account, options.packageFolder));
}

/** Where the files of `directory` are, or `undefined` if it has no cluster. */
export async function findClusterFolder(directory: string): Promise<string | undefined> {
  return await realpath(join(directory, "postgres")).catch(() => undefined);
}

/** Deletes the files of `directory`, and itself where then empty. No server may run on them. */
export async function deleteCluster(directory: string): Promise<void> {
  const folder = await findClusterFolder(directory);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  await rm(join(directory, "postgres"), { recursive: true, force: true });
  await rmdir(directory).catch(() => {});
}

async function hasCluster(link: string): Promise<boolean> {
  if (await exists(join(link, "data"))) return true;
  // A link to a folder that is gone holds nothing that could be lost. Everything else is not ours to delete.
  const target = await readlink(link).catch(() => undefined);
  if (target !== undefined && !(await exists(target))) await rm(link);
  if (await exists(link)) {
    // Another starter may have put it there, whole, since the first look.
    if (await exists(join(link, "data"))) return true;
    throw new EmbeddedPostgresError(
      `Cannot start an embedded PostgreSQL as "${link}" has no folder "data": move it away`,
    );
  }
  return false;
}

/** The account that owns the data: a server refuses to run under another. */
async function ownerOf(link: string): Promise<Account> {
  const own = process.getuid?.();
  if (own === undefined) return undefined;
  const { uid, gid } = await stat(join(link, "data"));
  if (uid === own) return undefined;
  if (own === 0) return { uid, gid };
  throw new EmbeddedPostgresError(
    `Cannot start the embedded PostgreSQL in "${link}" as its data belongs to another user: ` +
      `owner has uid ${uid}, this process ${own}`,
  );
}

async function readCluster(link: string, account: Account, binaries: Binaries): Promise<Cluster> {
  const folder = await realpath(link);
  return {
    folder,
    data: join(folder, "data"),
    log: join(folder, "server.log"),
    password: (await readFile(join(folder, "password"), "utf8")).trim(),
    account,
    binaries,
  };
}

async function createCluster(
  link: string,
  account: Account,
  binaries: Binaries,
  fsync: boolean,
): Promise<void> {
  const directory = dirname(link);
  const isNear = await canEnter(account, directory);
  // Not /tmp where there is a choice: it is emptied from time to time.
  const parent = isNear
    ? directory
    : await sharedFolder(account, ["/var/lib", "/var/tmp", tmpdir(), "/tmp"]);
  await deleteUnfinished(parent);

  const id = randomBytes(6).toString("hex");
  const work = join(parent, `postgres.new-${process.pid}-${id}`);
  try {
    await initialize(work, account, binaries, fsync);
    if (isNear) {
      await rename(work, link);
    } else {
      const folder = join(parent, `cluster-${id}`);
      await writeFile(join(work, "origin"), `${link}\n`);
      await rename(work, folder);
      await symlink(folder, link).catch(async (error) => {
        await rm(folder, { recursive: true, force: true });
        throw error;
      });
    }
  } catch (error) {
    // Another starter was faster: use its cluster.
    if (!(await exists(join(link, "data")))) throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function initialize(
  work: string,
  account: Account,
  binaries: Binaries,
  fsync: boolean,
): Promise<void> {
  const data = join(work, "data");
  const password = join(work, "password");
  await mkdir(work);
  await chmod(work, 0o711);
  await mkdir(join(work, "users"));
  await mkdir(data, { mode: 0o700 });
  await writeFile(password, `${randomBytes(16).toString("hex")}\n`, { mode: 0o600 });
  if (account !== undefined) {
    await chown(data, account.uid, account.gid);
    await chown(password, account.uid, account.gid);
  }

  const initdb = await runAs(account, binaries.initdb, [
    `--pgdata=${data}`,
    "--username=postgres",
    `--pwfile=${password}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // Not the locale of this machine: the data must open on the next one, and tests must sort alike.
    "--locale=C",
    ...(binaries.major >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : []),
    ...(fsync ? [] : ["--no-sync"]),
  ]);
  if (initdb.code !== 0) {
    throw new EmbeddedPostgresError(
      `Cannot create an embedded PostgreSQL in "${dirname(work)}" as initdb failed: ` +
        initdb.output,
    );
  }
  await appendFile(join(data, "postgresql.conf"), "\ninclude_if_exists '../settings.conf'\n");
}

/** Deletes what a killed starter left behind. */
async function deleteUnfinished(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = name.match(/^postgres\.new-(\d+)-/)?.[1];
    if (pid === undefined) continue;
    const path = join(parent, basename(name));
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (isAlive(Number(pid)) && Date.now() - mtimeMs < UNFINISHED_MAX_AGE_MS) continue;
    await deleteUnderWriter(path);
  }
}

/** An initdb that outlived its parent adds files until it misses those that are gone. What it leaves goes next time. */
async function deleteUnderWriter(path: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    await rm(path, { recursive: true, force: true }).catch(() => {});
    if (!(await exists(path))) return;
    await delay(100);
  }
}
