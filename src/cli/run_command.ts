import process from "node:process";
import { redactDsn } from "../dsn.ts";
import type { RunOptions } from "../worker/run_options.ts";
import { CliError, type Command, type Flag, type Input, type Surroundings } from "./command.ts";
import { chooseDsn, chooseSettings } from "./connection.ts";
import { explainError, hidePasswords } from "./explain_error.ts";
import { type FactoryContext, type MadeWorker, makeWorker } from "./factory.ts";
import { parseFactoryReference } from "./factory_reference.ts";
import { readFlags } from "./flags.ts";
import { stackOf } from "./import_factory.ts";
import { createLog } from "./log.ts";
import { wantsJson } from "./output.ts";
import { StopSignals } from "./stop_signals.ts";

/** Flags that `pgq dev` hands on to its worker. */
export const RUN_FLAGS: readonly Flag[] = [
  {
    flags: "--dequeue-timeout <seconds>",
    summary: "longest wait between two looks at the queue (default: 30)",
  },
  { flags: "--batch-size <number>", summary: "most jobs that one claim takes (default: auto)" },
  {
    flags: "--heartbeat-timeout <seconds>",
    summary: "when the jobs of a silent worker go to another one, 0: never (default: 30)",
  },
  {
    flags: "--max-concurrent-tasks <number>",
    summary: "most handlers at a time in this process (default: 100)",
  },
  {
    flags: "--retention <seconds>",
    summary: "age at which log and statistics are deleted, 0: never (default: 2592000, 30 days)",
  },
  {
    flags: "--shutdown-timeout <seconds>",
    summary: "how long to wait for running handlers after a stop (default: 30)",
  },
  {
    flags: "--mode <mode>",
    summary: "continuous waits for jobs, drain ends once none is ready (default: continuous)",
  },
  { flags: "--log-level <level>", summary: "debug, info, warning or error (default: info)" },
];

/** The argument that `pgq run` and `pgq dev` share. */
export const FACTORY_ARGS: Command["args"] = [
  {
    name: "<factory>",
    summary: "module and export that make the worker, such as ./worker.ts, blog/queue/main:main " +
      "or @acme/jobs/worker:main",
  },
  { name: "[args...]", summary: "for the factory, behind --" },
];

/** Set by `pgq dev`: its worker ends with it, also when it is killed. */
export const STOP_WITH_STDIN = "PGQ_STOP_WITH_STDIN";

/** `pgq run` */
export const run: Command = {
  name: "run",
  summary: "Run a worker",
  args: FACTORY_ARGS,
  flags: RUN_FLAGS,
  notes: `The factory is called with { args, dsn, settings } and gives a PgQueuer.
SIGINT and SIGTERM wait for running handlers, a second signal aborts them.
The log is on stderr; --json makes each line of it an object.

Example:
  pgq run ./main.ts:main --max-concurrent-tasks 20 -- --region north`,

  async run(input, surroundings) {
    const [factory, ...args] = input.args as [string, ...string[]];
    const reference = parseFactoryReference(factory);
    const { logLevel = "info", ...given } = readFlags(input.flags, [
      "dequeueTimeout",
      "batchSize",
      "heartbeatTimeout",
      "maxConcurrentTasks",
      "retention",
      "shutdownTimeout",
      "mode",
      "logLevel",
    ]);
    const log = createLog(logLevel, surroundings.say, { json: wantsJson(input) });
    const { dsn, settings, dropped } = prepare(input, surroundings);
    for (const line of dropped) log.warn(line);
    log.debug(`The factory gets ${dsn === undefined ? "no DSN" : redactDsn(dsn)}`);

    let worker: MadeWorker | undefined;
    const signals = new StopSignals({
      stop(reason) {
        log.info(`Stopping on ${reason}: running handlers end first, a second signal aborts them`);
        stopWorker(worker);
      },
      hurry(reason) {
        log.warn(`Stopping at once on ${reason}`);
        stopWorker(worker, 0);
      },
    });
    stopWithStdin(surroundings, signals);
    try {
      worker = await makeWorker(reference, { args, dsn, settings }, surroundings.cwd);
      // It came while the factory was at work. A run that has not begun ends at once and closes the connections.
      if (signals.stopping) stopWorker(worker);
      log.info(`Running ${factory}`);
      await runAndCleanUp(worker, { ...given, logger: log }, (line) => log.error(line));
      log.info("Stopped");
      return 0;
    } finally {
      signals.close();
    }
  },
};

/** Chooses database and names, and tells the factory in the environment too: it may look there only. */
function prepare(
  { flags }: Input,
  { env }: Surroundings,
): Omit<FactoryContext, "args"> & { dropped: readonly string[] } {
  const settings = chooseSettings(flags, env);
  const chosen = chooseDsn(flags, env);
  const set = (name: string, value: string, isGiven: boolean): void => {
    // What the user has put there stays, unless a flag says otherwise.
    if (isGiven || !env[name]) env[name] = value;
  };
  if (chosen !== undefined) {
    for (const name of ["PGQUEUER_DSN", "DATABASE_URL"]) {
      set(name, chosen.dsn, flags.pgDsn !== undefined);
    }
  }
  if (flags.prefix !== undefined) set("PGQUEUER_PREFIX", settings.prefix, true);
  if (flags.schema !== undefined) set("PGQUEUER_SCHEMA", settings.schema ?? "", true);
  return { settings, dsn: chosen?.dsn, dropped: chosen?.dropped ?? [] };
}

async function runAndCleanUp(
  worker: MadeWorker,
  options: RunOptions,
  sayError: (line: string) => void,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  try {
    await worker.pgq.run(options);
  } catch (error) {
    failure = { error };
  }
  try {
    await worker.cleanUp();
  } catch (error) {
    // Only one can be thrown, and that of the run comes first.
    const line = "Cannot clean up as the factory throws after the run:";
    if (failure === undefined) throw new CliError(line, { cause: error, details: stackOf(error) });
    sayError(hidePasswords(`${line} ${explainError(error)}`));
  }
  if (failure !== undefined) throw failure.error;
}

function stopWorker(worker: MadeWorker | undefined, timeout?: number): void {
  // The run itself reports what goes wrong.
  worker?.pgq.stop(timeout === undefined ? undefined : { timeout }).catch(() => {});
}

function stopWithStdin({ env }: Surroundings, signals: StopSignals): void {
  if (env[STOP_WITH_STDIN] === undefined) return;
  // Not for processes that the worker starts.
  delete env[STOP_WITH_STDIN];
  const stop = (): void => {
    // Deno gives one of the two only.
    process.stdin.off("end", stop).off("close", stop);
    signals.trigger("the request of pgq dev");
  };
  process.stdin.on("error", () => {}).on("end", stop).on("close", stop);
  process.stdin.resume();
}
