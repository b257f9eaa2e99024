import { setTimeout as delay } from "node:timers/promises";

/**
 * Does something again and again. Gives what ends that when the last turn is over: a statement that is still on its way
 * would meet the end of the test, and the removal of its tables in a deadlock.
 */
export function repeat(turn: () => Promise<unknown>, pauseMs: number): () => Promise<void> {
  const over = new AbortController();
  const turns = (async () => {
    while (!over.signal.aborted) {
      await turn();
      await delay(pauseMs, undefined, { signal: over.signal }).catch(() => {});
    }
  })();
  return () => {
    over.abort();
    return turns;
  };
}
