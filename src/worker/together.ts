/** A loop that runs until it is stopped: what a worker is made of. */
export interface Manager {
  run(): Promise<void>;
  /** Begins no further work. */
  stop(): void;
  /** Ends the wait for running handlers. */
  hurry(): void;
}

/**
 * Runs several managers as one. A failure of one stops the others. In drain mode they run one after another, so that the
 * last finds what the others have enqueued.
 */
export function together(managers: readonly Manager[], mode: "continuous" | "drain"): Manager {
  const stop = (): void => managers.forEach((manager) => manager.stop());
  return {
    stop,
    hurry: () => managers.forEach((manager) => manager.hurry()),
    async run(): Promise<void> {
      if (mode === "drain") {
        for (const manager of managers) await manager.run();
        return;
      }
      const runs = managers.map((manager) =>
        manager.run().catch((error) => {
          stop();
          throw error;
        })
      );
      await Promise.allSettled(runs);
      await Promise.all(runs);
    },
  };
}
