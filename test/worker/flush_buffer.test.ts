import { expect, test } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { FlushBuffer } from "../../src/worker/flush_buffer.ts";
import { deferred, until } from "../support/queue.ts";

test("add() resolves when its item is stored, and items of one turn share a batch", async () => {
  const batches: number[][] = [];
  const buffer = new FlushBuffer<number>(
    (items) => Promise.resolve(void batches.push([...items])),
    silentLogger,
  );

  await Promise.all([buffer.add(1), buffer.add(2), buffer.add(3)]);

  expect(batches).toEqual([[1, 2, 3]]);
});

test("what comes while a batch is on its way goes with the next", async () => {
  const batches: number[][] = [];
  const gate = deferred();
  const buffer = new FlushBuffer<number>((items) => {
    batches.push([...items]);
    return batches.length === 1 ? gate.promise : Promise.resolve();
  }, silentLogger);

  const first = buffer.add(1);
  while (batches.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const others = [buffer.add(2), buffer.add(3)];
  gate.resolve();
  await Promise.all([first, ...others]);

  expect(batches).toEqual([[1], [2, 3]]);
});

test("a batch that fails is sent again, in order, until it is stored", async () => {
  const seen: number[][] = [];
  const buffer = new FlushBuffer<number>((items) => {
    seen.push([...items]);
    return seen.length < 3 ? Promise.reject(new Error("down")) : Promise.resolve();
  }, silentLogger);

  await Promise.all([buffer.add(1), buffer.add(2)]);

  expect(seen).toEqual([[1, 2], [1, 2], [1, 2]]);
});

test("an abandoned buffer stores nothing more and keeps nobody waiting", async () => {
  let calls = 0;
  const buffer = new FlushBuffer<number>(() => {
    calls++;
    return Promise.reject(new Error("down"));
  }, silentLogger);
  const waiting = buffer.add(1);
  while (calls === 0) await new Promise((resolve) => setTimeout(resolve, 1));

  buffer.abandon();
  await waiting;
  await buffer.flushed();

  expect(calls).toBeGreaterThan(0);
});

test("where very many wait, two batches are on their way at a time, and no more", async () => {
  const batches: number[][] = [];
  const gates = [deferred(), deferred(), deferred()];
  const buffer = new FlushBuffer<number>((items) => {
    batches.push([...items]);
    return gates[batches.length - 1]!.promise;
  }, silentLogger);
  const stored: number[] = [];
  const add = (item: number) => void buffer.add(item).then(() => stored.push(item));
  const numbers = Array.from({ length: 3_000 }, (_, n) => n);

  add(0);
  await until("the first is on its way", () => batches.length === 1);
  // Not enough for a second, then enough.
  numbers.slice(1, 400).forEach(add);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(batches.length).toBe(1);
  numbers.slice(400, 600).forEach(add);
  await until("the second is on its way", () => batches.length === 2);
  numbers.slice(600, 1_500).forEach(add);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(batches.length).toBe(2);
  expect(stored).toEqual([]);
  gates[1]!.resolve();
  await until("another follows on it", () => batches.length === 3);
  expect(stored).toEqual(numbers.slice(1, 600));
  gates[0]!.resolve();
  gates[2]!.resolve();
  await buffer.flushed();

  expect(batches.map((batch) => batch.length)).toEqual([1, 599, 900]);
  expect(stored.sort((one, other) => one - other)).toEqual(numbers.slice(0, 1_500));
});

test("of two batches on their way that fail, all is sent again and nothing is left", async () => {
  const stored: number[] = [];
  let calls = 0;
  const buffer = new FlushBuffer<number>(async (items) => {
    const call = ++calls;
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (call > 1 && call < 5) throw new Error("down");
    stored.push(...items);
  }, silentLogger);
  const numbers = Array.from({ length: 2_500 }, (_, n) => n);

  const first = buffer.add(0);
  await until("the first is on its way", () => calls === 1);
  await Promise.all([first, ...numbers.slice(1).map((item) => buffer.add(item))]);
  await buffer.flushed();

  expect(calls).toBeGreaterThan(4);
  expect(stored.sort((one, other) => one - other)).toEqual(numbers);
});

test("what is added as soon as a batch is stored is stored, too", async () => {
  const buffer = new FlushBuffer<number>(() => Promise.resolve(), silentLogger);

  // Each in a moment in which nothing waits, and the loop may or may not have ended.
  for (let ticks = 0; ticks < 12; ticks++) {
    await buffer.add(0);
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    await buffer.add(1);
  }
});
