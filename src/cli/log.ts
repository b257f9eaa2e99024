import type { Logger } from "../logger.ts";

/** From the one that says most to the one that says nothing: no line of ours is critical. */
export const LEVELS = ["debug", "info", "warning", "error", "critical"] as const;

/** How much is written. */
export type LogLevel = typeof LEVELS[number];

/** How lines are written. */
export interface LogOptions {
  /** One JSON object a line, with `time`, `level` and `message`. @default {false} */
  readonly json?: boolean;
  readonly now?: () => Date;
}

/** Writes lines with time and level. Anything below `level` is dropped. */
export function createLog(
  level: LogLevel,
  write: (line: string) => void,
  { json = false, now = () => new Date() }: LogOptions = {},
): Logger {
  const lines = (of: LogLevel): (message: string) => void => {
    if (LEVELS.indexOf(of) < LEVELS.indexOf(level)) return () => {};
    if (json) return (message) => write(JSON.stringify({ time: now(), level: of, message }));
    const label = of.toUpperCase().padEnd("WARNING".length);
    return (message) => write(`${now().toISOString()} ${label} ${message}`);
  };
  return {
    debug: lines("debug"),
    info: lines("info"),
    warn: lines("warning"),
    error: lines("error"),
  };
}
