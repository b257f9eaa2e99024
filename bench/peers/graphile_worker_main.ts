/** A process of graphile-worker. */
import process from "node:process";
import { Logger, makeWorkerUtils, run, type TaskList } from "graphile-worker";
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

type Utils = Awaited<ReturnType<typeof makeWorkerUtils>>;

const task = readTask();
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

switch (task.role) {
  case "install":
    await withUtils((utils) => utils.migrate());
    break;
  case "fill":
    await withUtils((utils) => begin(() => fill(task, sendBatch(utils))));
    break;
  case "single":
    await withUtils((utils) => begin(() => single(task, sendOne(utils))));
    break;
  case "trickle":
    await withUtils((utils) => begin(() => trickle(task, sendOne(utils))));
    break;
  case "offer":
    await withUtils((utils) => begin(() => offer(task, sendBatch(utils))));
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

async function withUtils(run: (utils: Utils) => Promise<void>): Promise<void> {
  const utils = await makeWorkerUtils({
    connectionString: task.dsn,
    maxPoolSize: Math.max(1, task.callers),
    logger,
  });
  await utils.withPgClient((client) => client.query("select 1"));
  await run(utils);
  await utils.release();
}

function sendBatch(utils: Utils): SendBatch {
  return async (numbers, delayMs, calledAt) => {
    const runAt = delayMs > 0 ? new Date(Date.now() + delayMs) : undefined;
    await utils.addJobs(numbers.map((number) => ({
      identifier: entrypointOf(task, number),
      payload: jsonPayload(task, number, calledAt),
      ...(runAt === undefined ? {} : { runAt }),
    })));
  };
}

function sendOne(utils: Utils) {
  return async (number: number, calledAt: number): Promise<void> => {
    await utils.addJob(entrypointOf(task, number), jsonPayload(task, number, calledAt));
  };
}

async function work(): Promise<void> {
  const counter = new Counter(task);
  const taskList: TaskList = {};
  for (let index = 0; index < task.entrypoints; index++) {
    taskList[entrypointOf(task, index)] = async (payload) => {
      const { n, at } = payload as ReturnType<typeof jsonPayload>;
      await counter.run(task, n, at);
    };
  }
  // Batches and a local queue make it fastest; more jobs at a time than this do not.
  const tuned = {
    concurrentJobs: task.concurrency || 24,
    maxPoolSize: 12,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  };
  const own = task.concurrency > 0 ? { concurrentJobs: task.concurrency } : {};
  void say("ready");
  await told("go");
  const runner = await run({
    connectionString: task.dsn,
    noHandleSignals: true,
    logger,
    taskList,
    preset: { worker: task.tuned ? tuned : own },
  });
  await told("stop");
  await runner.stop();
  await counter.end();
}
