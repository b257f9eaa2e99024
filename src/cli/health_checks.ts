import type { Driver } from "../driver.ts";
import { parseEvent } from "../event.ts";

/**
 * Listens to a channel for a while and counts the health checks that workers send themselves. One that sends two in that
 * time counts twice.
 */
export async function countHealthChecks(
  driver: Driver,
  channel: string,
  durationMs: number,
): Promise<number> {
  const ids = new Set<string>();
  const subscription = await driver.listen(channel, {
    onPayload(payload) {
      const event = parseEvent(payload);
      if (event?.type === "health_check_event") ids.add(event.id);
    },
    onListening() {},
  });
  try {
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    return ids.size;
  } finally {
    await subscription.close();
  }
}
