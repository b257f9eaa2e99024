import type { Driver } from "../driver.ts";
import { parseEvent } from "../event.ts";

/**
 * Listens to a channel for a while and counts the workers that are heard checking themselves. One of Python counts again with
 * each check, as that does not say whose it is.
 */
export async function countHealthChecks(
  driver: Driver,
  channel: string,
  durationMs: number,
): Promise<number> {
  const workers = new Set<string>();
  const subscription = await driver.listen(channel, {
    onPayload(payload) {
      const event = parseEvent(payload);
      if (event?.type === "health_check_event") workers.add(event.fleet?.worker ?? event.id);
    },
    onListening() {},
  });
  try {
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    return workers.size;
  } finally {
    await subscription.close();
  }
}
