/** Runs every example of docs/transactions.md, each with the real client, as a reader would. */
import { spawn } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fromPostgresJs, Queries } from "../mod.ts";
import { RUNTIME, UNAVAILABLE } from "./clients/clients.ts";
import { testDsn, text } from "./support/queue.ts";
import { runtimeCommand } from "./support/worker_process.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** A database of its own, so that the examples need no other names than a reader. */
const name = `docs_${crypto.randomUUID().slice(0, 8)}`;
/** Inside the checkout, so that packages are found as they are in the project of a user. */
const folder = join(root, ".pgq", name);
/** Has a database of its own. */
const ELSEWHERE = "pglite.ts";
/** Enqueues without a row. */
const ALONE = "outside.ts";

interface Example {
  readonly title: string;
  readonly source: string;
  /** The article that it is about. */
  readonly id: number;
}

let admin: Sql;
let sql: Sql;
let page: string;
let examples: Example[];
beforeAll(async () => {
  admin = postgres(testDsn(), { max: 1, onnotice: () => {} });
  await admin`create database ${admin(name)}`;
  sql = postgres(dsn(), { max: 1, onnotice: () => {} });
  await new Queries(fromPostgresJs(sql)).install();
  await sql`create table article (id int primary key, status text)`;

  page = await readFile(join(root, "docs", "transactions.md"), "utf8");
  examples = [...page.matchAll(/^```ts(?: ignore)? title="(.*)"\n([^]*?)^```$/gm)]
    .map(([, title, source]) => ({
      title: title!,
      source: source!,
      id: Number(/encode\("(\d+)"\)/.exec(source!)![1]),
    }))
    .filter(({ title }) => !UNAVAILABLE.some(({ example }) => example === title));
  await mkdir(folder, { recursive: true });
  for (const { title, source } of examples) await writeFile(join(folder, title), source);
  await cp(join(root, "test/clients/prisma/generated"), join(folder, "generated/prisma"), {
    recursive: true,
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await sql.end({ timeout: 1 });
  await admin`drop database ${admin(name)} with (force)`;
  await admin.end({ timeout: 1 });
});

function dsn(): string {
  const url = new URL(testDsn());
  url.pathname = `/${name}`;
  return url.href;
}

/** Imports all of them, one after another: one process starts quicker than a dozen. */
function main(): string {
  const imports = examples.map(({ title }) =>
    `await import(${JSON.stringify(`./${title}`)}); console.log("done", ${JSON.stringify(title)});`
  );
  return `${imports.join("\n")}\nexport {};\n`;
}

async function run(file: string): Promise<string> {
  const [command, args] = runtimeCommand(file);
  const child = spawn(command, args, { cwd: root, env: { ...process.env, DATABASE_URL: dsn() } });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const code = await new Promise((resolve) => child.once("exit", resolve));
  return `${output}ended with ${code}`;
}

test("every example runs to its end, and its row and its job are there", async () => {
  await writeFile(join(folder, "main.ts"), main());

  const output = await run(join(folder, "main.ts"));

  expect(output).toBe([...examples.map(({ title }) => `done ${title}`), "ended with 0"].join("\n"));
  const here = examples.filter(({ title }) => title !== ELSEWHERE);
  const jobs = await sql<{ payload: Uint8Array }[]>`
    select payload from pgqueuer where entrypoint = 'index_article' order by id`;
  expect(Array.from(jobs, ({ payload }) => Number(text(payload)))).toEqual(
    here.map(({ id }) => id),
  );
  const rows = await sql`select id from article order by id`;
  expect(Array.from(rows, ({ id }) => id)).toEqual(
    here.filter(({ title }) => title !== ALONE).map(({ id }) => id),
  );
}, 120_000);

test("the page says which clients do not run here, and why", () => {
  expect(RUNTIME === "bun" ? [] : ["Bun.sql"]).toEqual(UNAVAILABLE.map((client) => client.name));
  for (const { name, reason } of UNAVAILABLE) {
    expect(page).toMatch(`\`${name}\` on Bun alone, as ${reason}`);
  }
});
