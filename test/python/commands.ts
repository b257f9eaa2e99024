/** Runs `pgq` of the Python project, of whichever release is tested. */
import { spawn } from "node:child_process";
import type { Finished } from "../cli/fixtures/pgq.ts";
import type { TestQueue } from "../support/queue.ts";
import { environmentOf, pythonOf, type Release } from "./peer.ts";

/** Runs it to its end, on that queue. */
export function runPythonPgq(
  args: readonly string[],
  queue: Pick<TestQueue, "dsn" | "names">,
  release: Release = "newest",
): Promise<Finished> {
  return runPython(["-m", "pgqueuer", ...args], environmentOf(queue), release);
}

/** Runs Python to its end. */
export function runPython(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  release: Release = "newest",
): Promise<Finished> {
  // Wide, and without colours, boxes and padding: what it prints is compared.
  const plain = {
    COLUMNS: "300",
    NO_COLOR: "1",
    TERM: "dumb",
    PYTHONUTF8: "1",
    PGQUEUER_TABLEFMT: "tsv",
  };
  const child = spawn(pythonOf(release), args, {
    env: { ...env, ...plain },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => stdout += chunk);
  child.stderr.on("data", (chunk) => stderr += chunk);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}
