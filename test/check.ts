/**
 * Checks all that is not a test: form, types, documentation, and that what is published works for those who install it.
 *
 *     tsx test/check.ts [part of a step's name…]
 *
 * Needs a PostgreSQL: that of `PGQ_TEST_DSN`, else it starts an embedded one.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { bin, CheckError, finish, ROOT, run } from "./package/command.ts";
import {
  checkClients,
  checkDevWithoutServer,
  checkImport,
  checkPgq,
  checkTypes,
  type PgqCommand,
} from "./package/consumer.ts";
import { openCheckDatabase } from "./package/database.ts";
import { checkManifests } from "./package/manifests.ts";
import { installNode, installTarball, packTarball } from "./package/tarball.ts";
import { checkWalkthrough } from "./package/walkthrough.ts";

/** One line of the result. */
type Step = readonly [name: string, check: () => Promise<unknown>];

const temp = mkdtempSync(join(tmpdir(), "pgqueuer-check-"));
process.on("exit", () => rmSync(temp, { recursive: true, force: true, maxRetries: 3 }));
// Else nothing of the above happens.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const deno = bin("deno");
/** That of the user's path: this may run on another runtime, which names a version of Node too. */
const nodeVersion = execFileSync("node", ["--version"], { encoding: "utf8" }).trim().slice(1);
/** The floor and one that runs TypeScript by itself: whichever of the two that is not. */
const otherMajor = parseInt(nodeVersion) < 22 ? 22 : 20;
const database = once(() => openCheckDatabase(temp));
const tarball = once(() => packTarball(temp));
const project = once(async () => installTarball(await tarball(), temp));

const STEPS: readonly Step[] = [
  ["types", () => run(bin("tsc"), ["--noEmit"])],
  ...peersTypes(),
  ["lint", () => run(deno, ["lint"])],
  ["format", () => run(deno, ["fmt", "--check"])],
  ["manifests agree", () => Promise.resolve(checkManifests())],
  ["SQL bundle is fresh", () => run(bin("tsx"), ["sql/bundle.ts", "--check"])],
  ["examples in comments run", () => run(deno, ["test", "-A", "--doc", "mod.ts", "src"])],
  ["examples in documents compile", () => run(deno, ["check", "--doc-only", ...documents()])],
  ["exports are documented", checkDocumentation],
  ["the bench measures", checkBench],
  ["JSR would accept it", () => run(deno, ["publish", "--dry-run", "--allow-dirty"])],
  ["the checkout runs on Deno", checkCheckout],
  ["the tarball has what it needs", tarball],
  ["the tarball installs", project],
  ["its names are those of the entries", async () => checkImport(await project())],
  ["it needs none of the clients", async () => checkClients(await project())],
  ["its types compile on TypeScript 5.9 and 7", async () => checkTypes(await project())],
  [
    "the README's start works in an empty folder",
    async () => checkWalkthrough(await tarball(), temp, await database()),
  ],
  [`pgq runs on Node ${nodeVersion} by npx`, checkThisNode],
  [`pgq runs on Node ${otherMajor}`, checkOtherNode],
  ["pgq runs by bunx", () => pgq(bin("bunx"), ["pgq"], /^(node|bun) /)],
  ["pgq runs on Bun by bunx --bun", () => pgq(bin("bunx"), ["--bun", "pgq"], /^bun /)],
  ["pgq runs on Deno", () => pgq(deno, ["run", "-A", "npm:pgqueuer/pgq"], /^deno /)],
  ["pgq dev says what it lacks", async () => checkDevWithoutServer(await project())],
];

process.exit(await main(process.argv.slice(2)));

async function main(wanted: readonly string[]): Promise<number> {
  const steps = STEPS.filter(([name]) =>
    wanted.length === 0 || wanted.some((part) => name.includes(part))
  );
  const begun = performance.now();
  let failed = 0;
  for (const step of steps) {
    if (!(await passes(step))) failed++;
  }
  if (database.isCalled()) await database().then((opened) => opened.close(), () => {});

  console.log(`\n${seconds(begun)} in all`);
  console.log(`${steps.length - failed} passed, ${failed} failed`);
  return failed === 0 && steps.length > 0 ? 0 : 1;
}

async function passes([name, check]: Step): Promise<boolean> {
  const begun = performance.now();
  try {
    await check();
    console.log(`ok    ${seconds(begun)}  ${name}`);
    return true;
  } catch (error) {
    console.log(`FAIL  ${seconds(begun)}  ${name}`);
    const text = error instanceof CheckError
      ? `${error.message}\n${error.output}`
      : error instanceof Error
      ? error.stack ?? error.message
      : String(error);
    console.log(text.trimEnd().replace(/^/gm, "      "));
    return false;
  }
}

function seconds(begun: number): string {
  return `${((performance.now() - begun) / 1000).toFixed(1).padStart(5)} s`;
}

/** Does it at the first call. Later calls get the same result, or a short word that it failed. */
function once<T>(make: () => Promise<T>): (() => Promise<T>) & { isCalled(): boolean } {
  let made: Promise<T> | undefined;
  const get = () => {
    if (made === undefined) return made = make();
    return made.catch((): never => {
      throw new CheckError("Not tried, as a step before it failed");
    });
  };
  return Object.assign(get, { isCalled: () => made !== undefined });
}

/** The documents whose examples a reader may copy. */
function documents(): string[] {
  const folders = [".", "src", "sql", "test", "docs", "examples", "examples/blog", "bench"];
  return folders.filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) =>
    readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name))
  );
}

/** A member may speak for itself; what is exported may not, and its types must be exported too. */
async function checkDocumentation(): Promise<void> {
  const { output } = await finish(deno, ["doc", "--lint", "mod.ts", "src/testing/mod.ts"]);
  // A report is a heading, a place, and the line it is about with its number in front.
  const reports = output.split(/^(?=error\[)/m).filter((report) => report.startsWith("error["));
  const serious = reports.filter((report) =>
    !report.startsWith("error[missing-jsdoc]") || /^\d+ *\| *export /m.test(report)
  );
  if (!/\berror\b|^Checked/m.test(output)) throw new CheckError("deno doc printed this", output);
  if (serious.length > 0) throw new CheckError("deno doc --lint", serious.join(""));
}

/** The peers are not part of `npm ci`: `npm run bench` installs them where it measures them. */
function peersTypes(): Step[] {
  if (!existsSync(join(ROOT, "bench", "node_modules"))) return [];
  return [["types of the bench's peers", () => run(bin("tsc"), ["--noEmit", "-p", "bench"])]];
}

/** A small run, which checks by itself that every job ran once and left its rows. */
async function checkBench(): Promise<void> {
  const args = ["--quick", "--json", "--scale", "0.001", "--peers", "pgqueuer"];
  const only = ["--only", "bulk-enqueue", "--only", "drain-2"];
  const result = JSON.parse(await run(bin("tsx"), ["bench/run.ts", ...args, ...only]));
  const measured = result.workloads.map(({ name }: { name: string }) => name);
  if (measured.join() !== "bulk-enqueue,drain-2") {
    throw new CheckError("The bench did not measure what it was asked for", measured.join());
  }
}

/** Somebody with Deno and a clone, without a build. */
async function checkCheckout(): Promise<void> {
  const env = { DATABASE_URL: (await database()).dsn };
  for (const args of [["--version"], ["install"], ["verify"], ["uninstall"]]) {
    await run(deno, ["run", "-A", "cli.ts", ...args], { env });
  }
}

async function pgq(command: string, args: readonly string[], runtime: RegExp): Promise<void> {
  const way: PgqCommand = { command, args, runtime };
  await checkPgq(way, await project(), await database());
}

function checkThisNode(): Promise<void> {
  return pgq("npx", ["pgq"], new RegExp(`^node ${nodeVersion}$`));
}

async function checkOtherNode(): Promise<void> {
  const script = join(await project(), "node_modules", "pgqueuer", "dist", "cli.js");
  const node = await installNode(otherMajor, temp);
  await pgq(node, [script], new RegExp(`^node ${otherMajor}\\.`));
}
