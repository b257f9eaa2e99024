/**
 * Runs the core of the tests through PgBouncer in transaction mode: producers on every client, and workers that listen past
 * it, then workers that poll only.
 *
 *     tsx test/pgbouncer/run.ts [arguments of the runner…]
 *
 * On Node only: what a pooler does to a session is the same for every runtime.
 */
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findPgBouncer } from "./pgbouncer.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const files = (names: readonly string[]): string[] =>
  names.map((name) => `test/guarantees/${name}.test.ts`);

const RUNS = [
  {
    title: "a worker that listens past the pooler",
    listen: "direct",
    files: [
      "test/pgbouncer/pooler.test.ts",
      "test/clients/conformance.test.ts",
      "test/worker/pg_queuer.test.ts",
      ...files(["g01_atomic_enqueue", "g03_fenced", "g06_order", "g07_dedupe", "g09_recovery"]),
      ...files(["g10_clean_stop", "g11_one_fire"]),
    ],
  },
  {
    title: "a worker that polls only",
    listen: "none",
    files: files(["g03_fenced", "g06_order", "g10_clean_stop"]),
  },
];

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  if (findPgBouncer() === undefined) {
    console.error(
      "Not tested behind PgBouncer, as it is not there and this user may not install it: apt-get install pgbouncer",
    );
    return process.env.CI ? 1 : 0;
  }
  let code = 0;
  for (const { title, listen, files } of RUNS) {
    console.error(`Behind PgBouncer: ${title}`);
    const ended = await run([...files, ...args], { PGQ_TEST_POOLER: listen });
    code ||= ended;
  }
  return code;
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
