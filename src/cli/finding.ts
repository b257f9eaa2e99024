/** What a check of the doctor finds. */

/** How bad it is. A note is worth knowing and may be meant so; what is unknown could not be looked at. */
export type Level = "ok" | "note" | "unknown" | "warning" | "error";

/** One line of the doctor. */
export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly message: string;
  /** SQL or a command that mends it, or what to do. */
  readonly fix: string | null;
}

/** From when on things are bad. Durations in seconds. */
export interface Thresholds {
  /** A worker that holds jobs and renews no lease is silent. */
  readonly silentAfter: number;
  /** A ready job of an entrypoint that nobody works on has waited too long, and a schedule is late. */
  readonly waiting: number;
  /** A transaction is open for too long. */
  readonly snapshot: number;
}

/** A finding before it is known which check made it. */
export type Found = Omit<Finding, "check">;

export function ok(message: string): Found {
  return { level: "ok", message, fix: null };
}

export function note(message: string, fix: string | null): Found {
  return { level: "note", message, fix };
}

export function warning(message: string, fix: string | null): Found {
  return { level: "warning", message, fix };
}

export function error(message: string, fix: string | null): Found {
  return { level: "error", message, fix };
}

/** With commas. */
export function number(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
