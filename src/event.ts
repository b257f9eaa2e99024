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

/** Who sent a health check. Keys of ours, which the Python listeners ignore. */
export interface FleetMark {
  readonly worker: string;
  /** The same for workers that look for the same jobs. */
  readonly group: string;
}

/** Sent by a worker to itself, to learn whether it can still hear. Others learn that it is there. */
export interface HealthCheckEvent {
  readonly type: "health_check_event";
  readonly channel: string;
  readonly id: string;
  readonly fleet?: FleetMark | undefined;
  /** The worker has just seen that no job is ready. */
  readonly quiet?: Quiet | undefined;
}

/** What comes next in a queue where no job is ready. */
export interface Quiet {
  /** Milliseconds until a job may be: it is due, a token comes or a lease runs out. `null`: nothing is known to come. */
  readonly nextMs: number | null;
  /** Whether a job waits for a seat. */
  readonly blocked: boolean;
  /** Milliseconds that workers take from a claim until the others have heard this. */
  readonly tookMs: number;
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
    fleet: z.object({ worker: z.string(), group: z.string() }).optional(),
    quiet: z.object({ nextMs: z.number().nullable(), blocked: z.boolean(), tookMs: z.number() })
      .optional(),
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

/** Encodes a health check in the shape that the Python listeners expect, and who sends it. */
export function healthCheckEvent(
  channel: string,
  id: string,
  fleet: FleetMark,
  quiet?: Quiet,
): string {
  return JSON.stringify({
    channel,
    sent_at: new Date().toISOString(),
    type: "health_check_event",
    id,
    fleet,
    quiet,
  });
}
