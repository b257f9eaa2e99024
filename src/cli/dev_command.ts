import { mkdir, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { openWorkerDriver } from "../drivers/worker_driver.ts";
import type { Logger } from "../logger.ts";
import { Queries } from "../queries/queries.ts";
import { type Command, type Input, UsageError } from "./command.ts";
import { chooseSettings } from "./connection.ts";
import { DevWorker } from "./dev_worker.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded_postgres.ts";
import { locateModule, parseFactoryReference } from "./factory_reference.ts";
import { flagOf, readFlags } from "./flags.ts";
import { createLog } from "./log.ts";
import { wantsJson } from "./output.ts";
import { FACTORY_ARGS, RUN_FLAG_NAMES, RUN_FLAGS } from "./run_command.ts";
import { SourceWatcher } from "./source_watcher.ts";
import { StopSignals } from "./stop_signals.ts";

const FOLDER = ".pgq";

/** How long a second Ctrl-C waits for the worker, and for the server, to end. */
const HURRY_MS = 10_000;

/** `pgq dev` */
export const dev: Command = {
  name: "dev",
  summary: "Run a worker on a PostgreSQL of its own, and again when a file changes",
  args: FACTORY_ARGS,
  flags: RUN_FLAGS,
  notes:
    `Keeps a PostgreSQL in .pgq/ of the current folder (package "embedded-postgres"), creates the tables,
and tells the factory where it is: { dsn }, DATABASE_URL and PGQUEUER_DSN.

Example:
  pgq dev ./main.ts:main`,

  async run(input, surroundings) {
    const { flags } = input;
    const { cwd, say } = surroundings;
    const dsnFlag = ["pgDsn", "listenDsn"].find((name) => flags[name] !== undefined);
    if (dsnFlag !== undefined) {
      throw new UsageError(
        `Cannot use "${flagOf(dsnFlag)}" as pgq dev starts a PostgreSQL of its own: use pgq run`,
      );
    }
    const { logLevel = "info" } = readRunFlags(flags);
    const folders = watchedFolders(input.args[0]!, cwd);
    const log = createLog(logLevel, say, { json: wantsJson(input) });
    const settings = chooseSettings(flags, surroundings.env);

    const session = new DevSession(log);
    const server = await startServer(cwd, log);
    try {
      if (!session.stopping) {
        await installSchema(server.dsn, settings, log);
        log.info(`PostgreSQL ${server.version} runs, and stays in ${FOLDER}/. Look into it with`);
        if (wantsJson(input)) log.info(`psql "${server.dsn}"`);
        else say(`psql "${server.dsn}"`);
        await session.run(folders, cwd, () =>
          new DevWorker(surroundings.entry, workerArgs(input), {
            ...surroundings.env,
            PGQUEUER_DSN: server.dsn,
            DATABASE_URL: server.dsn,
            PGQUEUER_LISTEN_DSN: undefined,
          }));
      }
    } finally {
      await server.stop();
      log.info("Stopped");
      session.close();
    }
    return 0;
  },
};

/** Starts workers one after another until a signal comes. */
class DevSession {
  readonly #log: Logger;
  readonly #signals: StopSignals;
  #worker: DevWorker | undefined;
  /** Changed files since the worker was started. */
  #changed = new Set<string>();
  /** Ends the wait for the next thing to do. */
  #wake: () => void = () => {};

  constructor(log: Logger) {
    this.#log = log;
    this.#signals = new StopSignals({
      stop: () => {
        log.info("Stopping");
        this.#wake();
      },
      hurry: () => this.#worker?.hurry(),
      // When a terminal is closed, the server must not stay behind.
    }, { signals: ["SIGINT", "SIGTERM", "SIGHUP"], hurryMs: HURRY_MS });
  }

  get stopping(): boolean {
    return this.#signals.stopping;
  }

  close(): void {
    this.#signals.close();
  }

  async run(folders: readonly string[], cwd: string, start: () => DevWorker): Promise<void> {
    const watcher = new SourceWatcher(folders, {
      onChange: (paths) => {
        for (const path of paths) this.#changed.add(relative(cwd, path));
        this.#wake();
      },
    });
    try {
      await watcher.start();
      while (!this.stopping) await this.#runOne(start);
    } finally {
      watcher.close();
    }
  }

  /** Runs one worker until it must end, and when it ended by itself waits until there is a reason for another one. */
  async #runOne(start: () => DevWorker): Promise<void> {
    this.#changed.clear();
    const worker = this.#worker = start();
    const happened = await Promise.race([worker.ended, this.#nextEvent()]);
    if (happened !== undefined) {
      if (this.stopping) return;
      this.#log.warn(`The worker ${happened}: it starts again when a source file changes`);
      await this.#nextEvent();
    }
    if (!this.stopping && this.#changed.size > 0) {
      this.#log.info(
        `Restarting the worker, as ${[...this.#changed].slice(0, 3).join(", ")} changed`,
      );
    }
    await worker.stop();
  }

  #nextEvent(): Promise<undefined> {
    return new Promise((resolve) => {
      this.#wake = () => resolve(undefined);
      if (this.stopping || this.#changed.size > 0) resolve(undefined);
    });
  }
}

async function startServer(cwd: string, log: Logger): Promise<EmbeddedPostgres> {
  const directory = join(cwd, FOLDER);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, ".gitignore"), "*\n", { flag: "wx" }).catch((error) => {
    if (error.code !== "EEXIST") throw error;
  });
  const server = await startEmbeddedPostgres({ directory, onLog: (line) => log.info(line) });
  if (server.attached) {
    log.info("Attached to the PostgreSQL that runs there: the last pgq dev to end stops it");
  }
  return server;
}

async function installSchema(
  dsn: string,
  settings: ReturnType<typeof chooseSettings>,
  log: Logger,
): Promise<void> {
  const driver = await openWorkerDriver(dsn, { maxConnections: 1, applicationName: "pgq dev" });
  try {
    const { outcome, added } = await new Queries(driver, settings).install();
    if (outcome === "installed") log.info("Created the tables");
    if (outcome === "upgraded") log.info(`Upgraded the tables, added ${added.join(", ")}`);
  } finally {
    await driver.close();
  }
}

/** The current folder, and that of the factory where it is elsewhere. */
function watchedFolders(factory: string, cwd: string): string[] {
  const url = locateModule(parseFactoryReference(factory).module, cwd);
  if (!url.startsWith("file:")) return [cwd];
  const folder = dirname(fileURLToPath(url));
  const way = relative(cwd, folder);
  const isInside = !way.startsWith("..") && !isAbsolute(way);
  return isInside || /[\\/]node_modules[\\/]/.test(folder) ? [cwd] : [cwd, folder];
}

function readRunFlags(flags: Input["flags"]): ReturnType<typeof readFlags<"logLevel">> {
  // All are checked here, so that a mistake is said before a server is started.
  return readFlags(flags, RUN_FLAG_NAMES);
}

/** The command line of the worker. */
function workerArgs({ args: [factory, ...rest], flags }: Input): string[] {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined)
    .map(([name, value]) => value === true ? flagOf(name) : `${flagOf(name)}=${value}`);
  return ["run", factory!, ...given, "--", ...rest];
}
