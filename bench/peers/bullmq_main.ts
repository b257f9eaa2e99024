/** A process of BullMQ, on Redis: a reference, since it promises less when its server stops. */
import process from "node:process";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
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

const task = readTask();
const connection = { url: task.dsn };
const name = entrypointOf(task, 0);

switch (task.role) {
  case "install": {
    const redis = new Redis(task.dsn);
    await redis.flushall();
    redis.disconnect();
    break;
  }
  case "inspect":
    await inspect();
    break;
  case "fill":
    await withQueue((queue) => begin(() => fill(task, sendBatch(queue))));
    break;
  case "single":
    await withQueue((queue) => begin(() => single(task, sendOne(queue))));
    break;
  case "trickle":
    await withQueue((queue) => begin(() => trickle(task, sendOne(queue))));
    break;
  case "offer":
    await withQueue((queue) => begin(() => offer(task, sendBatch(queue))));
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

async function withQueue(run: (queue: Queue) => Promise<void>): Promise<void> {
  const queue = new Queue(name, { connection });
  await queue.waitUntilReady();
  await run(queue);
  await queue.close();
}

function sendBatch(queue: Queue): SendBatch {
  return async (numbers, delayMs, calledAt) => {
    await queue.addBulk(numbers.map((number) => ({
      name,
      data: jsonPayload(task, number, calledAt),
      ...(delayMs > 0 ? { opts: { delay: delayMs } } : {}),
    })));
  };
}

function sendOne(queue: Queue) {
  return async (number: number, calledAt: number): Promise<void> => {
    await queue.add(name, jsonPayload(task, number, calledAt));
  };
}

async function inspect(): Promise<void> {
  await withQueue(async (queue) => {
    void say("ready");
    const counts = await queue.getJobCounts(
      "wait",
      "prioritized",
      "delayed",
      "active",
      "completed",
    );
    await say("end", {
      ready: (counts["wait"] ?? 0) + (counts["prioritized"] ?? 0),
      deferred: counts["delayed"],
      running: counts["active"],
      done: counts["completed"],
    });
  });
}

async function work(): Promise<void> {
  const counter = new Counter(task);
  const concurrency = task.concurrency || (task.tuned ? 100 : 1);
  const worker = new Worker(name, async ({ data }) => {
    await counter.run(task, data.n, data.at);
  }, { connection, concurrency, autorun: false });
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
  void say("ready");
  await told("go");
  const run = worker.run();
  await told("stop");
  await worker.close();
  await run;
  await counter.end();
}
