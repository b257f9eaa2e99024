/** The plan of a chaos run. */
import { expect, test } from "vitest";
import { describe as tell, makePlan, type PlanOptions, type Step } from "./plan.ts";

const options: PlanOptions = { seed: 7, workers: 3, heartbeatTimeoutMs: 3_000, minutes: 2 };

function stepsOf(options: PlanOptions): Step[] {
  return [...makePlan(options).values()].flat();
}

test("the same seed makes the same plan, and another one another", () => {
  expect(stepsOf(options)).toEqual(stepsOf(options));
  expect(stepsOf(options)).not.toEqual(stepsOf({ ...options, seed: 8 }));
});

test("a brief plan has each kind once, a long one lasts as long as it is asked to", () => {
  const brief = stepsOf({ ...options, minutes: 0 }).map(({ kind }) => kind);
  expect(brief).toHaveLength(14);
  expect(new Set(brief).size).toBe(14);

  for (const steps of makePlan(options).values()) {
    const ms = steps.reduce((sum, { afterMs, forMs }) => sum + afterMs + forMs, 0);
    expect(ms).toBeGreaterThanOrEqual(120_000);
  }
});

test("a long plan takes every slot for half a minute, and stops workers for longer than their leases", () => {
  const steps = stepsOf(options);

  expect(steps.find(({ kind }) => kind === "take slots")!.forMs).toBe(30_000);
  for (const { kind, forMs } of steps) if (kind === "stop") expect(forMs).toBeGreaterThan(3_000);
});

test("every step can be told", () => {
  for (const step of stepsOf(options)) expect(tell(step, 3)).toMatch(/^[\w ]+ /);
});
