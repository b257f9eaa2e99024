/** Folders of servers whose starter was killed. */
import { lstat, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { deleteEmbeddedPostgres } from "../../src/cli/embedded_postgres.ts";
import { isAlive } from "../../src/cli/embedded_process.ts";

/** Stops the servers below the temporary folder whose name is `prefix` and the id of a process that has ended, and deletes them. */
export async function deleteLeftovers(prefix: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(prefix) ? parseInt(name.slice(prefix.length)) : NaN;
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    const directory = join(tmpdir(), name);
    try {
      if ((await lstat(directory)).uid !== (process.getuid?.() ?? 0)) continue;
      await deleteEmbeddedPostgres(directory);
      await rm(directory, { recursive: true, force: true });
    } catch {
      // Another run deletes it too.
    }
  }
}
