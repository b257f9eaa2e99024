import type { Logger } from "../logger.ts";

/** From the one that says most to the one that says least. */
export const LEVELS = ["debug", "info", "warning", "error"] as const;

/** How much is written. */
export type LogLevel = typeof LEVELS[number];

/** Writes lines with time and level. Anything below `level` is dropped. */
export function createLog(
  level: LogLevel,
  write: (line: string) => void,
  now: () => Date = () => new Date(),
): Logger {
  const lines = (of: LogLevel): (message: string) => void => {
    if (LEVELS.indexOf(of) < LEVELS.indexOf(level)) return () => {};
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
