/**
 * Disturbs workers under load in every way there is, and proves that each promise held:
 *
 *     npm run chaos -- [--minutes N] [--seed N] [--workers N] [--runtime node|deno|bun] [--log FILE]
 *
 * Exits with 1 if a promise was broken, with the evidence. The same seed makes the same plan.
 */
import { createWriteStream } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Runtime } from "./fleet.ts";
import { report, summary } from "./report.ts";
import { runChaos } from "./run.ts";

/** What a shell shows for a program that Ctrl-C ended. */
const INTERRUPTED = 130;
const RUNTIMES: readonly string[] = ["node", "deno", "bun"];

process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "2" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
      workers: { type: "string", default: "3" },
      runtime: { type: "string", default: "node" },
      log: { type: "string" },
    },
  });
  const seed = wholeNumber("seed", values.seed, 0);
  const workers = wholeNumber("workers", values.workers, 2);
  const minutes = Number(values.minutes);
  if (!(minutes >= 0)) throw new RangeError(`Cannot use "minutes" as it must be a number >= 0`);
  if (!RUNTIMES.includes(values.runtime)) {
    throw new RangeError(`Cannot use "runtime" as it must be one of ${RUNTIMES.join(", ")}`);
  }
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => interrupt.abort(new Error(`Stopped by ${signal}`)));
  }
  const log = values.log === undefined ? undefined : createWriteStream(values.log);
  const say = (line: string): void => {
    console.log(line);
    log?.write(`${new Date().toISOString()} ${line}\n`);
  };
  say(`Seed ${seed}, ${minutes} minutes, ${workers} workers on ${values.runtime}`);
  try {
    const result = await runChaos({
      seed,
      minutes,
      workers,
      runtime: values.runtime as Runtime,
      onLine: say,
      onLog: (line) => log?.write(`${line}\n`),
      signal: interrupt.signal,
    });
    say(`\n${report(result).join("\n")}\n`);
    const broken = result.findings.filter(({ breaches }) => breaches.length > 0).length;
    say(broken === 0 ? "Every promise held" : `Seed ${seed}: ${summary(result).join("\n")}`);
    return broken === 0 ? 0 : 1;
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    say("Interrupted: ended the workers and the server");
    return INTERRUPTED;
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new RangeError(
    `Cannot use "${name}" as it must be an integer >= ${least}: current value is ${text}`,
  );
}
