/** A notification wakes all idle workers: who looks, and who is spared. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openWorkerDriver, PgQueuer, resolveSettings } from "../../mod.ts";
import { Fleet } from "../../src/worker/fleet.ts";
import { Statements } from "../../src/sql/render.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

const gate = {
  entrypoint: "work",
  concurrencyLimit: 0,
  requestsPerSecond: Infinity,
  serializedDispatch: false,
  leaseMs: 30_000,
  maxTakeOvers: 5,
};

describe("Fleet", () => {
  const other = { ...gate, entrypoint: "other" };
  const make = (queueManagerId: string, gates = [gate, other]): Promise<Fleet> =>
    Fleet.of({ queueManagerId, gates, ttlMs: 60_000 });

  test("a worker alone does not wait", async () => {
    const fleet = await make("one");
    expect(fleet.hear(fleet.mark)).toBe(false);
    expect([fleet.size(), fleet.turnMs(0), fleet.turnMs(1)]).toEqual([1, 0, 0]);
  });

  test("workers that look for the same jobs are one fleet, in whatever order they registered them", async () => {
    const fleet = await make("one");
    expect(fleet.hear((await make("two", [other, gate])).mark)).toBe(true);
    expect(fleet.hear((await make("three", [gate])).mark)).toBe(false);
    expect(fleet.hear((await make("four", [gate, { ...other, leaseMs: 1 }])).mark)).toBe(false);
    expect(fleet.size()).toBe(2);
  });

  test("idle workers come before busy ones, each with the time that one takes", async () => {
    const fleet = await make("0");
    for (let n = 1; n < 50; n++) fleet.hear((await make(`${n}`)).mark);
    expect([fleet.turnMs(0, 0), fleet.turnMs(0, 1)]).toEqual([0, 100]);
    expect([fleet.turnMs(0.5, 0), fleet.turnMs(1, 1)]).toEqual([100, 200]);
    fleet.took(6);
    expect(fleet.turnMs(0, 1)).toBe(200);
    fleet.took(1_000);
    expect(fleet.turnMs(0, 1)).toBe(500);
  });

  test("who is not heard of any more does not count", async () => {
    const fleet = await Fleet.of({ queueManagerId: "one", gates: [gate], ttlMs: -1 });
    fleet.hear((await Fleet.of({ queueManagerId: "two", gates: [gate], ttlMs: 1 })).mark);
    expect(fleet.size()).toBe(1);
  });
});

describe("many idle workers", () => {
  const WORKERS = 20;
  let queue: TestQueue;
  let workers: PgQueuer[] = [];
  let runs: Promise<void>[] = [];
  let claims = 0;
  let ran: number[] = [];
  /** Each worker's number of jobs that it runs now. */
  let hold: Promise<void> | undefined;

  beforeAll(async () => {
    queue = await openTestQueue();
    const claim = new Statements(resolveSettings(queue.names)).get("dequeue");
    for (let n = 0; n < WORKERS; n++) {
      const driver = await openWorkerDriver(queue.dsn, { maxConnections: 1 });
      const pgq = new PgQueuer({
        query: (text, parameters) => {
          if (text === claim) claims++;
          return driver.query(text, parameters);
        },
        script: (text) => driver.script(text),
        listen: (channel, listener) => driver.listen(channel, listener),
        close: () => driver.close(),
      }, queue.names);
      pgq.entrypoint("work", async () => {
        ran.push(n);
        await hold;
      });
      workers.push(pgq);
      runs.push(pgq.run({ dequeueTimeout: { seconds: 1 } }));
    }
    // Each is heard of once in its dequeueTimeout: after two of them all know of all.
    const heard = new Set<string>();
    let complete = 0;
    const { unlisten } = await queue.sql.listen(`${queue.names.prefix}ch_pgqueuer`, (payload) => {
      const { fleet } = JSON.parse(payload) as { fleet?: { worker: string } };
      if (fleet) heard.add(fleet.worker);
      if (heard.size === WORKERS) {
        complete++;
        heard.clear();
      }
    });
    await until("every worker is heard of twice by all", () => complete === 2);
    await unlisten();
  }, 60_000);
  afterEach(() => {
    hold = undefined;
    ran = [];
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await Promise.all(runs);
    await queue?.close();
    workers = [];
    runs = [];
  });

  test("one new job causes about one claim", async () => {
    let fewest = Infinity;
    // The first ones teach the workers how long a claim takes here. On a busy machine several look at once: not each time.
    for (let series = 0; series < 5 && fewest >= 100; series++) {
      let before = 0;
      ran = [];
      for (let n = 1; n <= 20; n++) {
        if (n === 11) before = claims;
        await queue.queries.enqueue("work", null);
        await until("it has run", () => ran.length === n, 60_000);
        await until("it is acknowledged", async () => (await queue.rows()).length === 0, 60_000);
      }
      fewest = Math.min(fewest, claims - before);
    }
    // Without turns it is more than two hundred, with them about twenty.
    expect(fewest).toBeLessThan(100);
  }, 240_000);

  test("jobs that come one by one and take long are shared", async () => {
    const gate = deferred();
    hold = gate.promise;
    for (let n = 1; n <= WORKERS; n++) {
      await queue.queries.enqueue("work", null);
      await until("it runs", () => ran.length === n, 60_000);
    }
    // Chance and a busy machine may give one worker two or three, but never most of them.
    expect(new Set(ran).size).toBeGreaterThan(WORKERS / 2);
    gate.resolve();
    await until("all have ended", async () => (await queue.rows()).length === 0, 60_000);
  }, 120_000);

  test(
    "a deferred job that nobody but one worker has looked at starts when it is due",
    async () => {
      const [id] = await queue.queries.enqueue("work", [null], { executeAfter: 300 });
      expect(id).not.toBeNull();
      await until("it has run", () => ran.length === 1, 60_000);
    },
    120_000,
  );
});
