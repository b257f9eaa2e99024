/** What each worker has to show when nothing is disturbed any more: what chance brings about too seldom. */
import { setTimeout as delay } from "node:timers/promises";
import type { TcpProxy } from "../support/tcp_proxy.ts";
import { until } from "../support/queue.ts";
import type { Pinger } from "./pinger.ts";
import type { Finding } from "./run.ts";
import type { Stage } from "./stage.ts";

/** Longest wait of an idle worker. Long beside what it needs to hear, so that a job which only a poll finds is known as such. */
export const DEQUEUE_TIMEOUT_MS = 4_000;
const HEARS_MS: number = DEQUEUE_TIMEOUT_MS / 2;
/** Pings in a row that a worker has to hear. */
const HEARD = 3;
/** Time for a worker to notice that it is deaf, or to come to a job whose lease has run out. */
const PATIENCE_MS = 45_000;
/** A deaf worker gets time to find it out, and a busy machine may make one too late once. */
const TRIES = 3;
/** How long an answer is kept back, to be lost with its connection. */
const HELD_BACK_MS = 300;
const CUTS = 3;

/** One exam of one worker. Says whether it was passed. */
type Exam = (pinger: Pinger, worker: number, proxy: TcpProxy) => Promise<boolean>;

/** A worker with nothing to do hears of new jobs, other than by its polls. */
const hears: Exam = async (pinger, worker) => {
  for (let heard = 0; heard < HEARD; heard++) {
    const sentAt = performance.now();
    const jobId = await pinger.send(worker, null);
    await until("it has ended", () => pinger.isGone(jobId), PATIENCE_MS);
    if (performance.now() - sentAt > HEARS_MS) {
      // A deaf worker finds it out after a poll.
      await delay(DEQUEUE_TIMEOUT_MS);
      return false;
    }
  }
  return true;
};

/** A worker that gets no answer to its claim puts the job back, and does not leave it until the lease has run out. */
const putsBack: Exam = async (pinger, worker, proxy) => {
  proxy.delay(HELD_BACK_MS);
  const jobId = await pinger.send(worker, null);
  await until("it is picked", () => pinger.isPicked(jobId), PATIENCE_MS);
  const isLost = !await pinger.hasSaid(jobId, "begun");
  proxy.cut();
  proxy.delay(0);
  await until("it has ended", () => pinger.isGone(jobId), PATIENCE_MS);
  return isLost && (await pinger.livesOf(jobId)).takeOvers === 0;
};

/** A worker whose connections are cut with an outcome on its way stores it again: the job does not run a second time. */
const storesAgain: Exam = async (pinger, worker, proxy) => {
  // Each time: it may also be that the outcome was to go on a connection that was not there yet.
  for (let time = 0; time < CUTS; time++) {
    const jobId = await pinger.send(worker, null, { ms: HELD_BACK_MS });
    await until("it runs", () => pinger.hasSaid(jobId, "begun"), PATIENCE_MS);
    proxy.delay(HELD_BACK_MS);
    await until("its handler has ended", () => pinger.hasSaid(jobId, "done"), PATIENCE_MS);
    await delay(HELD_BACK_MS / 3);
    proxy.cut();
    proxy.delay(0);
    await until("it has ended", () => pinger.isGone(jobId), PATIENCE_MS);
    if ((await pinger.livesOf(jobId)).attempts > 1) return false;
  }
  return true;
};

const EXAMS: readonly (readonly [string, Exam])[] = [
  ["in the end each worker hears of new jobs", hears],
  ["in the end each worker puts back a job whose claim it did not hear of", putsBack],
  ["in the end each worker stores an outcome again that was lost on its way", storesAgain],
];

/** Has each worker show what it can, all at the same time. */
export async function examine(
  stage: Stage,
  pinger: Pinger,
  workers: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [check, exam] of EXAMS) {
    const failed = await Promise.all(workers.map(async (worker) => {
      for (let tries = 0; tries < TRIES; tries++) {
        signal?.throwIfAborted();
        const proxy = stage.proxies[worker]!;
        if (await exam(pinger, worker, proxy).catch((error) => giveUp(error))) return [];
      }
      return [`Worker ${worker + 1} did not, in ${TRIES} tries`];
    }));
    findings.push({ check, breaches: failed.flat() });
  }
  return findings;
}

/** An exam that comes to no end is failed. */
function giveUp(error: unknown): boolean {
  if (String(error).includes("Gave up waiting")) return false;
  throw error;
}
