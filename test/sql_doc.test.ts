/** Runs every block of docs/sql.md in its order, as a reader would in psql. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { fromPostgresJs, openWorkerDriver, PgQueuer, Queries, task } from "../mod.ts";
import { testDsn } from "./support/queue.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** A database of its own, so that the blocks need no other names than a reader. */
const name = `sql_doc_${crypto.randomUUID().slice(0, 8)}`;

let admin: Sql;
let sql: Sql;
let page: string;
beforeAll(async () => {
  admin = postgres(testDsn(), { max: 1, onnotice: () => {} });
  await admin`create database ${admin(name)}`;
  sql = postgres(dsn(), { max: 1, onnotice: () => {} });
  await new Queries(fromPostgresJs(sql)).install();
  page = await readFile(join(root, "docs", "sql.md"), "utf8");
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await admin`drop database ${admin(name)}`;
  await admin.end({ timeout: 1 });
});

function dsn(): string {
  const url = new URL(testDsn());
  url.pathname = `/${name}`;
  return url.href;
}

test("every block of SQL runs, and makes the jobs that the page tells of", async () => {
  const blocks = [...page.matchAll(/^```sql\n([^]*?)^```$/gm)].map(([, text]) => text!);
  expect(blocks).toHaveLength(4);

  for (const block of blocks) await sql.unsafe(block);

  const jobs = await sql`
    select entrypoint, priority, dedupe_key, headers, execute_after - created as delay,
      case when payload <> '\\x00ff' then convert_from(payload, 'UTF8') end as payload
    from pgqueuer order by id limit 4`;
  const plain = { priority: 0, dedupe_key: null, headers: null, delay: "00:00:00" };
  expect(Array.from(jobs)).toEqual([
    { ...plain, entrypoint: "send_welcome", payload: "ada@example.com" },
    {
      entrypoint: "send_welcome",
      payload: '{"user_id": 42}',
      priority: 10,
      dedupe_key: "welcome 42",
      headers: { trace: "abc" },
      delay: "00:05:00",
    },
    { ...plain, entrypoint: "resize", payload: null },
    { ...plain, entrypoint: "resize", payload: '{"id": 7, "width": 640}' },
  ]);
  const [article] = await sql`
    select count(*)::int as jobs from pgqueuer where entrypoint = 'index_article'`;
  expect(article).toEqual({ jobs: 1_000 });
});

test("the task of the page reads the JSON, and holds what is none", async () => {
  const block = /^```ts ignore\n([^]*?)^```$/m.exec(page)![1]!;
  // The page's own source, without its imports, as a function of what they import.
  const source = block.replace(/^import .*\n/gm, "").replace("export const resize =", "return");
  const resize = new Function("task", "z", source)(task, z);
  const pgq = new PgQueuer(await openWorkerDriver(dsn()));
  const seen: unknown[] = [];
  pgq.register(resize, (value) => void seen.push(value));

  await pgq.run({ mode: "drain" });

  expect(seen).toEqual([{ id: 7, width: 640 }]);
  const held = await new Queries(fromPostgresJs(sql)).listFailed();
  expect(held).toMatchObject([{ entrypoint: "resize", payload: new Uint8Array([0, 255]) }]);
});

test("the page lists the parameters and their defaults as they are", async () => {
  const [row] = await sql`
    select pg_get_function_arguments('pgqueuer_enqueue(text, bytea, bigint, interval, timestamptz, text, jsonb, text)'::regprocedure)
      as parameters`;
  const actual = (row!["parameters"] as string).split(", ").map((text) => text.split(" ")[0]);
  const listed = [...page.matchAll(/^\| `(\w+)` +\| /gm)].map(([, name]) => name);

  expect(listed).toEqual(actual);
  expect(row!["parameters"]).toContain("on_conflict text DEFAULT 'skip'::text");
  expect(row!["parameters"]).toContain("priority bigint DEFAULT 0");
});
