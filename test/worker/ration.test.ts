/** How often a worker looks at everything. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Plain, Ration } from "../../src/worker/ration.ts";

let now = 0;
beforeEach(() => {
  now = 1_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

/** A look that takes so long. */
function look(ms: number): () => Promise<number> {
  return () => Promise.resolve(now += ms);
}

test("a look that takes no time may follow another", async () => {
  const ration = new Ration(20, new Plain());
  expect(ration.dueMs).toBe(0);

  expect(await ration.spend(look(5))).toBe(1_005);

  expect(ration.dueMs).toBe(0);
});

test("the next is due so many times as long after two as they took, and ten minutes at most", async () => {
  const ration = new Ration(20, new Plain());
  await ration.spend(look(12));
  expect(ration.dueMs).toBe(0);
  await ration.spend(look(10));
  expect(ration.dueMs).toBe(200);
  now += 150;
  expect(ration.dueMs).toBe(50);
  now += 100;
  expect(ration.dueMs).toBe(0);

  await ration.spend(look(600_000));
  await ration.spend(look(600_000));

  expect(ration.dueMs).toBe(600_000);
});

test("one that fails has taken its time, too", async () => {
  const ration = new Ration(20, new Plain());
  const failing = async () => {
    await look(100)();
    throw new Error("no answer");
  };

  await expect(ration.spend(failing)).rejects.toThrow("no answer");
  await expect(ration.spend(failing)).rejects.toThrow("no answer");

  expect(ration.dueMs).toBe(2_000);
});

test("one alone that takes long is nothing to heed, as the machine may have been busy", async () => {
  const ration = new Ration(20, new Plain());
  const seen: [cheap: boolean, slow: boolean][] = [];
  for (const ms of [60, 1, 60, 60, 60, 1]) {
    await ration.spend(look(ms));
    seen.push([ration.cheap, ration.slow]);
  }

  const [cheap, slow] = [[true, false], [false, true]];
  expect(seen).toEqual([cheap, cheap, cheap, slow, slow, cheap]);
});

test("one that is forgotten may be made at once", async () => {
  const ration = new Ration(20, new Plain());
  await ration.spend(look(100));
  await ration.spend(look(100));

  ration.forget();

  expect([ration.dueMs, ration.slow]).toEqual([0, false]);
});

test("only what it takes longer than others counts: the server may be far away, or busy", async () => {
  const plain = new Plain();
  const ration = new Ration(20, plain);
  const far = new Ration(20, plain);

  for (let n = 0; n < 3; n++) await plain.time(look(60));
  for (let n = 0; n < 2; n++) await ration.spend(look(72));
  for (let n = 0; n < 2; n++) await far.spend(look(64));

  expect([plain.ms, ration.dueMs, far.dueMs, far.slow]).toEqual([60, 240 - 128, 0, false]);
});

test("what others take is known by the last of them", async () => {
  const plain = new Plain();
  const seen: number[] = [];
  for (const ms of [8, 16, 16, 0]) {
    await plain.time(look(ms));
    seen.push(plain.ms);
  }

  expect(seen).toEqual([8, 10, 11.5, 8.625]);
});
