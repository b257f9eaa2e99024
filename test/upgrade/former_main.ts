/**
 * A worker or a producer of the version before: all that it sends is frozen in `former/`, on the tables that it was written
 * for. Nothing of this project has been released yet, so that version is one from before the release: its workers claim by
 * another function, and its tables have other indexes. Once there is a release, its package takes the place of this.
 *
 * FORMER says where the database is, and whether it works or enqueues. A worker writes the id of each job that it starts to
 * stdout, a producer those of the jobs that are in; errors go to stderr. Jobs of "long" end after a line on stdin, jobs of
 * "again" at the second attempt. A worker ends by SIGTERM when its jobs have, a producer when its stdin is closed.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import "../support/ends_with_parent.ts";
import process from "node:process";
import { createInterface } from "node:readline";
import postgres from "postgres";
import { resolveSettings } from "../../mod.ts";
import { namedStatements } from "../../sql/bundle.ts";
import { objectNames, render } from "../../src/sql/render.ts";

/** What FORMER holds. */
export interface Former {
  readonly dsn: string;
  readonly names: { readonly schema: string; readonly prefix: string };
  /** Entrypoints of the jobs to enqueue again and again; without them it works. */
  readonly enqueues?: readonly string[];
}

/** Most jobs that a producer is ahead of what the worker has started, as the lines on its stdin tell. */
const BATCH = 20;
const MOST_RUNNING = 500;
const HEARTBEAT_MS = 1_000;
const LEASE_MS = 30_000;
const RETRY_MS = 200;
/** Entrypoints and their concurrency limits. */
const LIMITS = { long: 0, work: 0, again: 0, limited: 3 } as const;

const { dsn, names, enqueues }: Former = JSON.parse(process.env["FORMER"]!);
const sql = postgres(dsn, { max: 4, onnotice: () => {} });
const holes = objectNames(resolveSettings(names, {}));
const texts = new Map(
  namedStatements(readFileSync(new URL("former/statements.sql", import.meta.url), "utf8"))
    .map(({ name, text }) => [name, render(text, holes)]),
);

interface Row {
  readonly id: string;
  readonly entrypoint: keyof typeof LIMITS;
  readonly attempts: number;
}

/** As a prepared statement, which outlives what the upgrade does to the tables. */
async function send(name: string, ...parameters: unknown[]): Promise<Row[]> {
  const rows = await sql.unsafe<Row[]>(texts.get(name)!, parameters as string[], { prepare: true });
  return Array.from(rows);
}

function list(values: readonly unknown[]): string {
  return `{${values.join(",")}}`;
}

const lines = createInterface({ input: process.stdin });

async function work(): Promise<void> {
  const me = randomUUID();
  const entrypoints = Object.keys(LIMITS);
  const running = new Map<string, Promise<void>>();
  const longMayEnd = new Promise<void>((resolve) => lines.once("line", () => resolve()));
  let stopping = false;
  process.once("SIGTERM", () => stopping = true);

  async function run({ id, entrypoint, attempts }: Row): Promise<void> {
    console.log(id);
    if (entrypoint === "long") await longMayEnd;
    const ended = entrypoint === "again" && attempts === 0
      ? await send("retry", list([id]), list([RETRY_MS]), "{NULL}", me)
      : await send("acknowledge", list([id]), "{successful}", "{NULL}", me);
    if (ended.length !== 1) console.error(`The lease of job ${id} was lost`);
  }

  let renewed = performance.now();
  while (!stopping || running.size > 0) {
    if (performance.now() > renewed + HEARTBEAT_MS) {
      renewed = performance.now();
      await send("heartbeat", list([...running.keys()]), me);
      const unlimited = entrypoints.map((name) => LIMITS[name as keyof typeof LIMITS] === 0);
      await send(
        "take_over",
        BATCH,
        me,
        list([...running.keys()]),
        list(entrypoints),
        list(entrypoints.map(() => LEASE_MS)),
        list(unlimited.map((is) => !is)),
        list(entrypoints.map(() => 5)),
      );
    }
    const jobs = stopping || running.size > MOST_RUNNING ? [] : await send(
      "claim_limited",
      BATCH,
      me,
      list(entrypoints),
      list(Object.values(LIMITS)),
      list(entrypoints.map(() => "infinity")),
      list(entrypoints.map(() => false)),
    );
    for (const job of jobs) {
      running.set(job.id, run(job).finally(() => running.delete(job.id)));
    }
    // Limited jobs that have room, and retried ones, come by looking again.
    if (jobs.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function produce(entrypoints: readonly string[]): Promise<void> {
  const nothing = list(entrypoints.map(() => "NULL"));
  const zeros = list(entrypoints.map(() => 0));
  for await (const _ of lines) {
    const [row] = await send(
      "enqueue",
      ...[zeros, list(entrypoints), nothing, zeros, nothing, nothing, nothing],
    ) as unknown as { ids: string }[];
    console.log(row!.ids);
  }
}

process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});
console.log("ready");
await (enqueues === undefined ? work() : produce(enqueues));
await sql.end();
process.exit(0);
