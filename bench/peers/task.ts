/**
 * What a process of the bench is told, and how it answers. The same for every peer, so that all are measured alike.
 *
 * A task comes in the environment variable BENCH. Answers are lines of JSON on stdout. A process says "ready" once it has
 * connected, and begins when it reads "go"; a worker ends when it reads "stop".
 */
import type { Buffer } from "node:buffer";
import process from "node:process";

/** Jobs of one kind, numbered from `first`. */
export interface Part {
  readonly first: number;
  readonly count: number;
  /** How long a job may not start; `0`: ready at once. */
  readonly delayMs: number;
}

/** Enqueues jobs in one call. */
export type SendBatch = (
  numbers: readonly number[],
  delayMs: number,
  calledAt: number,
) => Promise<void>;

/** How a job's handler spends its time: "latency" notes when it began. */
export type HandlerKind = "count" | "sleep" | "latency";

/** What one process is to do. */
export interface Task {
  readonly role: "install" | "inspect" | "fill" | "single" | "trickle" | "offer" | "work";
  /** Where the jobs are. */
  readonly dsn: string;
  /** Whether to use the settings that are best for throughput, or those that a user gets who sets none. */
  readonly tuned: boolean;
  /** Which variant of our own settings, such as `terminal`; empty for the usual. */
  readonly variant: string;
  /** Size of each payload, at least 16. */
  readonly payloadBytes: number;
  /** Jobs are spread over so many entrypoints. */
  readonly entrypoints: number;
  /** So many of them, the first ones, have limits: at most five. */
  readonly limited: number;
  /** Of "fill": what to enqueue, `batch` jobs at a time. */
  readonly parts: readonly Part[];
  readonly batch: number;
  /** Of "single", "trickle" and "offer": how many jobs, numbered from `first`. */
  readonly first: number;
  readonly count: number;
  /** Of "single": calls under way at a time. */
  readonly callers: number;
  /** Of "trickle": pause between two jobs. */
  readonly pauseMs: number;
  /** Of "offer": jobs a second, whether or not they are taken. */
  readonly rate: number;
  /** Of "work". */
  readonly handler: HandlerKind;
  readonly sleepMs: number;
  /** Most handlers at a time; `0`: what the settings say. */
  readonly concurrency: number;
  /** When log rows are deleted; `0`: as the worker does by itself. */
  readonly retentionMs: number;
  /** Of the handler "latency": notes each so manieth job. */
  readonly sampleEvery: number;
  /** Numbers of jobs after which the time is noted. */
  readonly marks: readonly number[];
}

/** What a worker has done so far. */
export interface Tally {
  readonly count: number;
  /** Sum of the numbers of the jobs that ran: shows a job that ran twice in another's place. */
  readonly sum: number;
  /** When the first handler began, in milliseconds since 1970. */
  readonly firstAt: number;
}

/** What a worker says at its end. */
export interface WorkerReport extends Tally {
  /** Time at which so many jobs had run. */
  readonly marks: readonly (readonly [count: number, at: number])[];
  /** Of "latency": number of the job, when it was asked for, when it began. */
  readonly starts: readonly (readonly [number: number, calledAt: number, startedAt: number])[];
  /** Of "sleep": what handlers took, in sum. */
  readonly busyMs: number;
  /** When the last job of an entrypoint without limits began. */
  readonly unlimitedAt: number;
  /** Kilobytes of memory in use by JavaScript objects, where the runtime says. */
  readonly heapKb: number;
}

/** Times of jobs that were enqueued one by one. */
export interface ProducerReport {
  readonly begunAt: number;
  readonly endedAt: number;
  /** Of "trickle" and "offer": number of the job, when the call began and when it had committed. */
  readonly calls: readonly (readonly [number: number, calledAt: number, committedAt: number])[];
}

/** Milliseconds since 1970, with their fraction: comparable between processes. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

export function readTask(): Task {
  return JSON.parse(process.env["BENCH"] ?? "null") as Task;
}

/** Resolves when it has been written: a process that ends before would cut it. */
export function say(event: "ready" | "tally" | "end", value: unknown = {}): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(`${JSON.stringify({ event, value })}\n`, () => resolve());
  });
}

/** Resolves when the parent has written a line with this word. */
export function told(word: "go" | "stop"): Promise<void> {
  return new Promise((resolve) => {
    let text = "";
    const onData = (chunk: Buffer | string): void => {
      text += String(chunk);
      if (!text.includes(`${word}\n`)) return;
      process.stdin.off("data", onData);
      resolve();
    };
    process.stdin.on("data", onData);
    // The parent has died.
    process.stdin.once("end", () => process.exit(1));
  });
}

/** How long "offer" lets jobs gather. */
const OFFER_MS = 10;
/** How often a worker says what it has done. */
const TALLY_MS = 20;

/** Counts what the handlers of a worker process do. Cheap, as it is part of what is measured. */
export class Counter {
  count = 0;
  sum = 0;
  firstAt = 0;
  busyMs = 0;
  unlimitedAt = 0;
  readonly marks: [number, number][] = [];
  readonly starts: [number, number, number][] = [];
  readonly #wanted: Set<number>;
  readonly #timer: ReturnType<typeof setInterval>;
  #said = 0;

  constructor(task: Task) {
    this.#wanted = new Set(task.marks);
    this.#timer = setInterval(() => this.#say(), TALLY_MS);
  }

  /** To be called first in a handler. */
  begin(number: number): void {
    if (this.count++ === 0) this.firstAt = now();
    this.sum += number;
    if (this.#wanted.has(this.count)) this.marks.push([this.count, now()]);
  }

  /** What the handler of a job does. `calledAt` is what its payload says. */
  async run(task: Task, number: number, calledAt: number): Promise<void> {
    this.begin(number);
    if (task.handler === "sleep") {
      const begunAt = performance.now();
      await new Promise((resolve) => setTimeout(resolve, task.sleepMs));
      this.busyMs += performance.now() - begunAt;
    } else if (task.handler === "latency" && number % task.sampleEvery === 0) {
      this.starts.push([number, calledAt, now()]);
    }
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    const { count, sum, firstAt, busyMs, unlimitedAt, marks, starts } = this;
    const heapKb = Math.round(process.memoryUsage().heapUsed / 1_024);
    const report = { count, sum, firstAt, busyMs, unlimitedAt, marks, starts, heapKb };
    await say("end", report satisfies WorkerReport);
  }

  #say(): void {
    if (this.#said === this.count) return;
    this.#said = this.count;
    void say("tally", { count: this.count, sum: this.sum, firstAt: this.firstAt } satisfies Tally);
  }
}

/** Enqueues in slices: `send` gets the numbers of the jobs of each. */
export async function fill(task: Task, send: SendBatch): Promise<ProducerReport> {
  const begunAt = now();
  for (const { first, count, delayMs } of task.parts) {
    for (let done = 0; done < count; done += task.batch) {
      await send(numbers(first + done, Math.min(task.batch, count - done)), delayMs, 0);
    }
  }
  return { begunAt, endedAt: now(), calls: [] };
}

/** Enqueues at a fixed rate, whether or not anybody takes the jobs. Late if the database cannot keep up. */
export async function offer(task: Task, send: SendBatch): Promise<ProducerReport> {
  const begunAt = now();
  for (let done = 0; done < task.count;) {
    const due = Math.min(task.count, Math.floor((now() - begunAt) / 1_000 * task.rate));
    const size = Math.min(task.batch, due - done);
    if (size > 0) await send(numbers(task.first + done, size), 0, now());
    done += Math.max(0, size);
    if (due - done < task.batch) await new Promise((resolve) => setTimeout(resolve, OFFER_MS));
  }
  return { begunAt, endedAt: now(), calls: [] };
}

function numbers(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** Enqueues one job at a time in each of `callers` loops. */
export async function single(
  task: Task,
  send: (number: number, calledAt: number) => Promise<void>,
): Promise<ProducerReport> {
  const begunAt = now();
  let next = task.first;
  const end = task.first + task.count;
  const caller = async (): Promise<void> => {
    while (next < end) await send(next++, now());
  };
  await Promise.all(Array.from({ length: task.callers }, caller));
  return { begunAt, endedAt: now(), calls: [] };
}

/** Enqueues one job after another, with a pause in between, and notes when. */
export async function trickle(
  task: Task,
  send: (number: number, calledAt: number) => Promise<void>,
): Promise<ProducerReport> {
  const begunAt = now();
  const calls: [number, number, number][] = [];
  for (let number = task.first; number < task.first + task.count; number++) {
    const calledAt = now();
    await send(number, calledAt);
    calls.push([number, calledAt, now()]);
    await new Promise((resolve) => setTimeout(resolve, task.pauseMs));
  }
  return { begunAt, endedAt: now(), calls };
}

/** Name of the entrypoint of a job. */
export function entrypointOf(task: Task, number: number): string {
  return `bench_${number % task.entrypoints}`;
}

/** A job's number, when it was asked for, and padding. */
export function bytesPayload(task: Task, number: number, calledAt = 0): Uint8Array {
  const bytes = new Uint8Array(task.payloadBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, number);
  view.setFloat64(4, calledAt);
  return bytes;
}

/** The same as an object whose JSON has that size. */
export function jsonPayload(
  task: Task,
  number: number,
  calledAt = 0,
): { n: number; at: number; pad: string } {
  const empty = JSON.stringify({ n: number, at: calledAt, pad: "" }).length;
  return { n: number, at: calledAt, pad: "x".repeat(Math.max(0, task.payloadBytes - empty)) };
}
