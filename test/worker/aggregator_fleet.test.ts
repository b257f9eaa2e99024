/** Several workers that count the same log: each row is counted once. */
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import { silentLogger } from "../../src/logger.ts";
import { LogStore } from "../../src/queries/log.ts";
import { Statements } from "../../src/sql/render.ts";
import { Aggregator } from "../../src/worker/aggregator.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";

const WORKERS = 4;
const ENDED_SESSIONS = 3;
/** More than one round counts. */
const BACKLOG = 52_000;

let queue: TestQueue;
let clients: postgres.Sql[];
beforeAll(async () => {
  queue = await openTestQueue();
  clients = Array.from(
    { length: WORKERS },
    () => postgres(queue.dsn, { max: 1, onnotice: () => {} }),
  );
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end({ timeout: 1 })));
  await queue.close();
});

/** Writes so many log rows. */
async function write(rows: number): Promise<void> {
  await queue.sql`
    insert into ${queue.sql(queue.logTable)} (job_id, status, priority, entrypoint, created)
    select n, 'successful', 0, 'behind', now() - n % 100 * interval '1 second'
    from generate_series(1, ${rows}::int) n`;
}

/** Ends the session that has counted for longest. Says whether there was one. */
async function endSession(): Promise<boolean> {
  const ended = await queue.sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where state = 'active' and pid <> pg_backend_pid()
      and position(${`${queue.names.prefix}fn_pgqueuer_aggregate`} in query) > 0
    order by query_start
    limit 1`;
  return ended.length === 1;
}

async function uncounted(): Promise<number> {
  const [row] = await queue.sql`
    select count(*)::int as rows from ${queue.sql(queue.logTable)} where not aggregated`;
  return row!["rows"];
}

test("a fleet that is far behind counts every row once, while new ones come and sessions end", async () => {
  const statements = new Statements(resolveSettings(queue.names));
  let failures = 0;
  const aggregators = clients.map((client) =>
    new Aggregator({
      log: new LogStore(fromPostgresJs(client), statements),
      retentionMs: 0,
      stopping: () => false,
      logger: { ...silentLogger, warn: () => failures++ },
      intervalMs: 20,
    })
  );
  await write(BACKLOG);
  for (const aggregator of aggregators) aggregator.start();

  for (let ended = 0; ended < ENDED_SESSIONS; ended++) {
    await until("a session that counts is ended", () => {
      for (const aggregator of aggregators) aggregator.note();
      return endSession();
    });
    await write(1_000);
  }
  for (const aggregator of aggregators) aggregator.note();
  await until("all is counted", async () => await uncounted() === 0);
  await Promise.all(aggregators.map((aggregator) => aggregator.close()));

  const [row] = await queue.sql`
    select sum(count)::int as sum from ${queue.sql(`${queue.table}_statistics`)}`;
  expect(row!["sum"]).toBe(BACKLOG + ENDED_SESSIONS * 1_000);
  // The sessions did end in the middle.
  expect(failures).toBeGreaterThan(0);
});
