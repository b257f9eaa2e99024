/**
 * `pgq upgrade` while a worker and a producer of the version before go on, each in a process of its own. On Node only: what the
 * upgrade does to them is in their statements, and these are the same on every runtime.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { resolveSettings } from "../../mod.ts";
import { objectNames, render } from "../../src/sql/render.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { runtimeCommand } from "../support/worker_process.ts";
import type { Former } from "./former_main.ts";
import {
  dsnOfLoad,
  makeLarge,
  openUpgradeDatabase,
  stepsBeside,
  type UpgradeDatabase,
  upgradeUnderLoad,
} from "./under_load.ts";

const IN_FLIGHT = 200;
const MOST_WAITING = 200;
const ROUND = ["work", "again", "limited", "work"];
const isNode = process.versions["deno"] === undefined && process.versions["bun"] === undefined;

let database: UpgradeDatabase;
beforeAll(async () => {
  database = await openUpgradeDatabase();
});
afterAll(() => database.close());

const processes: FormerProcess[] = [];
afterEach(async () => {
  for (const { child } of processes) child.kill("SIGKILL");
  await Promise.all(processes.map(({ exited }) => exited));
});

/** A process of the version before. */
interface FormerProcess {
  readonly child: ChildProcess;
  /** The ids that it has told of. */
  readonly ids: readonly number[];
  readonly stderr: () => string;
  readonly exited: Promise<number | null>;
}

function start(former: Former): FormerProcess {
  const main = fileURLToPath(new URL("former_main.ts", import.meta.url));
  const [command, args] = runtimeCommand(main);
  const child = spawn(command, args, {
    env: { ...process.env, FORMER: JSON.stringify(former) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const ids: number[] = [];
  let stderr = "";
  child.stderr.on("data", (chunk) => stderr += chunk);
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line !== "ready") ids.push(...line.split(",").map(Number));
  });
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const started = { child, ids, stderr: () => stderr, exited };
  processes.push(started);
  return started;
}

/** Tables as the version before installs them. */
async function formerQueue(): Promise<TestQueue> {
  const queue = await openTestQueue(database.dsn);
  await queue.queries.uninstall();
  const schema = readFileSync(new URL("former/schema.sql", import.meta.url), "utf8");
  await queue.sql.unsafe(render(schema, objectNames(resolveSettings(queue.names, {}))));
  return queue;
}

test.skipIf(!isNode)(
  "a worker of the version before goes on while large tables are upgraded: each job runs as often as it must",
  async () => {
    const queue = await formerQueue();
    await makeLarge(queue.sql, queue.table);
    const place = { dsn: dsnOfLoad(queue.dsn), names: queue.names };
    const worker = start(place);
    const producer = start({ ...place, enqueues: ROUND });
    await queue.sql`
      insert into ${queue.sql(queue.table)} (priority, status, entrypoint)
      select 0, 'queued', 'long' from generate_series(1, ${IN_FLIGHT}::int)`;
    const started = (): number => {
      const said = worker.stderr() + producer.stderr();
      if (said !== "") throw new Error(said);
      return new Set(worker.ids).size;
    };
    await until("all of them run", () => started() === IN_FLIGHT);

    let enqueuing = true;
    const enqueued = (async () => {
      for (let rounds = 1; enqueuing; rounds++) {
        producer.child.stdin!.write("\n");
        await until("they are in", () => producer.ids.length === rounds * ROUND.length);
        await until("jobs start", () => IN_FLIGHT + producer.ids.length - started() < MOST_WAITING);
      }
    })();
    const seen = await upgradeUnderLoad(queue, started);
    enqueuing = false;
    await enqueued;
    producer.child.stdin!.end();
    // One of this version enqueues too, and the worker of before does not mind.
    await queue.queries.enqueue(ROUND, ROUND.map(() => null));
    const rounds = producer.ids.length / ROUND.length + 1;
    await until("the rest has started", () => started() === IN_FLIGHT + rounds * ROUND.length);
    worker.child.stdin!.write("\n");
    await until("all have ended", async () => {
      const [row] = await queue.sql`
        select count(*)::int as left from ${queue.sql(queue.table)} where status <> 'failed'`;
      return row!["left"] === 0;
    });
    worker.child.kill("SIGTERM");
    const codes = await Promise.all([worker.exited, producer.exited]);

    expect(seen.upgrade).toMatchObject({ code: 0, stderr: "" });
    expect(seen.plan.length).toBeGreaterThan(9);
    expect(seen.unannounced).toEqual([]);
    expect(seen.strangers).toEqual([]);
    const beside = stepsBeside(seen.plan, `${queue.names.prefix}pgqueuer`);
    expect(beside.length).toBeGreaterThan(5);
    expect(seen.heldUp.filter(({ blocks }) => blocks === "nothing")).toEqual(beside);
    const histories = await queue.sql`
      select entrypoint, history, count(*)::int as jobs from (
        select job_id, entrypoint, string_agg(status::text, ' ' order by id) as history
        from ${queue.sql(queue.logTable)} group by job_id, entrypoint
      ) as job group by entrypoint, history order by entrypoint`;
    expect(Array.from(histories, (row) => ({ ...row }))).toEqual([
      { entrypoint: "again", history: "queued picked queued picked successful", jobs: rounds },
      { entrypoint: "limited", history: "queued picked successful", jobs: rounds },
      { entrypoint: "long", history: "picked successful", jobs: IN_FLIGHT },
      { entrypoint: "work", history: "queued picked successful", jobs: 2 * rounds },
    ]);
    expect(worker.ids).toHaveLength(IN_FLIGHT + 5 * rounds);
    expect([worker.stderr(), producer.stderr()]).toEqual(["", ""]);
    expect(codes).toEqual([0, 0]);
    expect(await queue.queries.verify("present")).toEqual([]);
    await queue.close();
  },
  90_000,
);
