import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import postgres from "postgres";
import { startEmbeddedPostgres } from "../../src/cli/embedded_postgres.ts";

/** An empty database of our own. */
export interface CheckDatabase {
  readonly dsn: string;
  /** Runs one statement without parameters. */
  query(text: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Makes one on the server of `PGQ_TEST_DSN`, else on an embedded one with its data below `folder`. */
export async function openCheckDatabase(folder: string): Promise<CheckDatabase> {
  const server = await openServer(folder);
  const name = `check_${process.pid}_${Date.now().toString(36)}`;
  const admin = postgres(server.dsn, { max: 1, onnotice: () => {} });
  await admin`CREATE DATABASE ${admin(name)}`;

  const dsn = server.dsn.replace(/^(\w+:\/\/[^/?]*)(\/[^?]*)?/, `$1/${name}`);
  const sql = postgres(dsn, { max: 1, onnotice: () => {} });
  return {
    dsn,
    query: async (text) => Array.from(await sql.unsafe(text)),
    async close() {
      await sql.end({ timeout: 5 });
      await admin`DROP DATABASE ${admin(name)}`;
      await admin.end({ timeout: 5 });
      await server.stop();
    },
  };
}

async function openServer(folder: string): Promise<{ dsn: string; stop(): Promise<void> }> {
  const dsn = process.env.PGQ_TEST_DSN;
  if (dsn) return { dsn, stop: () => Promise.resolve() };

  // Else the server's user may not enter, where root runs this.
  await chmod(folder, 0o711);
  const directory = join(folder, "postgres");
  await mkdir(directory);
  const server = await startEmbeddedPostgres({ directory, settings: { fsync: "off" } });
  return { dsn: server.dsn, stop: () => server.stop("immediate") };
}
