/** A backlog and quick handlers: two claims are on their way at a time. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { fromPostgresJs, openWorkerDriver, PgQueuer, resolveSettings } from "../../mod.ts";
import type { Driver, Parameter } from "../../src/driver.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import type { Room } from "../../src/worker/attempts.ts";
import type { Claimer, ClaimerParts } from "../../src/worker/claimer.ts";
import { claimerOf, deliveredTo } from "../support/claimer.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp_proxy.ts";

/** As many as one claim takes. */
const FULL: Room = { limit: 1_000, startable: 1_000 };

let queue: TestQueue;
let store: QueueStore;
let proxy: TcpProxy;
beforeAll(async () => {
  queue = await openTestQueue();
  store = new QueueStore(fromPostgresJs(queue.sql), new Statements(resolveSettings(queue.names)));
  const { hostname, port } = new URL(queue.dsn);
  proxy = await startTcpProxy({ host: hostname, port: Number(port || 5432) });
});
afterEach(() => queue.clear());
afterAll(async () => {
  await proxy?.close();
  await queue?.close();
});

/** A store that notes how many claims are on their way, and holds each until it is let go. */
class WatchedStore {
  readonly sent: { readonly limit: number; readonly after: number }[] = [];
  underWay = 0;
  most = 0;
  /** Called for each, by its number from 1 on. */
  hold: (number: number) => Promise<void> = () => Promise.resolve();
  lookAhead = store.lookAhead.bind(store);
  release = store.release.bind(store);

  async dequeue(...args: Parameters<QueueStore["dequeue"]>): ReturnType<QueueStore["dequeue"]> {
    const after = args[3]!.find(({ lowest, highest }) => lowest <= 0 && highest >= 0)!.after;
    const number = this.sent.push({ limit: args[0], after });
    this.most = Math.max(this.most, ++this.underWay);
    try {
      const jobs = await store.dequeue(...args);
      await this.hold(number);
      return jobs;
    } finally {
      this.underWay--;
    }
  }
}

/** A claimer of "work" for which there is always room. */
function claimer(watched: WatchedStore, parts: Partial<ClaimerParts> = {}): Claimer {
  return claimerOf(watched as unknown as QueueStore, ["work"], {
    attempts: { roomBeside: () => FULL.limit, wake: () => {} },
    ...parts,
  });
}

/** Claims before there is a backlog: the first one of an idle worker looks at everything, and ten that bring all. */
const BEFORE = 11;

/** Makes these. */
async function meetBacklog(worker: Claimer): Promise<number[]> {
  const ids: number[] = [];
  for (let n = 0; n < BEFORE; n++) ids.push(...(await worker.claim(FULL)).jobs.map(({ id }) => id));
  return ids;
}

test("two claims of a backlog take different jobs from the start, and each job is claimed once", async () => {
  const ids = await queue.queries.enqueue("work", Array(15_500).fill(null)) as number[];
  const watched = new WatchedStore();
  const worker = claimer(watched);

  const claimed = await meetBacklog(worker);
  for (let jobs = 1; jobs > 0;) {
    const claim = await worker.claim(FULL);
    await worker.paired.settled();
    const all = [...claim.jobs, ...deliveredTo(worker)];
    claimed.push(...all.map(({ id }) => id));
    jobs = all.length;
  }

  expect(watched.most).toBe(2);
  expect(claimed.sort((one, other) => one - other)).toEqual(ids);
  // The first that another goes with: that begins as far behind it as it may reach.
  const [first, second] = watched.sent.slice(BEFORE);
  expect(second!.after).toBe(first!.after + first!.limit);
});

test("without a backlog, or without room for many jobs, there is one claim at a time", async () => {
  const watched = new WatchedStore();
  let room = FULL.limit;
  const worker = claimer(watched, { attempts: { roomBeside: () => room, wake: () => {} } });
  await queue.queries.enqueue("work", Array(10_500).fill(null));
  await meetBacklog(worker);
  await worker.claim(FULL);
  expect(watched.most).toBe(1);

  room = 499;
  await queue.queries.enqueue("work", Array(15_000).fill(null));
  await meetBacklog(worker);
  await worker.claim(FULL);

  expect(watched.most).toBe(1);
});

test("the failure of a second claim is the next claim's, and its jobs are found again", async () => {
  const ids = await queue.queries.enqueue("work", Array(15_000).fill(null)) as number[];
  const watched = new WatchedStore();
  const worker = claimer(watched);
  const claimed = await meetBacklog(worker);
  const answer = deferred();
  watched.hold = (number) =>
    number === BEFORE + 2
      ? answer.promise.then(() => Promise.reject(new Error("lost")))
      : Promise.resolve();

  claimed.push(...(await worker.claim(FULL)).jobs.map(({ id }) => id));
  answer.resolve();
  await worker.settled();
  await expect(worker.claim(FULL)).rejects.toThrow("lost");
  // What its worker does then: puts back whatever it does not know.
  const [{ manager }] = await queue.sql<[{ manager: string }]>`
    select queue_manager_id as manager from ${queue.sql(queue.table)} where id = ${ids[0]!}`;
  const lost = await store.releaseUnknown(claimed, manager);
  expect(lost.length).toBe(1_000);
  for (let jobs = 1; jobs > 0;) {
    const claim = await worker.claim(FULL);
    await worker.settled();
    if (claim.jobs.length < FULL.limit) await worker.lookAhead(null);
    const all = [...claim.jobs, ...deliveredTo(worker)];
    claimed.push(...all.map(({ id }) => id));
    jobs = all.length;
  }

  expect(claimed.sort((one, other) => one - other)).toEqual(ids);
});

test("a worker that closes puts back what a second claim still brings", async () => {
  await queue.queries.enqueue("work", Array(15_000).fill(null));
  const watched = new WatchedStore();
  const worker = claimer(watched);
  await meetBacklog(worker);
  const answer = deferred();
  watched.hold = (number) => number === BEFORE + 2 ? answer.promise : Promise.resolve();

  const { jobs } = await worker.claim(FULL);
  const closed = worker.close(60_000);
  answer.resolve();
  await closed;

  expect(jobs.length).toBe(1_000);
  expect(deliveredTo(worker)).toEqual([]);
  const rows = await queue.rows();
  expect(rows.filter(({ status }) => status === "picked").length).toBe((BEFORE + 1) * 1_000);
  expect(watched.sent.length).toBe(BEFORE + 2);
});

/** The driver of a worker to whom each answer comes late. */
async function farDriver(): Promise<Driver> {
  const url = new URL(queue.dsn);
  url.hostname = "127.0.0.1";
  url.port = String(proxy.port);
  return await openWorkerDriver(url.href);
}

test("a drain ends when the jobs of a second claim have run, too, however late that is answered", async () => {
  const ids = await queue.queries.enqueue("work", Array(13_500).fill(null)) as number[];
  const driver = await openWorkerDriver(queue.dsn);
  const query = driver.query.bind(driver);
  let underWay = 0;
  let late: number | undefined;
  driver.query = async <Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> => {
    if (!text.includes("fn_pgqueuer_dequeue_")) return await query<Row>(text, parameters);
    const isLate = ++underWay === 2 && late === undefined;
    if (isLate) late = 0;
    const rows = await query<Row>(text, parameters);
    // Long enough for a worker that does not wait for it to say that the queue is drained.
    if (isLate) await new Promise((resolve) => setTimeout(resolve, 500));
    if (isLate) late = rows.length;
    underWay--;
    return rows;
  };
  const pgq = new PgQueuer(driver, queue.names);
  const ran: number[] = [];
  pgq.entrypoint("work", ({ id }) => void ran.push(id));

  // Room for many, however quick this machine is.
  await pgq.run({ mode: "drain", batchSize: 1_000, maxConcurrentTasks: 5_000 });

  expect(ran.sort((one, other) => one - other)).toEqual(ids);
  expect(await queue.rows()).toEqual([]);
  expect(late).toBeGreaterThan(0);
});

test("a stop far from the server leaves nothing claimed, and nothing runs twice", async () => {
  const ids = await queue.queries.enqueue("work", Array(8_000).fill(null)) as number[];
  const ran: number[] = [];
  while (ran.length < ids.length) {
    const pgq = new PgQueuer(await farDriver(), queue.names);
    proxy.delay(10);
    const goal = Math.min(ids.length, ran.length + 3_000);
    const enough = deferred();
    pgq.entrypoint("work", ({ id }) => {
      ran.push(id);
      if (ran.length >= goal) enough.resolve();
    });
    const run = pgq.run();
    await enough.promise;
    await pgq.stop();
    await run;
    proxy.delay(0);
    const picked = async () => (await queue.rows()).filter(({ status }) => status === "picked");
    expect(await picked()).toEqual([]);
  }

  expect(ran.sort((one, other) => one - other)).toEqual(ids);
  await until("all are gone", async () => (await queue.rows()).length === 0);
});
