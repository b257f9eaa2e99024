/** Runs every example of docs/transactions.md, each with the real client, as a reader would. */
import { spawn } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestQueue, type TestQueue, text } from "./support/queue.ts";
import { runtimeCommand } from "./support/worker_process.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Example {
  readonly title: string;
  readonly source: string;
}

/** Titles of the examples that need another runtime than this one. */
const ELSEWHERE: readonly string[] = [];

let queue: TestQueue;
let folder: string;
let examples: Example[];
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.sql`create table ${
    queue.sql(queue.names.schema)
  }.article (id int primary key, status text)`;
  // Inside the checkout, so that packages are found as they are in the project of a user.
  folder = join(root, ".pgq", `transactions-${queue.names.prefix}${process.pid}`);
  await mkdir(folder, { recursive: true });
  const page = await readFile(join(root, "docs", "transactions.md"), "utf8");
  examples = [...page.matchAll(/^```ts title="(.*)"\n([^]*?)^```$/gm)]
    .map(([, title, source]) => ({ title: title!, source: source! }))
    .filter(({ title }) => !ELSEWHERE.includes(title));
  for (const { title, source } of examples) await writeFile(join(folder, title), source);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await queue.close();
});

/** Imports all of them, one after another: one process starts quicker than a dozen. */
function main(): string {
  const imports = examples.map(({ title }) =>
    `await import(${JSON.stringify(`./${title}`)}); console.log("done", ${JSON.stringify(title)});`
  );
  return `${imports.join("\n")}\nexport {};\n`;
}

async function run(file: string): Promise<string> {
  const [command, args] = runtimeCommand(file);
  const dsn = new URL(queue.dsn);
  dsn.searchParams.set("options", `-csearch_path=${queue.names.schema}`);
  const child = spawn(command, args, {
    cwd: root,
    env: {
      ...process.env,
      DATABASE_URL: dsn.href,
      PGQUEUER_SCHEMA: queue.names.schema,
      PGQUEUER_PREFIX: queue.names.prefix,
    },
  });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const code = await new Promise((resolve) => child.once("exit", resolve));
  return `${output}ended with ${code}`;
}

test("every example runs, and enqueues the job of its row", async () => {
  await writeFile(join(folder, "main.ts"), main());

  const output = await run(join(folder, "main.ts"));

  expect(output).toBe([...examples.map(({ title }) => `done ${title}`), "ended with 0"].join("\n"));
  const jobs = await queue.sql<{ payload: Uint8Array }[]>`
    select payload from ${queue.sql(queue.table)} where entrypoint = 'index_article' order by id`;
  const ids = Array.from(jobs, ({ payload }) => Number(text(payload)));
  expect(ids).toEqual(examples.map((_, index) => index + 1));
  const rows = await queue.sql`select id from ${queue.sql(queue.names.schema)}.article order by id`;
  // One is about enqueuing without a row.
  expect(Array.from(rows, ({ id }) => id)).toEqual(
    ids.filter((_, index) => examples[index]!.title !== "outside.ts"),
  );
});
