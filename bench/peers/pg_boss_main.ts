/** A process of pg-boss. */
import process from "node:process";
import { PgBoss } from "pg-boss";
import {
  Counter,
  entrypointOf,
  fill,
  jsonPayload,
  offer,
  readTask,
  say,
  type SendBatch,
  single,
  told,
  trickle,
} from "./task.ts";

type Payload = ReturnType<typeof jsonPayload>;

const task = readTask();

switch (task.role) {
  case "install":
    await withBoss(install);
    break;
  case "fill":
    await withBoss((boss) => begin(() => fill(task, sendBatch(boss))));
    break;
  case "single":
    await withBoss((boss) => begin(() => single(task, sendOne(boss))));
    break;
  case "trickle":
    await withBoss((boss) => begin(() => trickle(task, sendOne(boss))));
    break;
  case "offer":
    await withBoss((boss) => begin(() => offer(task, sendBatch(boss))));
    break;
  case "work":
    await work();
    break;
}
process.exit(0);

async function begin(run: () => Promise<unknown>): Promise<void> {
  void say("ready");
  await told("go");
  await say("end", await run());
}

/** Notifications wake idle workers and cost each enqueue a little: only what measures latency turns them on. */
async function install(boss: PgBoss): Promise<void> {
  for (let index = 0; index < task.entrypoints; index++) {
    await boss.createQueue(entrypointOf(task, index), { notify: task.variant === "notify" });
  }
}

async function withBoss(run: (boss: PgBoss) => Promise<void>): Promise<void> {
  const boss = await start(Math.max(2, task.callers), false);
  await run(boss);
  await boss.stop({ graceful: false });
}

async function start(connections: number, useListenNotify: boolean): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: task.dsn, max: connections, useListenNotify });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  return boss;
}

function sendBatch(boss: PgBoss): SendBatch {
  return async (numbers, delayMs, calledAt) => {
    const startAfter = delayMs > 0 ? { startAfter: new Date(Date.now() + delayMs) } : {};
    for (const [name, jobs] of Map.groupBy(numbers, (number) => entrypointOf(task, number))) {
      await boss.insert(
        name,
        jobs.map((number) => ({ data: jsonPayload(task, number, calledAt), ...startAfter })),
      );
    }
  };
}

function sendOne(boss: PgBoss) {
  return async (number: number, calledAt: number): Promise<void> => {
    await boss.send(entrypointOf(task, number), jsonPayload(task, number, calledAt));
  };
}

async function work(): Promise<void> {
  const counter = new Counter(task);
  const boss = await start(10, task.tuned);
  void say("ready");
  await told("go");
  // Two loops of large batches make it fastest, and more loops do not.
  const loops = 2;
  const batchSize = task.concurrency > 0 ? Math.ceil(task.concurrency / loops) : 500;
  const tuned = {
    batchSize,
    localConcurrency: loops,
    burstWhenBatchFull: true,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 0.5,
  };
  const own = task.concurrency > 0
    ? { localConcurrency: task.concurrency, pollingIntervalSeconds: 0.5 }
    : {};
  for (let index = 0; index < task.entrypoints; index++) {
    await boss.work<Payload>(
      entrypointOf(task, index),
      task.tuned ? tuned : own,
      async (jobs) => {
        if (task.handler === "sleep") {
          await Promise.all(jobs.map(({ data }) => counter.run(task, data.n, data.at)));
          return;
        }
        for (const { data } of jobs) await counter.run(task, data.n, data.at);
      },
    );
  }
  await told("stop");
  await boss.stop({ graceful: true, timeout: 30_000 });
  await counter.end();
}
