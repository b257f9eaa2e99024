/** The PostgreSQL of the bench: private, and as durable as one in production. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import process from "node:process";
import postgres, { type Sql } from "postgres";
import {
  deleteEmbeddedPostgres,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../src/cli/embedded_postgres.ts";
import { familyCpuMs } from "./cpu.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDER = join(ROOT, ".pgq");

/** What differs from the server's own defaults. Quoted with the figures. */
export const SERVER_SETTINGS: Readonly<Record<string, string>> = {
  fsync: "on",
  synchronous_commit: "on",
  shared_buffers: "512MB",
  // Checkpoints would fall into some rounds and not into others.
  max_wal_size: "8GB",
  checkpoint_timeout: "30min",
  max_connections: "200",
  // Tells to the millisecond when the last job was done.
  track_commit_timestamp: "on",
};

/** A database of the bench's server. */
export interface BenchDatabase {
  readonly name: string;
  readonly dsn: string;
  readonly sql: Sql;
  drop(): Promise<void>;
}

/** The server, and the databases that are made on it. */
export class BenchServer {
  readonly #server: EmbeddedPostgres;
  readonly #directory: string;
  readonly #admin: Sql;
  #count = 0;

  private constructor(server: EmbeddedPostgres, directory: string) {
    this.#server = server;
    this.#directory = directory;
    this.#admin = postgres(server.dsn, { max: 1, onnotice: () => {} });
  }

  static async start(say: (line: string) => void): Promise<BenchServer> {
    await deleteLeftovers();
    const directory = join(FOLDER, `bench-${process.pid}`);
    const server = await startEmbeddedPostgres({
      directory,
      settings: { ...SERVER_SETTINGS },
      onLog: say,
    });
    return new BenchServer(server, directory);
  }

  get version(): string {
    return this.#server.version;
  }

  /** Time that all its processes have used so far. */
  cpuMs(): number | undefined {
    return familyCpuMs(this.#server.pid);
  }

  /** Makes an empty database, or a copy of another one. A copy begins with a checkpoint, so all begin alike. */
  async create(template?: string): Promise<BenchDatabase> {
    const name = `bench_${++this.#count}`;
    await this.#admin.unsafe(
      `CREATE DATABASE ${name} TEMPLATE ${template ?? "template0"} STRATEGY = FILE_COPY`,
    );
    const url = new URL(this.#server.dsn);
    url.pathname = `/${name}`;
    // Some workloads hold a few of them, and what they do is looked at meanwhile.
    const sql = postgres(url.href, { max: 8, onnotice: () => {} });
    return {
      name,
      dsn: url.href,
      sql,
      drop: async () => {
        await sql.end({ timeout: 1 });
        await this.#admin.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      },
    };
  }

  /** Closes a database for good: it is only copied from now on. */
  async freeze(database: BenchDatabase): Promise<void> {
    await database.sql.unsafe("VACUUM (ANALYZE)");
    await database.sql.end({ timeout: 1 });
    await this.#admin.unsafe(`ALTER DATABASE ${database.name} ALLOW_CONNECTIONS false`);
  }

  async stop(): Promise<void> {
    await this.#admin.end({ timeout: 1 });
    await this.#server.stop("immediate");
    await deleteEmbeddedPostgres(this.#directory);
  }
}

/** Of a bench that was killed. That of one that runs is left alone. */
async function deleteLeftovers(): Promise<void> {
  let names: string[] = [];
  try {
    names = readdirSync(FOLDER).filter((name) => name.startsWith("bench-"));
  } catch {
    return;
  }
  for (const name of names) await deleteEmbeddedPostgres(join(FOLDER, name)).catch(() => {});
}
