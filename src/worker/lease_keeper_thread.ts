/** Runs in a thread of its own, which {@linkcode LeaseKeeper} starts: keeps leases while the main thread is silent. */
import type { KeeperAnswer, KeeperMessage, LoadedAnswer, LoadMessage } from "./lease_keeper.ts";
import { LeaseWatch } from "./lease_watch.ts";
import { LifeSigns } from "./life_signs.ts";
import { answerStarter } from "./thread.ts";

/** A database that is slow is none that is gone. */
const MIN_ANSWER_MS = 1_000;

/** Watches the leases that the starter of the thread names. */
function keepLeases(): void {
  const watches = new Map<string, LeaseWatch>();
  const answer: (answer: KeeperAnswer | LoadedAnswer) => void = answerStarter((received) => {
    const message = received as KeeperMessage | LoadMessage;
    if (message === "load") return void loadDriver().then(() => answer("loaded"));
    const { name, address, shared, parameters, ...parts } = message;
    let watch = watches.get(name);
    if (watch === undefined) {
      watch = new LeaseWatch({
        ...parts,
        signs: new LifeSigns(shared),
        async open() {
          const { openWorkerDriver } = await loadDriver();
          const { dsn, options } = address;
          // What does not answer is to be found out while there is time for another try.
          const statementTimeout = Math.min(
            options.statementTimeout,
            Math.max(MIN_ANSWER_MS, parts.leaseMs / 3),
          );
          return await openWorkerDriver(dsn, { ...options, statementTimeout, maxConnections: 1 });
        },
        report: (report) => answer({ name, leaseMs: parts.leaseMs, report }),
      });
      watches.set(name, watch);
      answer({ name, leaseMs: parts.leaseMs, report: null });
      void lookForEver(watch);
    }
    watch.parameters = parameters;
  });
}

/** Only when it is needed, or asked for: most workers never do, and a thread without it is small. */
function loadDriver(): Promise<typeof import("../drivers/worker_driver.ts")> {
  return import("../drivers/worker_driver.ts");
}

/** Looks until the thread ends. */
async function lookForEver(watch: LeaseWatch): Promise<void> {
  while (true) {
    await new Promise((resolve) => setTimeout(resolve, watch.intervalMs));
    await watch.look();
  }
}

keepLeases();
