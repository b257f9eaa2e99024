import { z } from "zod";

/** A table has changed: sent by the trigger, once per statement. */
export interface TableChangedEvent {
  readonly type: "table_changed_event";
  readonly channel: string;
  readonly operation: "insert" | "update" | "delete" | "truncate";
  readonly table: string;
}

/** Asks the workers that run these jobs to stop them. */
export interface CancellationEvent {
  readonly type: "cancellation_event";
  readonly channel: string;
  readonly ids: readonly number[];
}

/** Sent by a worker to itself, to learn whether it can still hear. */
export interface HealthCheckEvent {
  readonly type: "health_check_event";
  readonly channel: string;
  readonly id: string;
}

/** A decoded notification. */
export type QueueEvent = TableChangedEvent | CancellationEvent | HealthCheckEvent;

// Keys beyond these are ignored, so that a newer client can add some.
const queueEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("table_changed_event"),
    channel: z.string(),
    operation: z.enum(["insert", "update", "delete", "truncate"]),
    table: z.string(),
  }),
  z.object({
    type: z.literal("cancellation_event"),
    channel: z.string(),
    ids: z.array(z.number()),
  }),
  z.object({
    type: z.literal("health_check_event"),
    channel: z.string(),
    id: z.string(),
  }),
]);

/** Decodes a notification, or gives `null` for one that is none of ours: anybody may send to the channel. */
export function parseEvent(payload: string): QueueEvent | null {
  try {
    return queueEvent.parse(JSON.parse(payload));
  } catch {
    return null;
  }
}

/** Encodes a health check in the shape that the Python listeners expect. */
export function healthCheckEvent(channel: string, id: string): string {
  return JSON.stringify({
    channel,
    sent_at: new Date().toISOString(),
    type: "health_check_event",
    id,
  });
}
