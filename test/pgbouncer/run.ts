/**
 * Runs the core suite through PgBouncer in transaction mode: producers of every client, and workers that listen past it,
 * then workers that poll only.
 *
 *     npm run test:pgbouncer                       all of it
 *     npm run test:pgbouncer -- --short            what is most of a session: clients, leases, a clean stop
 *     npm run test:pgbouncer -- test/guarantees/g03_fenced.test.ts
 *
 * On Node only: what a pooler does to a session is the same for every runtime.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CORE } from "../support/core_suite.ts";
import { findPgBouncer } from "./pgbouncer.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Files of the core suite in which nothing goes through a pooler, and why. Single tests say so where they are skipped. */
const NOT_POOLED: Readonly<Record<string, string>> = {
  "test/schema.test.ts":
    "installs by a direct DSN, as docs/pgbouncer.md says. Each other file installs its queue through the pooler",
  "test/upgrade": "upgrades by a direct DSN, as that page says, in a database of its own",
  "test/queries/enqueue_function.test.ts":
    "calls a function in sessions of its own, whose search_path and isolation it sets",
  "test/plans.test.ts": "asks the server for its plans, which are the same for every session",
  "test/cli/schema_commands.test.ts":
    "upgrades, which the DSN of a pooler refuses: see pooler.test.ts",
  "test/cli/maintenance_commands.test.ts":
    "the same, and limits the wait for a lock by a parameter of the DSN, which PgBouncer refuses",
  "test/cli/doctor_command.test.ts":
    "damages a database of its own, which the pooler does not know",
  "test/cli/grants_command.test.ts":
    "logs in as roles of its own, where this pooler logs in as one user whoever comes",
};

/** Files in which workers must be told of something, or that no worker takes part in: once is enough. */
const NOT_POLLING: Readonly<Record<string, string>> = {
  "test/clients": "producers, and no worker",
  "test/pgbouncer": "has a worker of each kind in one run",
  "test/queries": "producers, and no worker",
  "test/worker/completion_watcher.test.ts":
    "is about what is heard. One that polls is in test/pgbouncer",
  "test/cli": "no worker",
};

/**
 * Files that kill connections by their name, or wait for what one of them does. A pooler's session goes by the name and the
 * statement of whoever had it last, and may be lent to another file by then: they are run one at a time, on a pooler of
 * their own.
 */
const WATCHING = /pg_terminate_backend|pg_stat_activity/;

const ALSO = ["test/pgbouncer/pooler.test.ts", "test/clients/conformance.test.ts"];

const guarantees = (...names: string[]): string[] =>
  names.map((name) => `test/guarantees/${name}.test.ts`);

/** One way to listen, and what is run with it. */
interface Run {
  readonly title: string;
  readonly listen: "direct" | "none";
  readonly whole: readonly string[];
  readonly short: readonly string[];
}

const pooled = filesOf([...ALSO, ...CORE]).filter((file) => !isOf(NOT_POOLED, file));

const RUNS: readonly Run[] = [
  {
    title: "a worker that listens past the pooler",
    listen: "direct",
    whole: pooled,
    short: [
      ...ALSO,
      "test/worker/pg_queuer.test.ts",
      ...guarantees("g03_fenced", "g06_order", "g10_clean_stop"),
    ],
  },
  {
    title: "a worker that polls only",
    listen: "none",
    whole: pooled.filter((file) => !isOf(NOT_POLLING, file)),
    short: guarantees("g03_fenced", "g06_order"),
  },
];

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  if (findPgBouncer() === undefined) {
    console.error(
      "Not tested behind PgBouncer, as it is not there and this user may not install it: apt-get install pgbouncer",
    );
    return process.env.CI ? 1 : 0;
  }
  const args = argv.filter((word) => word !== "--short");
  const named = args.filter((word) => existsSync(join(ROOT, word)));
  const others = args.filter((word) => !named.includes(word));
  let code = 0;
  for (const { title, listen, whole, short } of RUNS) {
    console.error(`Behind PgBouncer: ${title}`);
    const suite = argv.includes("--short") ? short : whole;
    const files = named.length > 0 ? filesOf(named) : suite;
    const isWatching = (file: string): boolean =>
      WATCHING.test(readFileSync(join(ROOT, file), "utf8"));
    const parts = [
      files.filter((file) => !isWatching(file)),
      [...files.filter(isWatching), "--no-file-parallelism"],
    ];
    for (const part of parts.filter(([first]) => first?.endsWith(".ts"))) {
      const ended = await run([...part, ...others], { PGQ_TEST_POOLER: listen });
      code ||= ended;
    }
  }
  return code;
}

/** The test files of paths. */
function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    path.endsWith(".ts")
      ? [path]
      : readdirSync(join(ROOT, path)).filter((name) => name.endsWith(".test.ts")).sort()
        .map((name) => `${path}/${name}`)
  );
}

function isOf(paths: Readonly<Record<string, string>>, file: string): boolean {
  return Object.keys(paths).some((path) => file === path || file.startsWith(`${path}/`));
}

function run(args: readonly string[], env: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const script = join(ROOT, "test", "run.ts");
    const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: "inherit",
    });
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
