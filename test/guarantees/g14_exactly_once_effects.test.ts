/** G14: what a transactional handler writes by `context.tx` is there exactly once, whatever crashes, and when. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ReservedSql } from "postgres";
import { type Driver, PgQueuer } from "../../mod.ts";
import { RUNTIME } from "../clients/clients.ts";
import { DRIVERS, WATCHFUL_DRIVERS } from "../support/drivers.ts";
import {
  atTheGate,
  countEffects,
  createEffects,
  GATE,
  registerEffect,
} from "../support/effects.ts";
import { pollingOften } from "../support/pooler.ts";
import { bytes, openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { type CutMoment, startTcpProxy } from "../support/tcp_proxy.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/worker_process.ts";

let queue: TestQueue;
let gate: ReservedSql;
const processes: WorkerProcess[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  await createEffects(queue);
  gate = await queue.sql.reserve();
});
beforeEach(async () => {
  await queue.clear();
  await queue.sql`truncate ${queue.sql(queue.names.schema)}.effects`;
});
afterEach(async () => {
  await openGate();
  for (const process of processes.splice(0)) process.kill("SIGKILL");
});
afterAll(async () => {
  gate.release();
  await queue.close();
});

const closeGate = () => gate`select pg_advisory_lock(${GATE})`;
const openGate = () => gate`select pg_advisory_unlock_all()`;
const left = async (): Promise<number> =>
  (await queue.sql`
    select 1 from ${queue.sql(queue.table)} where entrypoint = 'effect'`).length;

/** Fails unless each job has had its effect, chained its job and ended, once. */
async function exactlyOnce(ids: readonly (number | null)[]): Promise<void> {
  const { effects, chained } = await countEffects(queue);
  expect(effects).toEqual(new Map(ids.map((id) => [id, 1])));
  expect(chained).toBe(ids.length);
  const ended = (await queue.log()).filter(({ entrypoint, status }) =>
    entrypoint === "effect" && status === "successful"
  );
  expect(ended.map((row) => row.job_id).sort((one, other) => one - other)).toEqual(ids);
}

const LEASE_MS = 1_000;

/** A worker process. */
async function start(effectsOn: string): Promise<WorkerProcess> {
  const process = await startWorkerProcess(queue, { effectsOn, heartbeatTimeoutMs: LEASE_MS });
  processes.push(process);
  return process;
}

interface Worker {
  /** How often the handler was called. */
  starts(): number;
  /** Stops it, and fails if its run did. */
  end(): Promise<void>;
}

/** A worker in this process. */
function work(
  driver: Driver,
  started: () => void = () => {},
  heartbeatTimeout: number = LEASE_MS,
): Worker {
  const pgq = pollingOften(new PgQueuer(driver, queue.names));
  let starts = 0;
  registerEffect(pgq, queue.names, {
    started() {
      starts++;
      started();
    },
  });
  const run = pgq.run({ heartbeatTimeout });
  return {
    starts: () => starts,
    async end(): Promise<void> {
      await pgq.stop();
      await run;
    },
  };
}

const options = { poolSize: 8, statementTimeout: { seconds: 5 } };

describe.each(WATCHFUL_DRIVERS)("%s: processes", (name, open) => {
  test("that are killed again and again while they run", async () => {
    const ids = await queue.queries.enqueue("effect", Array(120).fill(bytes("15")));

    for (let kill = 1; kill <= 2; kill++) {
      const worker = await start(name);
      await until("it goes on", async () => await left() <= 120 - kill * 30);
      worker.kill("SIGKILL");
      await worker.exited;
    }
    const { driver, end } = await open(queue.dsn, options);
    const last = work(driver);
    await until("all have ended", async () => await left() === 0);

    await last.end();
    await end();
    await exactlyOnce(ids);
  }, 60_000);

  test("that are killed as they commit: the server decides, once", async () => {
    const worker = await start(name);
    await closeGate();
    const ids = await queue.queries.enqueue("effect", [bytes("0")]);
    await until("it commits", async () => (await atTheGate(queue)).length === 1);
    worker.kill("SIGKILL");
    await worker.exited;
    const { driver, end } = await open(queue.dsn, options);
    const other = work(driver);
    await until("the lease has run out for long", async () =>
      (await queue.sql`
        select 1 from ${queue.sql(queue.table)} where heartbeat < now() - interval '2 seconds'`)
        .length === 1);

    await openGate();

    await until("it has ended", async () => await left() === 0);
    await other.end();
    await end();
    expect(other.starts()).toBe(0);
    await exactlyOnce(ids);
  }, 60_000);

  test("that were stopped past their leases change nothing when they go on", async () => {
    await queue.sql`truncate ${queue.sql(queue.names.schema)}.go`;
    const asleep = await start(name);
    const ids = await queue.queries.enqueue("effect", Array(3).fill(bytes("go")));
    await until("all have begun", async () =>
      (await queue.sql`
        select 1 from pg_stat_activity where state = 'idle in transaction'
        and query like ${`%${queue.names.prefix}%`}`).length === 3);
    asleep.kill("SIGSTOP");

    const { driver, end } = await open(queue.dsn, options);
    const other = work(driver);
    await until("the other one has done all", async () => await left() === 0);
    await queue.sql`insert into ${queue.sql(queue.names.schema)}.go default values`;
    asleep.kill("SIGCONT");

    await until(
      "it has heard of it",
      () => asleep.stderr().match(/dropped the outcome, as the lease was lost/g)?.length === 3,
    );
    asleep.kill("SIGTERM");
    expect(await asleep.exited).toBe(0);
    await other.end();
    await end();
    expect(other.starts()).toBe(3);
    await exactlyOnce(ids);
  }, 60_000);
});

describe.each(DRIVERS)("%s", (_, open) => {
  test("the connection is killed during the commit, which the server then takes back", async () => {
    const { driver, end } = await open(queue.dsn, options);
    await closeGate();
    const ids = await queue.queries.enqueue("effect", [bytes("0")]);
    const worker = work(driver);
    const pid = await until("it commits", async () => (await atTheGate(queue))[0]);

    await queue.sql`select pg_terminate_backend(${pid})`;
    await openGate();

    await until("it has ended", async () => await left() === 0);
    await worker.end();
    await end();
    expect(worker.starts()).toBe(2);
    await exactlyOnce(ids);
  }, 60_000);
});

/** Where the connection is cut, and how often the handler must run then: what was committed is not run again. */
const cuts: [CutMoment, number][] = [["before", 2], ["after", 1]];

/** How each client spells it on the wire. */
const COMMIT = ["commit\0", "COMMIT\0"];

describe.each(WATCHFUL_DRIVERS.map(([name, open], n) => [name, open, COMMIT[n]!] as const))(
  "%s, through a network",
  (_, open, commit) => {
    test.each(cuts)("that breaks %s the commit has reached the server", async (moment, runs) => {
      const url = new URL(queue.dsn);
      const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port || 5432) });
      url.hostname = "127.0.0.1";
      url.port = String(proxy.port);
      const { driver, end } = await open(url.href, options);
      let cut: Promise<void> | undefined;
      const ids = await queue.queries.enqueue("effect", [bytes("0")]);
      const worker = work(driver, () => cut ??= proxy.cutAt(commit, moment));

      await until("it has ended", async () => await left() === 0);
      await cut;

      await worker.end();
      await end();
      await proxy.close();
      expect(worker.starts()).toBe(runs);
      await exactlyOnce(ids);
    }, 60_000);
  },
);

// On one runtime, as it takes a while and is about what is sent to the server.
test.skipIf(RUNTIME !== "node")(
  "a commit that takes long keeps no lease of the same worker from being renewed",
  async () => {
    const leaseMs = 2_000;
    const [, open] = DRIVERS[0]!;
    const { driver, end } = await open(queue.dsn, options);
    await closeGate();
    const ids = await queue.queries.enqueue("effect", [bytes("0"), bytes(`${2.5 * leaseMs}`)]);
    const worker = work(driver, undefined, leaseMs);
    await until("the first one commits", async () => (await atTheGate(queue)).length === 1);
    await until("the second one has begun", () => worker.starts() === 2);
    // It takes over what is not renewed.
    const rival = await open(queue.dsn, options);
    const other = work(rival.driver, undefined, leaseMs);

    // Longer than two leases.
    await until("the second one commits too", async () => (await atTheGate(queue)).length === 2);
    await openGate();

    await until("both have ended", async () => await left() === 0);
    await worker.end();
    await other.end();
    await end();
    await rival.end();
    expect([worker.starts(), other.starts()]).toEqual([2, 0]);
    await exactlyOnce(ids);
  },
  60_000,
);
