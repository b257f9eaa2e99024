import { expect, test } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { FlushBuffer } from "../../src/worker/flush_buffer.ts";
import { deferred } from "../support/queue.ts";

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
