/** How often a worker looks at everything. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Ration } from "../../src/worker/ration.ts";

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
  const ration = new Ration(20);
  expect(ration.dueMs).toBe(0);

  expect(await ration.spend(look(5))).toBe(1_005);

  expect(ration.dueMs).toBe(0);
});

test("the next is due so many times as long after two as they took, and ten minutes at most", async () => {
  const ration = new Ration(20);
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
  const ration = new Ration(20);
  const failing = async () => {
    await look(100)();
    throw new Error("no answer");
  };

  await expect(ration.spend(failing)).rejects.toThrow("no answer");
  await expect(ration.spend(failing)).rejects.toThrow("no answer");

  expect(ration.dueMs).toBe(2_000);
});

test("one alone that takes long is nothing to heed, as the machine may have been busy", async () => {
  const ration = new Ration(20);
  const seen: [cheap: boolean, slow: boolean][] = [];
  for (const ms of [60, 1, 60, 60, 60, 1]) {
    await ration.spend(look(ms));
    seen.push([ration.cheap, ration.slow]);
  }

  const [cheap, slow] = [[true, false], [false, true]];
  expect(seen).toEqual([cheap, cheap, cheap, slow, slow, cheap]);
});

test("one that is forgotten may be made at once", async () => {
  const ration = new Ration(20);
  await ration.spend(look(100));
  await ration.spend(look(100));

  ration.forget();

  expect([ration.dueMs, ration.slow]).toEqual([0, false]);
});
