/** Leases of schedules while the database is out of reach. */
import { expect, test } from "vitest";
import { LeaseLostError } from "../../mod.ts";
import { silentLogger } from "../../src/logger.ts";
import type { ScheduleStore } from "../../src/queries/schedules.ts";
import { addSchedule, type Schedule } from "../../src/schedule.ts";
import { FireLeases } from "../../src/worker/fire_leases.ts";
import { RunningFire } from "../../src/worker/running_fire.ts";
import { until } from "../support/queue.ts";

/** Runs one fire whose lease cannot be renewed for a second. */
async function cutOff(keptAgoMs: number): Promise<{ fire: RunningFire; told: unknown[] }> {
  const schedules: Schedule[] = [];
  addSchedule(schedules, "tick", "* * * * *", () => {}, undefined);
  const claim = { id: 7, due: 0, token: "now", claimedAt: performance.now() - 1_000 };
  const surroundings = { logger: silentLogger, resources: undefined };
  const fire = new RunningFire(schedules[0]!, claim, surroundings);
  const running = new Set([fire]);
  const told: unknown[] = [];
  let tries = 0;
  const leases = new FireLeases({
    timeoutMs: 300,
    running,
    store: {
      heartbeat: () => {
        tries++;
        return Promise.reject(new Error("no database"));
      },
    } as unknown as ScheduleStore,
    keepLeases: (leaseMs) => ({
      hold: (parameters) => void told.push(leaseMs, parameters),
      renewed: () => void told.push("renewed"),
      rest: () => void told.push("rest"),
      get keptAt() {
        return Date.now() - keptAgoMs;
      },
    }),
    logger: silentLogger,
  });
  leases.begin();
  await until("it has tried", () => tries > 0);
  running.delete(fire);
  leases.end();
  await leases.close();
  return { fire, told };
}

test("a fire whose lease ran out is aborted", async () => {
  // Not to the millisecond: the clock is read twice.
  const { fire, told } = await cutOff(400);

  expect(fire.context.signal.reason).toBeInstanceOf(LeaseLostError);
  expect(told).toEqual([300, ["{7}", '{"now"}'], "rest", "rest"]);
});

test("a fire whose lease a thread has renewed is not", async () => {
  const { fire } = await cutOff(200);

  expect(fire.context.signal.aborted).toBe(false);
});
