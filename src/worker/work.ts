import type { Driver } from "../driver.ts";
import type { Logger } from "../logger.ts";
import { LogStore } from "../queries/log.ts";
import { QueueStore } from "../queries/queue.ts";
import { ScheduleStore } from "../queries/schedules.ts";
import { SchemaStore } from "../queries/schema.ts";
import type { Schedule } from "../schedule.ts";
import type { Settings } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import { Acknowledger } from "./acknowledger.ts";
import { Aggregator } from "./aggregator.ts";
import { type Entrypoint, gatesOf } from "./entrypoint.ts";
import { Fleet } from "./fleet.ts";
import type { Vitals } from "./health.ts";
import { LeaseKeeper } from "./lease_keeper.ts";
import { Listener } from "./listener.ts";
import { Pulse } from "./pulse.ts";
import { QueueManager } from "./queue_manager.ts";
import type { ResolvedRunOptions } from "./run_options.ts";
import { ScheduleManager } from "./schedule_manager.ts";
import { type Manager, together } from "./together.ts";

/** How long a worker counts in the fleet beyond the time in which it must be heard of. */
const FLEET_TTL_MS = 10_000;

/** A thread is up long before a longer lease ends. */
const SHORT_LEASE_MS = 10_000;

/** What a run is made from. */
export interface WorkParts {
  readonly driver: Driver;
  readonly settings: Settings;
  readonly entrypoints: ReadonlyMap<string, Entrypoint>;
  readonly schedules: readonly Schedule[];
  /** Whether the log is counted into the statistics and pruned. */
  readonly statistics: boolean;
  readonly options: ResolvedRunOptions;
  readonly logger: Logger;
  /** For the handlers. */
  readonly resources: unknown;
  /** Whether the worker is to stop. */
  readonly stopped: () => boolean;
  /** Is given what stops the run and what shows how it fares, before it begins. */
  readonly onManager: (manager: Manager, vitals: Vitals) => void;
}

/** One run of a worker: makes its loops, runs them to their end and closes what it opened. */
export async function work(parts: WorkParts): Promise<void> {
  const { driver, settings, options, logger, resources, stopped } = parts;
  const queueManagerId = crypto.randomUUID();
  const statements = new Statements(settings);
  const queue = new QueueStore(driver, statements);
  const aggregator = new Aggregator({
    log: new LogStore(driver, statements),
    retentionMs: options.retentionMs,
    stopping: stopped,
    logger,
  });
  const keeper = new LeaseKeeper({ driver, blockTimeoutMs: options.blockTimeoutMs, logger });
  let keeping: Promise<void> | undefined;
  let jobs: QueueManager | undefined;
  let runningJobs = 0;
  const pulses = new Map<"jobs" | "schedules", Pulse>();
  const pulse = new Pulse();
  const gates = gatesOf(parts.entrypoints, options.heartbeatTimeoutMs);
  const leases = [...gates.map((gate) => gate.leaseMs), options.heartbeatTimeoutMs];
  let manager: Manager | undefined;
  /** Why the run ends although nobody has stopped it. */
  let deaf: Error | undefined;
  const fleet = await Fleet.of({
    queueManagerId,
    gates,
    // An idle worker is heard of once in its dequeueTimeout, or while it waits for a seat in the time of a lease; a busy
    // one when it becomes idle.
    ttlMs: 2 * Math.max(options.dequeueTimeoutMs, ...gates.map((gate) => gate.leaseMs)) +
      FLEET_TTL_MS,
  });
  const listener = new Listener({
    driver,
    channel: settings.channel,
    queueTable: settings.queueTable,
    onCancel: (jobIds) => jobs?.cancel(jobIds),
    onFailure(error) {
      if (!options.shutdownOnListenerFailure) return;
      deaf ??= error;
      manager?.stop();
    },
    fleet,
    pulse,
    logger,
  });
  const vitals: Vitals = {
    queueManagerId,
    pulses,
    get listening() {
      return jobs === undefined || driver.polls ? null : listener.listening;
    },
    get runningJobs() {
      return runningJobs;
    },
  };
  try {
    if (stopped()) return;
    if (leases.some((ms) => ms > 0 && ms < SHORT_LEASE_MS)) keeping = keeper.start();
    const slow = await new SchemaStore(driver, settings).checkForWorker(parts.schedules);
    if (slow.length > 0) {
      logger.warn(
        `Claims are slower than they could be, run "pgq install" to add ${slow.join(", ")}`,
      );
    }
    const managers: Manager[] = [];
    if (parts.schedules.length > 0) {
      const store = new ScheduleStore(driver, statements);
      const keepLeases = (leaseMs: number) =>
        keeper.keep("schedules", leaseMs, statements.get("heartbeat_fires"));
      const { schedules } = parts;
      const pulse = new Pulse();
      pulses.set("schedules", pulse);
      managers.push(watched(
        new ScheduleManager({ schedules, store, keepLeases, pulse, logger, resources, options }),
        pulse,
      ));
    }
    if (parts.entrypoints.size > 0) {
      await listener.start();
      jobs = new QueueManager({
        queueManagerId,
        entrypoints: noting(parts.entrypoints, {
          begin: () => void runningJobs++,
          end: () => {
            runningJobs--;
            aggregator.note();
          },
        }),
        queue,
        listener,
        fleet,
        acknowledger: new Acknowledger(queue, queueManagerId, logger),
        transactions: driver.transactions,
        keepLeases: (leaseMs) =>
          keeper.keep("jobs", leaseMs, statements.get("keep_leases"), [queueManagerId]),
        pulse,
        logger,
        resources,
        options: withinTransactions(parts),
      });
      pulses.set("jobs", pulse);
      managers.push(watched(jobs, pulse));
    }
    // The first handler may be one that blocks the event loop.
    await keeping;
    manager = together(managers, options.mode);
    parts.onManager(manager, vitals);
    if (stopped()) manager.stop();
    const names = [
      ...parts.entrypoints.keys(),
      ...parts.schedules.map(({ entrypoint }) => `schedule ${entrypoint}`),
    ];
    logger.info(`Worker ${queueManagerId} runs ${names.join(", ")}`);
    if (parts.statistics) aggregator.start();
    await manager.run();
    if (parts.statistics && options.mode === "drain") await aggregator.finish();
    logger.info(`Worker ${queueManagerId} has stopped`);
    if (deaf !== undefined) throw deaf;
  } finally {
    await keeper.close();
    await aggregator.close();
    await listener.close();
  }
}

/** The options of a run in which no handler waits for a connection, so that each job that it holds can start. */
function withinTransactions(
  { driver, entrypoints, options, logger }: WorkParts,
): ResolvedRunOptions {
  const most = driver.transactions?.max ?? Infinity;
  const needed = [...entrypoints.values()].some(({ transactional }) => transactional);
  if (!needed || options.maxConcurrentTasks <= most) return options;
  logger.info(
    `Runs at most ${most} handlers at the same time, since each may need a transaction: "maxTransactions" of the driver is ${most}`,
  );
  return { ...options, maxConcurrentTasks: most };
}

/** A manager whose pulse is of interest while it runs: a drain runs one after another. */
function watched(manager: Manager, pulse: Pulse): Manager {
  return {
    run() {
      pulse.beat();
      return manager.run().finally(() => pulse.rest(Infinity));
    },
    stop: () => manager.stop(),
    hurry: () => manager.hurry(),
  };
}

/** Entrypoints whose handlers tell when one of them begins and ends. */
function noting(
  entrypoints: ReadonlyMap<string, Entrypoint>,
  { begin, end }: { begin: () => void; end: () => void },
): Map<string, Entrypoint> {
  return new Map(Array.from(entrypoints, ([name, entrypoint]) => [name, {
    ...entrypoint,
    async handler(job, context) {
      begin();
      try {
        await entrypoint.handler(job, context);
      } finally {
        end();
      }
    },
  }]));
}
