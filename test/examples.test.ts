/** The blog example: its handlers as plain functions, its producers on a real transaction, its workers in drain mode. */
import process from "node:process";
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import postgres, { type Sql } from "postgres";
import { database } from "../examples/blog/database.ts";
import { main as fast } from "../examples/blog/fast.ts";
import { main } from "../examples/blog/main.ts";
import { publish, signUp } from "../examples/blog/publish.ts";
import { search } from "../examples/blog/search.ts";
import { main as slow } from "../examples/blog/slow.ts";
import { indexArticle, sendWelcome } from "../examples/blog/tasks.ts";
import { fromPostgresJs, type Job, type PgQueuer, Queries } from "../mod.ts";
import { bytes, testDsn } from "./support/queue.ts";

const SCHEMA = `example_${crypto.randomUUID().slice(0, 8)}`;
const given = process.env.DATABASE_URL;
const opened: PgQueuer[] = [];
let sql: Sql;

beforeAll(async () => {
  const dsn = new URL(testDsn());
  dsn.searchParams.set("search_path", SCHEMA);
  // What the example reads. Its unqualified names, and pgqueuer's, then mean those of this file's schema.
  process.env.DATABASE_URL = dsn.href;
  sql = postgres(dsn.href, { max: 4, onnotice: () => {} });
  await sql`CREATE SCHEMA ${sql(SCHEMA)}`;
  await new Queries(fromPostgresJs(sql)).install();
  await sql.unsafe(await readFile(new URL("../examples/blog/schema.sql", import.meta.url), "utf8"));
});

afterAll(async () => {
  await database().end();
  await sql`DROP SCHEMA ${sql(SCHEMA)} CASCADE`;
  await sql.end();
  if (given === undefined) delete process.env.DATABASE_URL;
  else process.env.DATABASE_URL = given;
});

beforeEach(async () => {
  await sql`TRUNCATE article, app_user, pgqueuer, pgqueuer_log`;
});

afterEach(async () => {
  for (const pgq of opened.splice(0)) await pgq[Symbol.asyncDispose]();
});

/** A worker that is closed after the test. */
async function open(factory: () => Promise<PgQueuer>): Promise<PgQueuer> {
  const pgq = await factory();
  opened.push(pgq);
  return pgq;
}

/** A job as a worker would give it to a handler. */
function jobWith(entrypoint: string, payload: Uint8Array | null): Job {
  const now = new Date();
  return {
    id: 1,
    priority: 0,
    created: now,
    updated: now,
    heartbeat: now,
    executeAfter: now,
    status: "picked",
    entrypoint,
    dedupeKey: null,
    payload,
    headers: null,
    attempts: 0,
    queueManagerId: crypto.randomUUID(),
    slot: null,
  };
}

async function insertDraft(title = "On queues"): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    INSERT INTO article (slug, title, body)
    VALUES (${crypto.randomUUID()}, ${title}, 'A job survives the crash of its worker.') RETURNING id`;
  return row!.id;
}

async function articleOf(id: string): Promise<{ status: string; search: string | null }> {
  const [row] = await sql<{ status: string; search: string | null }[]>`
    SELECT status, search::text FROM article WHERE id = ${id}`;
  return row!;
}

async function queued(): Promise<{ entrypoint: string; payload: string }[]> {
  const rows = await sql<{ entrypoint: string; payload: string }[]>`
    SELECT entrypoint, convert_from(payload, 'UTF8') AS payload FROM pgqueuer ORDER BY id`;
  return Array.from(rows, ({ entrypoint, payload }) => ({ entrypoint, payload }));
}

test("indexArticle() makes a published article searchable", async () => {
  const id = await insertDraft();
  await sql`UPDATE article SET status = 'published' WHERE id = ${id}`;

  await indexArticle(jobWith("index_article", bytes(id)));

  expect((await articleOf(id)).search).toContain("'queue':2A");
  const hits = await search(sql, "crashed workers", 5);
  expect(hits.map(({ title }) => title)).toEqual(["On queues"]);
  expect(hits[0]!.passage).toContain("*crash*");
});

test("indexArticle() can be repeated", async () => {
  const id = await insertDraft();
  await sql`UPDATE article SET status = 'published' WHERE id = ${id}`;

  await indexArticle(jobWith("index_article", bytes(id)));
  const first = await articleOf(id);
  await indexArticle(jobWith("index_article", bytes(id)));

  expect(await articleOf(id)).toEqual(first);
});

test("indexArticle() leaves a draft alone, and an article that is gone", async () => {
  const id = await insertDraft();

  await indexArticle(jobWith("index_article", bytes(id)));
  await indexArticle(jobWith("index_article", bytes("987654321")));

  expect((await articleOf(id)).search).toBe(null);
});

test("the handlers refuse a payload that is no id", async () => {
  for (const payload of [null, bytes(""), bytes("1 OR true")]) {
    await expect(indexArticle(jobWith("index_article", payload))).rejects.toThrow(TypeError);
    await expect(sendWelcome(jobWith("send_welcome", payload))).rejects.toThrow("must be an id");
  }
});

test("sendWelcome() welcomes a user once", async () => {
  const [user] = await sql`INSERT INTO app_user (email) VALUES ('ada@example.com') RETURNING id`;
  const job = jobWith("send_welcome", bytes(user!.id));
  const welcomedAt = async (): Promise<Date | null> => {
    const [row] = await sql`SELECT welcomed_at FROM app_user`;
    return row!.welcomed_at;
  };

  await sendWelcome(job);
  const first = await welcomedAt();
  await sendWelcome(job);

  expect(first).toBeInstanceOf(Date);
  expect(await welcomedAt()).toEqual(first);
});

test("publish() writes the article and its job together", async () => {
  const id = await insertDraft();

  const jobId = await sql.begin((tx) => publish(tx, id));

  expect(jobId).toBeGreaterThan(0);
  expect((await articleOf(id)).status).toBe("published");
  expect(await queued()).toEqual([{ entrypoint: "index_article", payload: id }]);
});

test("publish() leaves nothing when the transaction rolls back", async () => {
  const id = await insertDraft();

  const transaction = sql.begin(async (tx) => {
    await publish(tx, id);
    throw new Error("second thoughts");
  });

  await expect(transaction).rejects.toThrow("second thoughts");
  expect((await articleOf(id)).status).toBe("draft");
  expect(await queued()).toEqual([]);
  expect(Array.from(await sql`SELECT * FROM pgqueuer_log`)).toEqual([]);
});

test("publish() refuses an article that is no draft", async () => {
  const id = await insertDraft();
  await sql.begin((tx) => publish(tx, id));

  await expect(sql.begin((tx) => publish(tx, id))).rejects.toThrow("as it must be a draft");

  expect(await queued()).toHaveLength(1);
});

test("the factories register their entrypoints", async () => {
  expect((await open(main)).entrypoints).toEqual(["index_article", "send_welcome"]);
  expect((await open(fast)).entrypoints).toEqual(["send_welcome"]);
  expect((await open(slow)).entrypoints).toEqual(["index_article"]);
});

test("main() runs what publish() and signUp() enqueued", async () => {
  const id = await insertDraft();
  await sql.begin((tx) => publish(tx, id));
  await sql.begin((tx) => signUp(tx, "ada@example.com"));

  await (await open(main)).run({ mode: "drain" });

  expect((await articleOf(id)).search).toContain("'crash'");
  const users = await sql`SELECT email FROM app_user WHERE welcomed_at IS NOT NULL`;
  expect(Array.from(users, ({ email }) => email)).toEqual(["ada@example.com"]);
  expect(await queued()).toEqual([]);
});

test("the fast worker leaves the jobs of the slow one", async () => {
  const id = await insertDraft();
  await sql.begin((tx) => publish(tx, id));
  await sql.begin((tx) => signUp(tx, "ada@example.com"));

  await (await open(fast)).run({ mode: "drain" });
  expect(await queued()).toEqual([{ entrypoint: "index_article", payload: id }]);

  await (await open(slow)).run({ mode: "drain" });
  expect(await queued()).toEqual([]);
});
