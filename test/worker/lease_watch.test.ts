/** When the thread renews leases, and what the main thread makes of the thread. */
import process from "node:process";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Driver, Logger } from "../../mod.ts";
import { LeaseKeeper } from "../../src/worker/lease_keeper.ts";
import { LeaseWatch, type WatchReport } from "../../src/worker/lease_watch.ts";
import { LifeSigns } from "../../src/worker/life_signs.ts";
import { FakeWorker } from "../support/fake_worker.ts";
import { until } from "../support/queue.ts";

const LEASE_MS = 1_200;

afterEach(() => void vi.restoreAllMocks());

describe("LeaseWatch", () => {
  let now: number;
  beforeEach(() => {
    now = 10_000;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    vi.spyOn(Date, "now").mockImplementation(() => 1_000_000 + now);
  });

  /** A watch on a clock of its own, and what it does: `open`, `renew` with the parameters, `close`. */
  function aWatch(options: { since?: number; fails?: () => boolean } = {}): {
    watch: LeaseWatch;
    signs: LifeSigns;
    steps: string[];
    reports: WatchReport[];
    pass: (ms: number) => Promise<void>;
  } {
    const signs = new LifeSigns();
    const steps: string[] = [];
    const reports: WatchReport[] = [];
    const watch = new LeaseWatch({
      signs: new LifeSigns(signs.shared),
      since: options.since ?? Date.now(),
      leaseMs: LEASE_MS,
      blockTimeoutMs: 5 * LEASE_MS,
      statement: "renew",
      open: () => {
        steps.push("open");
        if (options.fails?.()) return Promise.reject(new Error("no database"));
        return Promise.resolve({
          query: (text, parameters) => {
            steps.push(`${text} ${parameters}`);
            return Promise.resolve([]);
          },
          close: () => Promise.resolve(void steps.push("close")),
        });
      },
      report: (report) => void reports.push(report),
    });
    watch.parameters = ["me"];
    /** Lets time pass, with a look whenever one is due. */
    const pass = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += watch.intervalMs) {
        now += watch.intervalMs;
        await watch.look();
      }
    };
    return { watch, signs, steps, reports, pass };
  }

  test("does nothing while the main thread renews its leases", async () => {
    const { signs, steps, reports, pass } = aWatch();
    signs.held = true;

    for (let i = 0; i < 10; i++) {
      await pass(LEASE_MS / 3);
      signs.renewed();
    }

    expect(steps).toEqual([]);
    expect(reports).toEqual([]);
  });

  test("does nothing while no lease is held, however long the main thread is silent", async () => {
    const { steps, pass } = aWatch();

    await pass(10 * LEASE_MS);

    expect(steps).toEqual([]);
  });

  test("renews three times in a lease once it is silent, the first time after a half", async () => {
    const { signs, steps, reports, pass } = aWatch();
    signs.held = true;

    await pass(LEASE_MS / 3);
    expect(steps).toEqual([]);
    await pass(LEASE_MS / 6);
    expect(steps).toEqual(["open", "renew me"]);
    await pass(LEASE_MS);

    expect(steps).toEqual(["open", "renew me", "renew me", "renew me", "renew me"]);
    expect(Date.now() - signs.keptAt).toBeLessThanOrEqual(LEASE_MS / 3);
    expect(reports).toEqual([]);
  });

  test("says what it did and closes its connection when the main thread is back", async () => {
    const { signs, steps, reports, pass } = aWatch();
    signs.held = true;
    await pass(LEASE_MS);
    steps.length = 0;

    signs.renewed();
    await pass(LEASE_MS / 12);

    expect(steps).toEqual(["close"]);
    expect(reports).toEqual([{ silentMs: LEASE_MS * 13 / 12, gaveUp: false, error: null }]);
    await pass(LEASE_MS / 3);
    expect(steps).toEqual(["close"]);
    await pass(LEASE_MS / 3);
    expect(steps).toEqual(["close", "open", "renew me"]);
  });

  test("gives the leases up after blockTimeout, and keeps them again after a life sign", async () => {
    const { signs, steps, reports, pass } = aWatch();
    signs.held = true;
    await pass(5 * LEASE_MS);
    expect(steps.at(-1)).toBe("close");
    const { length } = steps;

    await pass(5 * LEASE_MS);
    expect(steps).toHaveLength(length);
    signs.renewed();
    await pass(LEASE_MS / 12);

    expect(reports).toMatchObject([{ gaveUp: true }]);
    await pass(LEASE_MS / 2);
    expect(steps.at(-1)).toBe("renew me");
  });

  test("tries again at each look while the database does not answer, and says so", async () => {
    let fails = true;
    const { signs, steps, reports, pass } = aWatch({ fails: () => fails });
    signs.held = true;
    await pass(LEASE_MS * 2 / 3);
    expect(steps).toEqual(["open", "open", "open", "open"]);
    expect(signs.keptAt).toBe(0);

    signs.renewed();
    await pass(LEASE_MS / 12);
    expect(reports).toMatchObject([{ error: "Error: no database" }]);

    await pass(LEASE_MS / 2);
    fails = false;
    await pass(LEASE_MS / 2);
    signs.renewed();
    await pass(LEASE_MS / 12);
    expect(reports[1]).toMatchObject({ error: null, gaveUp: false });
  });

  test("counts the time that its thread took to start", async () => {
    const { signs, steps, pass } = aWatch({ since: Date.now() - LEASE_MS });
    signs.held = true;

    await pass(LEASE_MS / 12);

    expect(steps).toEqual(["open", "renew me"]);
  });
});

describe("LeaseKeeper", () => {
  beforeEach(() => FakeWorker.install());
  afterEach(() => FakeWorker.remove());

  const address = {
    dsn: "postgresql://localhost/x",
    options: { connectTimeout: 1, statementTimeout: 2, applicationName: "x" },
  };

  function aKeeper(
    driver: Partial<Driver> = { address: () => address },
    blockTimeoutMs = 60_000,
  ): { keeper: LeaseKeeper; lines: string[] } {
    const lines: string[] = [];
    const note = (level: string) => (line: string) => void lines.push(`${level} ${line}`);
    const logger: Logger = {
      debug: note("debug"),
      info: note("info"),
      warn: note("warn"),
      error: note("error"),
    };
    const keeper = new LeaseKeeper({ driver: driver as Driver, blockTimeoutMs, logger });
    return { keeper, lines };
  }

  test("starts one thread, with the first lease, and tells it what changes", async () => {
    const { keeper } = aKeeper();
    const jobs = keeper.keep("jobs", 30_000, "renew jobs", ["me"]);
    const fires = keeper.keep("schedules", 10_000, "renew fires");
    expect(FakeWorker.made).toHaveLength(0);

    jobs.hold();
    jobs.renewed();
    jobs.rest();
    jobs.hold();
    fires.hold(["{1}", "{a}"]);
    fires.hold(["{1,2}", "{a,b}"]);

    expect(FakeWorker.made).toHaveLength(1);
    const [thread] = FakeWorker.made;
    expect(thread!.script.pathname).toMatch(/src\/worker\/lease_keeper_thread\.ts$/);
    expect(thread!.posted).toMatchObject([
      { name: "jobs", leaseMs: 30_000, statement: "renew jobs", parameters: ["me"], address },
      { name: "schedules", leaseMs: 10_000, parameters: ["{1}", "{a}"], blockTimeoutMs: 60_000 },
      { name: "schedules", leaseMs: 10_000, parameters: ["{1,2}", "{a,b}"] },
    ]);
    expect(new LifeSigns(thread!.posted[0]!["shared"] as SharedArrayBuffer)).toMatchObject({
      held: true,
      renewals: 1n,
    });
    await keeper.close();
    expect(thread!.terminated).toBe(true);
  });

  test("a thread that is started before there is a lease has loaded all it needs", async () => {
    const { keeper, lines } = aKeeper();
    let loaded = false;
    const start = keeper.start().then(() => void (loaded = true));
    const [thread] = FakeWorker.made;
    expect(thread!.posted).toEqual(["load"]);
    await Promise.resolve();
    expect(loaded).toBe(false);

    thread!.onmessage({ data: "loaded" });
    await start;

    keeper.keep("jobs", 30_000, "renew").hold();
    expect(FakeWorker.made).toEqual([thread]);
    expect(thread!.posted[1]).toMatchObject({ name: "jobs", statement: "renew" });
    expect(lines).toEqual([]);
  });

  test.each([
    ["the runtime refuses it", (): void => void (FakeWorker.refusal = new Error("no")), undefined],
    ["it fails", undefined, () => FakeWorker.made[0]!.onerror({ preventDefault: () => {} })],
    ["the worker ends meanwhile", undefined, (keeper: LeaseKeeper) => keeper.close()],
  ])("nobody waits for a thread where %s", async (_, before, meanwhile) => {
    before?.();
    const { keeper } = aKeeper();

    const start = keeper.start();
    await meanwhile?.(keeper);

    await start;
  });

  test("nor where there is none to be", async () => {
    await aKeeper({}).keeper.start();
    await aKeeper({ address: () => address }, 0).keeper.start();

    expect(FakeWorker.made).toEqual([]);
  });

  test("nor for ever: it says what that means", async () => {
    const { keeper, lines } = aKeeper();
    const timers = vi.spyOn(globalThis, "setTimeout").mockImplementation(
      ((run: () => void) => {
        queueMicrotask(run);
        return 0;
      }) as never,
    );

    await keeper.start();

    expect(timers).toHaveBeenCalledWith(expect.anything(), 10_000);
    expect(lines).toEqual([
      expect.stringMatching(/^warn .*not started in 10000 ms.*must not block/),
    ]);
  });

  test("knows when the thread renewed the leases last", () => {
    const { keeper } = aKeeper();
    const jobs = keeper.keep("jobs", 30_000, "renew");
    jobs.hold();
    expect(jobs.keptAt).toBe(0);

    new LifeSigns(FakeWorker.made[0]!.posted[0]!["shared"] as SharedArrayBuffer).keptAt = 1234;

    expect(jobs.keptAt).toBe(1234);
  });

  test.each([
    [{ silentMs: 31_000.4, gaveUp: false, error: null }, /^warn .*31000 ms, .*: a thread renewed/],
    [{ silentMs: 20_000, gaveUp: false, error: null }, /^debug .*: a thread renewed .* in time$/],
    [{ silentMs: 20_000, gaveUp: false, error: "no" }, /^warn .*, nor by the thread .*: no$/],
    [{ silentMs: 90_000, gaveUp: true, error: null }, /^warn .*: they were given up$/],
    [null, /^debug A thread keeps the leases of jobs/],
  ])("says of %j what it means", (report, line) => {
    const { keeper, lines } = aKeeper();
    keeper.keep("jobs", 30_000, "renew").hold();

    FakeWorker.made[0]!.onmessage({ data: { name: "jobs", leaseMs: 30_000, report } });

    expect(lines).toEqual([expect.stringMatching(line)]);
  });

  test("warns once if the runtime refuses a thread", () => {
    FakeWorker.refusal = new Error("Requires read access");
    const { keeper, lines } = aKeeper();
    const jobs = keeper.keep("jobs", 30_000, "renew", [1]);

    jobs.hold();
    jobs.hold([2]);

    expect(lines).toEqual([expect.stringMatching(/^warn .*no thread .*: Requires read access$/)]);
  });

  test("warns once of a message that cannot be sent", () => {
    FakeWorker.unclonable = new Error("() => {} could not be cloned");
    const { keeper, lines } = aKeeper();
    const jobs = keeper.keep("jobs", 30_000, "renew", [1]);

    jobs.hold();
    jobs.hold([2]);

    expect(lines).toEqual([expect.stringMatching(/^warn .*no thread .*: .*could not be cloned$/)]);
  });

  test("warns once if the thread fails later, which does not reach the process", () => {
    const { keeper, lines } = aKeeper();
    const jobs = keeper.keep("jobs", 30_000, "renew", [1]);
    jobs.hold();
    const preventDefault = vi.fn();

    for (let i = 0; i < 2; i++) {
      FakeWorker.made[0]!.onerror({ message: "Module not found", preventDefault });
    }
    jobs.hold([2]);

    expect(preventDefault).toHaveBeenCalledTimes(2);
    expect(lines).toEqual([expect.stringMatching(/^warn .*no thread .*: Module not found$/)]);
    expect(FakeWorker.made[0]!.posted).toHaveLength(1);
  });

  test("says once of a driver that cannot open another connection", () => {
    const { keeper, lines } = aKeeper({});
    const jobs = keeper.keep("jobs", 30_000, "renew", [1]);

    jobs.hold();
    jobs.hold([2]);

    expect(FakeWorker.made).toHaveLength(0);
    expect(lines).toEqual([expect.stringMatching(/^info .*no thread .*: this driver/)]);
  });

  test("with blockTimeout 0 there is no thread, and nothing to say", () => {
    const { keeper, lines } = aKeeper({}, 0);

    keeper.keep("jobs", 30_000, "renew").hold();

    expect(FakeWorker.made).toHaveLength(0);
    expect(lines).toEqual([]);
  });

  test("warns where the runtime has no threads", async () => {
    FakeWorker.hide();
    vi.spyOn(process, "getBuiltinModule").mockImplementation(() => undefined as never);
    const { keeper, lines } = aKeeper();

    keeper.keep("jobs", 30_000, "renew").hold();

    await until("it warns", () => lines.length > 0);
    expect(lines).toEqual([expect.stringMatching(/^warn .*no thread .*Node does from 20.16 on$/)]);
  });
});
