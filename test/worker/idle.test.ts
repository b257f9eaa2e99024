/** Idle means idle: what a worker with nothing to do sends, counted on its way to the server. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Driver, openWorkerDriver, PgQueuer, type RunOptions } from "../../mod.ts";
import { bytes, deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { statements } from "../../src/sql/generated.ts";
import { type StatementName, Statements } from "../../src/sql/render.ts";
import { SentStatements } from "../support/sent_statements.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp_proxy.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

const DEQUEUE_TIMEOUT_MS = 1_000;

/**
 * How long one has sent nothing but looks when it sleeps. A claim from the front that was slow puts the next one off by twenty
 * times as long: on a busy machine, one of 150 ms.
 */
const QUIET_MS = 3_000;

/** How long all of them are watched. */
const WINDOW_MS = 5_200;

/** Most that a worker may send meanwhile which sends one statement in each `ms`. A busy machine makes the window longer. */
const oneEach = (ms: number): number => Math.ceil((window.to - window.from) / ms);

/**
 * Looks at everything that took 50 ms twice in a row, as on a busy machine, are made beside the others from then on, in one
 * hundredth of the time, until one is quick.
 */
const BESIDE_MS = 5_000;

/** Most that a worker may send meanwhile which looks ahead once in each `ms`. */
const looksEach = (ms: number): number => oneEach(ms) + oneEach(BESIDE_MS);

/** A worker whose way to the server is watched. */
interface Watched {
  readonly pgq: PgQueuer;
  readonly started: number[];
  /** Begins the run. Resolves when it has gone quiet. */
  run(options?: RunOptions): Promise<void>;
  /** What it sent in the window. */
  sent(): string[];
}

const cleanUps: (() => Promise<unknown>)[] = [];
let window = { from: 0, to: 0 };

async function openQueue(): Promise<TestQueue> {
  const queue = await openTestQueue();
  cleanUps.push(() => queue.close());
  return queue;
}

async function watched(queue: TestQueue): Promise<Watched> {
  const sent = new SentStatements();
  const url = new URL(queue.dsn);
  const proxy: TcpProxy = await startTcpProxy(
    { host: url.hostname, port: Number(url.port || 5432) },
    () => sent.watch(),
  );
  url.hostname = "127.0.0.1";
  url.port = String(proxy.port);
  const pgq = new PgQueuer(await openWorkerDriver(url.href), queue.names);
  const texts = new Statements(queue.queries.settings);
  const names = new Map(
    Object.keys(statements).map((name) => [
      texts.get(name as StatementName),
      name,
    ]),
  );
  const nameOf = (text: string): string => names.get(text) ?? text;
  let run = Promise.resolve();
  cleanUps.unshift(async () => {
    await pgq.stop({ timeout: 0 });
    await run;
    await proxy.close();
  });
  return {
    pgq,
    started: [],
    async run(options): Promise<void> {
      run = pgq.run({ dequeueTimeout: DEQUEUE_TIMEOUT_MS, ...options });
      // The loop ends with a look ahead before it sleeps. On a busy machine it looks at everything once more, a little later.
      await until("it sleeps", () => {
        const quiet = ["look_ahead", "heartbeat"];
        const last = sent.all.findLast(({ text }) => !quiet.includes(nameOf(text)));
        const after = sent.all.filter(({ at }) => at > (last?.at ?? 0));
        return after.some(({ text, at }) =>
          nameOf(text) === "look_ahead" && performance.now() - at > QUIET_MS
        );
      }, 30_000);
    },
    sent: () => sent.between(window.from, window.to).map(({ text }) => nameOf(text)),
  };
}

async function startHolder(queue: TestQueue, heartbeatTimeoutMs: number): Promise<WorkerProcess> {
  await queue.sql`create table ${queue.sql(queue.names.schema)}.runs (job_id bigint, pid int)`;
  const holder = await startWorkerProcess(queue, {
    concurrencyLimit: 1,
    heartbeatTimeoutMs,
    shutdownTimeoutMs: 0,
    dequeueTimeoutMs: 600_000,
  });
  cleanUps.unshift(() => {
    holder.kill("SIGKILL");
    return holder.exited;
  });
  return holder;
}

const isPicked = (queue: TestQueue): Promise<boolean> =>
  queue.rows().then((rows) => rows.some(({ status }) => status === "picked"));

const NEVER = "0 0 1 1 *";

/** Nothing in the queue; limits, rates and schedules are declared. */
const alone = async (): Promise<Watched> => {
  const queue = await openQueue();
  const worker = await watched(queue);
  worker.pgq.entrypoint("plain", () => {});
  worker.pgq.entrypoint("limited", { concurrencyLimit: 2, requestsPerSecond: 1 }, () => {});
  worker.pgq.entrypoint("serialized", { serializedDispatch: true, retryTimer: 500 }, () => {});
  worker.pgq.schedule("inline", NEVER, () => {});
  worker.pgq.schedule("enqueued", NEVER, { enqueue: true, missed: "none" });
  // It has something behind it, too: what is counted of it comes later, and once.
  await queue.queries.enqueue(["plain", "limited"], [null, null]);
  await worker.run();
  expect(await queue.rows()).toEqual([]);
  return worker;
};

/** Three of them on one queue, whose health checks all of them hear. */
const together = async (): Promise<Watched[]> => {
  const queue = await openQueue();
  const workers = await Promise.all([1, 2, 3].map(() => watched(queue)));
  for (const { pgq } of workers) pgq.entrypoint("limited", { concurrencyLimit: 1 }, () => {});
  await Promise.all(workers.map((worker) => worker.run()));
  return workers;
};

/** A job is due in an hour, another is held, a third waits for its next attempt. */
const deferredJobs = async (): Promise<Watched> => {
  const queue = await openQueue();
  const worker = await watched(queue);
  worker.pgq.entrypoint("later", (job) => void worker.started.push(job.id));
  worker.pgq.entrypoint(
    "flaky",
    { concurrencyLimit: 1, retry: { initialDelay: { hours: 1 } } },
    () => {
      throw new Error("down");
    },
  );
  worker.pgq.entrypoint("held", { onFailure: "hold" }, () => {
    throw new Error("down");
  });
  await queue.queries.enqueue(["later", "flaky", "held"], [null, null, null], {
    executeAfter: [{ hours: 1 }, 0, 0],
  });
  await worker.run();
  expect((await queue.rows()).map(({ status }) => status)).toEqual(["queued", "queued", "failed"]);
  return worker;
};

/** The only seat is held by a job of another process, and jobs wait for it. */
const fullLimit = async (): Promise<
  { queue: TestQueue; workers: Watched[]; holder: WorkerProcess }
> => {
  const queue = await openQueue();
  const holder = await startHolder(queue, 30_000);
  await queue.queries.enqueue("limited", bytes("600000"));
  await until("the holder has the seat", () => isPicked(queue));
  await queue.queries.enqueue("limited", Array(20).fill(null));
  const workers = await Promise.all([1, 2].map(() => watched(queue)));
  for (const { pgq, started } of workers) {
    pgq.entrypoint("limited", { concurrencyLimit: 1 }, (job) => void started.push(job.id));
    pgq.entrypoint("other", () => {});
  }
  await Promise.all(workers.map((worker) => worker.run()));
  return { queue, workers, holder };
};

/** It holds the only seat itself. */
const ownSeat = async (): Promise<Watched> => {
  const queue = await openQueue();
  const worker = await watched(queue);
  const end = deferred();
  worker.pgq.entrypoint("limited", { concurrencyLimit: 1 }, async (job, { signal }) => {
    worker.started.push(job.id);
    signal.addEventListener("abort", () => end.resolve());
    await end.promise;
  });
  await queue.queries.enqueue("limited", Array(5).fill(null));
  await worker.run();
  return worker;
};

/** The job of another runs, without a limit, and its lease has to be watched. */
const besideBusy = async (): Promise<Watched> => {
  const queue = await openQueue();
  await startHolder(queue, 3_000);
  await queue.queries.enqueue("until_aborted", null);
  await until("it runs", () => isPicked(queue));
  const worker = await watched(queue);
  worker.pgq.entrypoint("until_aborted", (job) => void worker.started.push(job.id));
  await worker.run({ dequeueTimeout: { minutes: 10 }, heartbeatTimeout: 3_000 });
  return worker;
};

let scenes: {
  alone: Watched;
  together: Watched[];
  deferredJobs: Watched;
  fullLimit: { queue: TestQueue; workers: Watched[]; holder: WorkerProcess };
  ownSeat: Watched;
  besideBusy: Watched;
};
// All at the same time, as most of it is waiting.
beforeAll(async () => {
  const [a, b, c, d, e, f] = await Promise.all([
    alone(),
    together(),
    deferredJobs(),
    fullLimit(),
    ownSeat(),
    besideBusy(),
  ]);
  scenes = { alone: a, together: b, deferredJobs: c, fullLimit: d, ownSeat: e, besideBusy: f };
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
  window = { from, to: performance.now() };
}, 60_000);
afterAll(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
}, 60_000);

/** One look in each timeout, and no other statement. It does look: else this would be a worker that is dead. */
function expectOneATimeout(worker: Watched): void {
  const sent = worker.sent();
  expect([...new Set(sent)]).toEqual(["look_ahead"]);
  expect(sent.length).toBeLessThanOrEqual(looksEach(DEQUEUE_TIMEOUT_MS));
  expect(sent.length).toBeGreaterThanOrEqual(2);
}

test("a worker with nothing to do sends one statement in each dequeueTimeout", () => {
  expectOneATimeout(scenes.alone);
});

test("so do several of them", () => {
  for (const worker of scenes.together) expectOneATimeout(worker);
});

test("so does one whose next job is due in an hour", () => {
  expectOneATimeout(scenes.deferredJobs);
});

test("workers send nothing while a limit is full, and take the seat when it frees", async () => {
  const { queue, workers, holder } = scenes.fullLimit;
  expect(workers.map((worker) => worker.sent())).toEqual([[], []]);

  // Its job is put back: a notification, long before the lease would have run out.
  holder.kill("SIGTERM");
  await until("the jobs have run", async () => (await queue.rows()).length <= 1, 15_000);
  const started = workers.flatMap((worker) => worker.started);
  expect(started.length).toBeGreaterThanOrEqual(20);
});

test("a worker that holds the seat itself sends nothing but heartbeats", () => {
  const sent = scenes.ownSeat.sent();

  // One in ten seconds.
  expect([[], ["heartbeat"]]).toContainEqual(sent);
  expect(scenes.ownSeat.started).toHaveLength(1);
});

test("a worker that watches the lease of another sends one statement for each look", () => {
  const sent = scenes.besideBusy.sent();

  expect([...new Set(sent)]).toEqual(["look_ahead"]);
  // It is renewed each second, so that two seconds are left of it at the least.
  expect(sent.length).toBeLessThanOrEqual(looksEach(2_000));
  expect(scenes.besideBusy.started).toEqual([]);
});

test("a worker that hears nothing polls though a limit is full", async () => {
  const queue = await openQueue();
  const driver = await openWorkerDriver(queue.dsn);
  const deaf: Driver = {
    query: (text, parameters) => driver.query(text, parameters),
    script: (text) => driver.script(text),
    close: () => driver.close(),
    // As behind a pool that gives the session away.
    listen: () => Promise.resolve({ close: () => Promise.resolve() }),
  };
  const pgq = new PgQueuer(deaf, queue.names);
  const ran: number[] = [];
  pgq.entrypoint("limited", { concurrencyLimit: 1 }, async (job) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    ran.push(job.id);
  });
  const ids = await queue.queries.enqueue("limited", Array(5).fill(null));
  const run = pgq.run({ dequeueTimeout: 100 });

  await until("all have run, long before a lease would run out", () => ran.length === 5);

  expect(ran).toEqual(ids);
  await pgq.stop();
  await run;
});

test.each(["dies", "lets it go without a word"])(
  "a worker that waits for a seat takes it when its holder %s, though it does not poll",
  async (how) => {
    const queue = await openQueue();
    const holder = await startHolder(queue, 1_500);
    await queue.queries.enqueue("limited", bytes("600000"));
    await until("the holder has the seat", () => isPicked(queue));
    const next = await queue.queries.enqueue("limited", null);
    const worker = await watched(queue);
    worker.pgq.entrypoint("limited", { concurrencyLimit: 1 }, (job) => {
      worker.started.push(job.id);
    });
    await worker.run({ heartbeatTimeout: 1_500, dequeueTimeout: { minutes: 10 } });

    holder.kill("SIGKILL");
    await holder.exited;
    if (how !== "dies") {
      // As an operator by hand, or a client that sends no notification.
      await queue.sql`
        update ${queue.sql(queue.table)} set status = 'failed', queue_manager_id = null, slot = null
        where status = 'picked'`;
    }

    await until("the next job has started", () => worker.started.includes(next!));
  },
);
