/** `pgq upgrade` of tables that Python has installed, while its own worker and producer go on: each in a process of its own. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import {
  dsnOfLoad,
  makeLarge,
  openUpgradeDatabase,
  stepsBeside,
  type UpgradeDatabase,
  upgradeUnderLoad,
} from "../upgrade/under_load.ts";
import { callPgq } from "../cli/fixtures/pgq.ts";
import { runPythonPgq } from "./commands.ts";
import { environmentOf, type Peer, type Release, startPeer } from "./peer.ts";

/** Jobs whose handlers run from before the upgrade until after it. */
const IN_FLIGHT = 200;
/** Most other jobs that are enqueued and not started. */
const MOST_WAITING = 200;
const ROUND = ["work", "again", "limited", "work"];

let database: UpgradeDatabase;
beforeAll(async () => {
  database = await openUpgradeDatabase();
});
afterAll(() => database.close());

let peers: Peer[] = [];
afterEach(async () => {
  for (const peer of peers) peer.kill("SIGKILL");
  await Promise.all(peers.map(({ exited }) => exited));
});

/** Tables that a release of Python has installed. */
async function pythonsQueue(release: Release): Promise<TestQueue> {
  const queue = await openTestQueue(database.dsn);
  await queue.queries.uninstall();
  expect(await runPythonPgq(["install"], queue, release)).toMatchObject({ code: 0 });
  return queue;
}

/** How often each job has started. */
function startsOf(worker: Peer): Map<number, number> {
  const starts = new Map<number, number>();
  for (const event of worker.events) {
    if (event.event === "start") starts.set(event.job.id, (starts.get(event.job.id) ?? 0) + 1);
  }
  return starts;
}

test.each<[Release, "large" | "small"]>([["newest", "large"], ["1.3", "small"]])(
  "a worker of Python %s goes on while its %s tables are upgraded: each job runs as often as it must",
  async (release, size) => {
    const queue = await pythonsQueue(release);
    if (size === "large") await makeLarge(queue.sql, queue.table);
    const load = { ...queue, dsn: dsnOfLoad(queue.dsn) };
    const worker = await startPeer("Python", load, release);
    const producer = await startPeer("Python", load, release);
    peers = [worker, producer];
    await worker.ask("work", {
      entrypoints: {
        long: { does: "wait" },
        work: { does: "end" },
        // Not at once: Python 1.3 loses a job that it claims again before it has forgotten it.
        again: { does: "retry", ms: 1_000 },
        limited: { does: "sleep", ms: 5, concurrencyLimit: 3 },
      },
      dequeueTimeoutMs: 500,
    });
    const long = await producer.ask("enqueue", {
      jobs: Array.from({ length: IN_FLIGHT }, () => ({ entrypoint: "long" })),
    });
    const started = (): number => {
      const failed = worker.events.find(({ event }) => event === "failed");
      if (failed !== undefined) throw new Error(`${JSON.stringify(failed)} ${worker.stderr()}`);
      return startsOf(worker).size;
    };
    await until("all of them run", () => started() === IN_FLIGHT);

    const ids: number[] = [];
    let enqueuing = true;
    const enqueued = (async () => {
      while (enqueuing) {
        const jobs = ROUND.map((entrypoint) => ({ entrypoint }));
        ids.push(...await producer.ask("enqueue", { jobs }) as number[]);
        await until("jobs start", () => IN_FLIGHT + ids.length - started() < MOST_WAITING);
      }
    })();
    const seen = await upgradeUnderLoad(queue, started);
    enqueuing = false;
    await enqueued;
    // One of ours enqueues too, and the worker of before does not mind.
    ids.push(...await queue.queries.enqueue(ROUND, ROUND.map(() => null)) as number[]);
    await until("the rest has started", () => started() === IN_FLIGHT + ids.length);
    await worker.ask("go", { ids: long as number[] });
    await until("all have ended", async () => {
      const [row] = await queue.sql`
        select count(*)::int as left from ${queue.sql(queue.table)} where status <> 'failed'`;
      return row!["left"] === 0;
    });
    await worker.ask("stop", {});
    for (const peer of peers) peer.kill("SIGTERM");
    const codes = await Promise.all(peers.map(({ exited }) => exited));

    expect(seen.upgrade).toMatchObject({ code: 0, stderr: "" });
    expect(seen.plan.length).toBeGreaterThan(10);
    expect(seen.unannounced).toEqual([]);
    expect(seen.strangers).toEqual([]);
    // One that needs the table for itself, and where it is large those that build or drop beside the others.
    expect(seen.heldUp.filter(({ blocks }) => blocks !== "nothing")).toHaveLength(1);
    const beside = stepsBeside(seen.plan, `${queue.names.prefix}pgqueuer`);
    expect(beside.length > 5).toBe(size === "large");
    expect(seen.heldUp.filter(({ blocks }) => blocks === "nothing")).toEqual(beside);
    const histories = await queue.sql`
      select entrypoint, history, count(*)::int as jobs from (
        select job_id, entrypoint, string_agg(status::text, ' ' order by id) as history
        from ${queue.sql(queue.logTable)} group by job_id, entrypoint
      ) as job group by entrypoint, history order by entrypoint`;
    const rounds = ids.length / ROUND.length;
    expect(Array.from(histories, (row) => ({ ...row }))).toEqual([
      { entrypoint: "again", history: "queued picked queued picked successful", jobs: rounds },
      { entrypoint: "limited", history: "queued picked successful", jobs: rounds },
      { entrypoint: "long", history: "queued picked successful", jobs: IN_FLIGHT },
      { entrypoint: "work", history: "queued picked successful", jobs: 2 * rounds },
    ]);
    const times = [...startsOf(worker).values()];
    expect(times.filter((count) => count === 2)).toHaveLength(rounds);
    expect(times.filter((count) => count > 2)).toEqual([]);
    expect(worker.events.filter(({ event }) => event === "failed")).toEqual([]);
    expect([worker.stderr(), producer.stderr()]).toEqual(["", ""]);
    expect(codes).toEqual([0, 0]);
    expect(await callPgq(["verify"], { env: environmentOf(queue) })).toMatchObject({ code: 0 });
    expect(await runPythonPgq(["verify", "--expect", "present"], queue, release))
      .toMatchObject({ code: 0 });
    await queue.close();
  },
  90_000,
);
