import process from "node:process";
import { redactDsn } from "../dsn.ts";
import { runWorker } from "../run_worker.ts";
import type { FactoryContext } from "../worker_factory.ts";
import { type Command, type Flag, type Input, type Surroundings, UsageError } from "./command.ts";
import { chooseDsn, chooseListenDsn, chooseSettings } from "./connection.ts";
import { hidePasswords } from "./explain_error.ts";
import { loadFactory } from "./factory.ts";
import { parseFactoryReference } from "./factory_reference.ts";
import { readFlags } from "./flags.ts";
import { HealthServer } from "./health_server.ts";
import { createLog } from "./log.ts";
import { wantsJson } from "./output.ts";
import { reportOf, wantsStacks } from "./report.ts";
import { StopSignals } from "./stop_signals.ts";
import { WorkerProbe } from "../worker_probe.ts";

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
    flags: "--block-timeout <seconds>",
    summary: "how long a handler may block the event loop and keep its job, 0: heartbeat timeout " +
      "(default: 20 heartbeat timeouts)",
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
  {
    flags: "--restart-on-failure",
    summary: "make and run a new worker when one has failed (default: end with code 1)",
  },
  {
    flags: "--restart-delay <seconds>",
    summary: "wait before the first restart, which doubles up to a minute (default: 5)",
  },
  {
    flags: "--shutdown-on-listener-failure",
    summary: "end with an error when notifications cannot be heard (default: listen anew)",
  },
  {
    flags: "--health-port <port>",
    summary: "answer GET /livez and /readyz there, 0: a free port (default: no port is opened)",
  },
  {
    flags: "--health-host <host>",
    summary: "address of the health port (default: all interfaces, as probes come from outside)",
  },
  {
    flags: "--log-level <level>",
    summary: "debug, info, warning, error or critical (default: info)",
  },
];

/** Their names. */
export const RUN_FLAG_NAMES = [
  "dequeueTimeout",
  "batchSize",
  "heartbeatTimeout",
  "blockTimeout",
  "maxConcurrentTasks",
  "retention",
  "shutdownTimeout",
  "mode",
  "restartOnFailure",
  "restartDelay",
  "shutdownOnListenerFailure",
  "healthPort",
  "healthHost",
  "logLevel",
] as const;

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

const NOT_AGAIN =
  'Cannot use "--restart-on-failure" as the factory must be a function: its export is a worker, which runs once';

const NO_PORT = 'Cannot use "--health-host" as there is no port to open: give "--health-port", too';

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
    const { logLevel = "info", healthPort, healthHost, ...given } = readFlags(
      input.flags,
      RUN_FLAG_NAMES,
    );
    if (healthHost !== undefined && healthPort === undefined) throw new UsageError(NO_PORT);
    const log = createLog(logLevel, (line) => surroundings.say(hidePasswords(line)), {
      json: wantsJson(input),
    });
    const { dsn, settings, dropped } = prepare(input, surroundings);
    for (const line of dropped) log.warn(line);
    log.debug(`The factory gets ${dsn === undefined ? "no DSN" : redactDsn(dsn)}`);

    const stop = new AbortController();
    const force = new AbortController();
    const signals = new StopSignals({
      stop(reason) {
        log.info(`Stopping on ${reason}: running handlers end first, a second signal aborts them`);
        stop.abort();
      },
      hurry(reason) {
        log.warn(`Stopping at once on ${reason}`);
        force.abort();
      },
    });
    stopWithStdin(surroundings, signals);
    const stacks = wantsStacks(surroundings.env, input.flags.logLevel);
    const probe = new WorkerProbe();
    let server: HealthServer | undefined;
    try {
      if (healthPort !== undefined) {
        const address = { port: healthPort, host: healthHost };
        server = await HealthServer.open(address, () => probe.health());
        log.info(`Answering health checks on ${server.origin}/livez and ${server.origin}/readyz`);
      }
      const { make, again } = await loadFactory(reference, surroundings.cwd);
      if (given.restartOnFailure && !again) throw new UsageError(NOT_AGAIN);
      await runWorker(async (context) => {
        const worker = await make(context);
        log.info(`Running ${factory}`);
        return worker;
      }, {
        ...given,
        args,
        dsn,
        settings,
        signal: stop.signal,
        forceSignal: force.signal,
        logger: log,
        probe,
        onRestart({ error, delayMs }) {
          log.error(reportOf(error, stacks));
          log.warn(`Starting the worker again in ${(delayMs / 1_000).toFixed(1)} s`);
        },
      });
      log.info("Stopped");
      return 0;
    } catch (error) {
      // Nothing ran, and what the factory would have given is not waited for.
      if (force.signal.aborted && error === force.signal.reason) return signals.exitCode;
      throw error;
    } finally {
      signals.close();
      await server?.close();
    }
  },
};

/** Chooses database and names, and tells the factory in the environment too: it may look there only. */
function prepare(
  { flags }: Input,
  { env }: Surroundings,
): Pick<FactoryContext, "dsn" | "settings"> & { dropped: readonly string[] } {
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
  const listen = chooseListenDsn(flags, env);
  // openWorkerDriver() looks there.
  if (flags.listenDsn !== undefined) set("PGQUEUER_LISTEN_DSN", listen?.dsn ?? "none", true);
  if (flags.prefix !== undefined) set("PGQUEUER_PREFIX", settings.prefix, true);
  if (flags.schema !== undefined) set("PGQUEUER_SCHEMA", settings.schema ?? "", true);
  const dropped = [...chosen?.dropped ?? [], ...listen?.dropped ?? []];
  return { settings, dsn: chosen?.dsn, dropped };
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
