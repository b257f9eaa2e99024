/** Where a chaos run takes place: a server of its own, the queue in it, a proxy for each worker, and what cleans up. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fromPostgresJs, Queries } from "../../mod.ts";
import {
  deleteEmbeddedPostgres,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
  type StopMode,
} from "../../src/cli/embedded_postgres.ts";
import { deleteLeftovers } from "../support/leftovers.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp_proxy.ts";
import { createAudit } from "./audit.ts";
import { createEffects } from "./effects.ts";
import { SteadyClient } from "./steady.ts";

/** The role of workers, of producers and of those who take their slots. */
const ROLE = "app";
const PASSWORD = "chaos";
const TEMP_PREFIX = "pgqueuer-chaos-";
/** Connections that only a superuser gets: for handlers that write effects, and for us. */
const RESERVED = 14;
/** Connections for the others: those that a worker has, and some to spare. */
const PER_WORKER = 6;
const SPARE = 8;

/** A server with a queue. */
export class Stage {
  readonly schema = "chaos";
  /** Statements of ours, as superuser and past the proxies. */
  readonly control: SteadyClient;
  /** One for each worker. */
  readonly proxies: readonly TcpProxy[];
  /** Before the connections that the producer loses at commit. */
  readonly commitProxy: TcpProxy;
  /** Connections that workers and others may share. */
  readonly slots: number;
  readonly directory: string;
  #server: EmbeddedPostgres;

  private constructor(
    directory: string,
    server: EmbeddedPostgres,
    slots: number,
    proxies: readonly TcpProxy[],
  ) {
    this.directory = directory;
    this.#server = server;
    this.slots = slots;
    this.commitProxy = proxies.at(-1)!;
    this.proxies = proxies.slice(0, -1);
    this.control = new SteadyClient(server.dsn, "chaos", 4);
  }

  static async open(workers: number): Promise<Stage> {
    await deleteLeftovers(TEMP_PREFIX);
    const directory = await mkdtemp(join(tmpdir(), `${TEMP_PREFIX}${process.pid}-`));
    try {
      // Else the server's user may not enter.
      await chmod(directory, 0o711);
      const slots = workers * PER_WORKER + SPARE;
      const server = await startEmbeddedPostgres({ directory, settings: settingsOf(slots) });
      const target = { host: "127.0.0.1", port: server.port };
      const proxies = Array.from({ length: workers + 1 }, () => startTcpProxy(target));
      const stage = new Stage(directory, server, slots, await Promise.all(proxies));
      await stage.#install();
      return stage;
    } catch (error) {
      await discard(directory);
      throw error;
    }
  }

  /** DSN of the ordinary role: through worker's proxy, or straight to the server. */
  appDsn(proxy?: TcpProxy): string {
    const url = new URL(this.#server.dsn);
    url.username = ROLE;
    url.password = PASSWORD;
    if (proxy) url.port = String(proxy.port);
    return url.href;
  }

  /** DSN of the superuser, straight to the server. */
  get superDsn(): string {
    return this.#server.dsn;
  }

  /** What the server said. */
  get serverLog(): string {
    return this.#server.log;
  }

  /** Stops the server and starts it again on the same port. */
  async restart(mode: StopMode, forMs: number): Promise<void> {
    await this.#server.stop(mode);
    await new Promise((resolve) => setTimeout(resolve, forMs));
    this.#server = await startEmbeddedPostgres({
      directory: this.directory,
      port: this.#server.port,
      settings: settingsOf(this.slots),
    });
  }

  /** Stops all of it and deletes its data. */
  async close(): Promise<void> {
    await this.control.close().catch(() => {});
    await Promise.all([...this.proxies, this.commitProxy].map((proxy) => proxy.close()));
    await this.#server.stop("immediate");
    await discard(this.directory);
  }

  async #install(): Promise<void> {
    const { schema } = this;
    await this.control.run((sql) =>
      sql.unsafe(`
        create role ${ROLE} login password '${PASSWORD}';
        create schema ${schema} authorization ${ROLE}`)
    );
    await this.control.run((sql) => new Queries(fromPostgresJs(sql), { schema }).install());
    await this.control.run((sql) =>
      sql.unsafe(`
        ${createAudit(schema)};
        ${createEffects(schema)};
        grant all on all tables in schema ${schema} to ${ROLE};
        grant all on all sequences in schema ${schema} to ${ROLE}`)
    );
  }
}

function settingsOf(slots: number): Record<string, string> {
  return {
    max_connections: String(slots + RESERVED),
    superuser_reserved_connections: String(RESERVED),
    // A server in a container has little room for shared memory.
    shared_buffers: "32MB",
  };
}

async function discard(directory: string): Promise<void> {
  await deleteEmbeddedPostgres(directory);
  await rm(directory, { recursive: true, force: true });
}
