/** Does the steps of a plan. */
import { setTimeout as delay } from "node:timers/promises";
import type { Sql } from "postgres";
import type { Fleet } from "./fleet.ts";
import type { Step } from "./plan.ts";
import type { Stage } from "./stage.ts";
import { answered, openClient } from "./steady.ts";

/** Sessions that try for a slot at the same time. */
const GRABBERS = 6;
/** How soon a grabber tries again, so that it is faster than a worker. */
const GRAB_MS = 5;
const LOOK_MS = 100;

/** Does one step. Resolves with what there is to tell when it is over, and its workers run again. */
export async function disturb(step: Step, stage: Stage, fleet: Fleet): Promise<string> {
  const [worker] = step.workers as [number];
  const proxies = step.workers.map((index) => stage.proxies[index]!);
  switch (step.kind) {
    case "kill":
      await fleet.kill(worker);
      await delay(step.forMs);
      await fleet.start(worker);
      return "";
    case "flap":
      for (let time = 0; time < step.amount; time++) {
        await fleet.kill(worker);
        await fleet.start(worker);
        await delay(step.forMs);
      }
      return "";
    case "stop":
      fleet.signal(worker, "SIGSTOP");
      await delay(step.forMs);
      fleet.signal(worker, "SIGCONT");
      return "";
    case "deploy":
      await fleet.end(worker);
      await fleet.start(worker);
      return "";
    case "terminate":
      return `${await terminate(stage, step.workers.map((index) => fleet.nameOf(index)))} sessions`;
    case "restart fast":
      await stage.restart("fast", step.forMs);
      return "";
    case "restart immediate":
      await stage.restart("immediate", step.forMs);
      return "";
    case "take slots":
      return await takeSlots(stage, fleet, step.forMs);
    case "drop":
      // What is kept back is lost: statements that have run, and whose answers nobody gets.
      for (const proxy of proxies) proxy.delay(step.amount);
      await delay(3 * step.amount);
      for (const proxy of proxies) {
        proxy.cut();
        proxy.delay(0);
      }
      return "";
    case "delay":
      for (const proxy of proxies) proxy.delay(step.amount);
      await delay(step.forMs);
      for (const proxy of proxies) proxy.delay(0);
      return "";
    case "freeze":
    case "swallow":
      for (const proxy of proxies) {
        proxy.freeze();
        if (step.kind === "swallow") proxy.swallow(true);
      }
      await delay(step.forMs);
      for (const proxy of proxies) {
        proxy.swallow(false);
        if (step.cut) proxy.cut();
        else proxy.forget();
      }
      return "";
    case "half-close worker":
      for (const proxy of proxies) proxy.halfClose("client");
      return "";
    case "half-close server":
      for (const proxy of proxies) proxy.halfClose("server");
      await delay(step.forMs);
      for (const proxy of proxies) proxy.cut();
      return "";
  }
}

/** Kills the sessions of workers, of those that have a process just then. Gives their number. */
async function terminate(stage: Stage, names: readonly string[]): Promise<number> {
  const running = names.filter((name) => name !== "");
  const killed = await stage.control.run((sql) =>
    sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = any (${`{${running}}`}::text::text[]) and usename = 'app'`
  );
  return killed.length;
}

/** Takes every connection that workers could have, theirs included, and keeps them. */
async function takeSlots(stage: Stage, fleet: Fleet, forMs: number): Promise<string> {
  const taken = new Set<Sql>();
  let over = false;
  const grab = async (): Promise<void> => {
    while (!over) {
      const sql = openClient(stage.appDsn(), "taker", 1);
      try {
        await answered(sql`select 1`);
        taken.add(sql);
      } catch {
        await sql.end({ timeout: 0 }).catch(() => {});
        await delay(GRAB_MS);
      }
    }
  };
  const grabbers = Array.from({ length: GRABBERS }, grab);
  const end = performance.now() + forMs;
  let withoutMs = 0;
  while (performance.now() < end) {
    const begun = performance.now();
    await delay(LOOK_MS);
    // One that got a slot in the moment between loses it again.
    if (await terminate(stage, fleet.names) === 0) withoutMs += performance.now() - begun;
  }
  const most = taken.size;
  over = true;
  await Promise.all(grabbers);
  await Promise.all([...taken].map((sql) => sql.end({ timeout: 1 }).catch(() => {})));
  return `others took ${most} of ${stage.slots} slots, workers had none for ${
    (withoutMs / 1_000).toFixed(1)
  } s`;
}
