/** What a worker says of itself. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import postgres from "postgres";
import {
  type Driver,
  fromPostgresJs,
  openWorkerDriver,
  PgQueuer,
  runWorker,
  type WorkerHealth,
  WorkerProbe,
} from "../../mod.ts";
import { deferred, openTestQueue, testDsn, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

test("a worker is created, runs with its jobs, stops alive and has stopped", async () => {
  const pgq = await queue.worker();
  const [began, end] = [deferred(), deferred()];
  pgq.entrypoint("work", async () => {
    began.resolve();
    await end.promise;
  });

  const created = await pgq.health();
  const run = pgq.run();
  const starting = await pgq.health();
  await queue.queries.enqueue("work", null);
  await began.promise;
  const running = await until("it is ready", () => ready(pgq));
  const stop = pgq.stop();
  const stopping = await pgq.health();
  end.resolve();
  await Promise.all([run, stop]);
  const stopped = await pgq.health();

  expect(created).toMatchObject({ state: "created", live: true, ready: false, connected: null });
  expect(starting).toMatchObject({ state: "starting", live: true, ready: false });
  expect(running).toMatchObject({ state: "running", live: true, runningJobs: 1, problems: [] });
  expect(running.lastClaimAt!.getTime()).toBeGreaterThan(Date.now() - 60_000);
  expect(stopping).toMatchObject({ state: "stopping", live: true, ready: false, runningJobs: 1 });
  expect(stopped).toMatchObject({ state: "stopped", live: false, ready: false, connected: null });
});

test("a loop that waits for an answer for too long is stuck, and goes on after it", async () => {
  // This driver waits for ever. That of openWorkerDriver() has a time-out and tries again.
  const sql = postgres(testDsn(), { max: 3, onnotice: () => {} });
  const pgq = new PgQueuer(fromPostgresJs(sql), queue.names);
  pgq.entrypoint("work", () => {});
  const run = pgq.run();
  await until("it is ready", () => ready(pgq));

  const release = deferred();
  const locked = queue.sql.begin(async (tx) => {
    await tx.unsafe(`LOCK TABLE ${queue.table}`);
    await release.promise;
  });
  let stuck: WorkerHealth;
  let patient: WorkerHealth;
  try {
    await until("the table is locked", async () => {
      const [{ locks }] = await queue.sql`
        select count(*)::int as locks from pg_locks where mode = 'AccessExclusiveLock'
        and relation = ${queue.table}::regclass and granted` as unknown as [{ locks: number }];
      return locks > 0;
    });
    await queue.sql.notify(`${queue.names.prefix}ch_pgqueuer`, JSON.stringify(inserted(queue)));
    stuck = await until("its loop is stuck", async () => {
      const health = await pgq.health({ stuckAfter: 100 });
      return health.live ? undefined : health;
    });
    patient = await pgq.health();
  } finally {
    release.resolve();
  }
  await locked;
  await until("it goes on", async () => (await pgq.health({ stuckAfter: 5_000 })).live);
  await pgq.stop();
  await run;
  await sql.end();

  expect(stuck).toMatchObject({ state: "running", ready: false, connected: true });
  expect(stuck.problems.join()).toContain("its loop of jobs is stuck");
  expect(patient).toMatchObject({ live: true, ready: true });
});

test("a worker with all its seats taken for long is alive: it owes nothing", async () => {
  const pgq = await queue.worker();
  const end = deferred();
  pgq.entrypoint("work", () => end.promise);
  await queue.queries.enqueue("work", [null, null]);
  const run = pgq.run({ maxConcurrentTasks: 1 });

  const full = await until("it is full", async () => {
    const health = await pgq.health();
    return health.runningJobs === 1 ? health : undefined;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const later = await pgq.health({ stuckAfter: 1 });
  end.resolve();
  await pgq.stop();
  await run;

  expect(full.live).toBe(true);
  expect(later.live).toBe(true);
});

test("claims that fail make it not ready, and it is again when they work", async () => {
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => {});
  const run = pgq.run({ dequeueTimeout: 200 });
  await until("it is ready", () => ready(pgq));

  await queue.sql.unsafe(`ALTER TABLE ${queue.table} RENAME TO ${queue.names.prefix}gone`);
  const failing = await until("it is not ready", async () => {
    const health = await pgq.health();
    return health.ready ? undefined : health;
  });
  await queue.sql.unsafe(
    `ALTER TABLE ${queue.names.schema}.${queue.names.prefix}gone RENAME TO ${queue.names.prefix}pgqueuer`,
  );
  await until("it is ready again", () => ready(pgq));
  await pgq.stop();
  await run;

  expect(failing).toMatchObject({ live: true, connected: true });
  expect(failing.problems.join()).toMatch(/its last look for jobs failed: .*does not exist/);
});

test("however many ask at once, the database is asked once", async () => {
  const driver = await openWorkerDriver(testDsn());
  let pings = 0;
  const counting: Driver = {
    query: (text, parameters) => {
      if (text === "SELECT 1;" || /^select 1/i.test(text)) pings++;
      return driver.query(text, parameters);
    },
    listen: (channel, listener) => driver.listen(channel, listener),
    script: (text) => driver.script(text),
    close: () => driver.close(),
  };
  const pgq = new PgQueuer(counting, queue.names);
  pgq.entrypoint("work", () => {});
  const run = pgq.run();
  await until("it is ready", () => ready(pgq));
  await new Promise((resolve) => setTimeout(resolve, 600));

  const before = pings;
  const answers = await Promise.all(Array.from({ length: 50 }, () => pgq.health()));
  await pgq.stop();
  await run;

  expect(answers.every(({ connected }) => connected)).toBe(true);
  expect(pings - before).toBe(1);
});

test("a schedules-only worker does not listen, and is ready", async () => {
  const pgq = await queue.worker();
  pgq.schedule("nightly", "0 3 * * *", () => {});
  const run = pgq.run();

  const health = await until("it is ready", () => ready(pgq));
  await pgq.stop();
  await run;

  expect(health).toMatchObject({ listening: null, entrypoints: [] });
});

test("WorkerProbe follows runWorker() from one worker to the next and to the end", async () => {
  const probe = new WorkerProbe();
  const stop = new AbortController();
  const seen: WorkerHealth[] = [await probe.health()];
  let made = 0;
  const run = runWorker(async () => {
    seen.push(await probe.health());
    if (made++ === 0) throw new Error("no luck");
    const pgq = await queue.worker();
    pgq.entrypoint("work", () => {});
    return pgq;
  }, {
    probe,
    signal: stop.signal,
    restartOnFailure: true,
    restartDelay: 100,
    onRestart: () => void probe.health().then((health) => seen.push(health)),
  });
  const health = await until("it is ready", async () => {
    const health = await probe.health();
    return health.ready ? health : undefined;
  });
  stop.abort();
  seen.push(await probe.health());
  await run;
  seen.push(await probe.health());

  expect(health.state).toBe("running");
  expect(seen.map(({ state, live }) => [state, live])).toEqual([
    ["created", true],
    ["starting", true],
    ["restarting", true],
    ["starting", true],
    ["stopping", true],
    ["stopped", false],
  ]);
  expect(seen[2]!.problems).toEqual(["it has failed and waits to start again: no luck"]);
});

test("mistakes are refused", async () => {
  const pgq = await queue.worker();

  await expect(pgq.health({ timout: 1 } as object)).rejects.toThrow('"timout" is not an option');
  await expect(pgq.health({ timeout: 0 })).rejects.toThrow(RangeError);
  await expect(runWorker(() => pgq, { probe: {} as WorkerProbe })).rejects.toThrow(
    'Cannot use "probe" as it must be a WorkerProbe',
  );
  await pgq.stop();
  await pgq[Symbol.asyncDispose]();
});

async function ready(pgq: PgQueuer): Promise<WorkerHealth | undefined> {
  const health = await pgq.health();
  return health.ready ? health : undefined;
}

/** What the trigger says of a new job. */
function inserted({ names }: TestQueue): object {
  return {
    channel: `${names.prefix}ch_pgqueuer`,
    operation: "insert",
    sent_at: new Date().toISOString(),
    table: `${names.prefix}pgqueuer`,
    type: "table_changed_event",
  };
}
