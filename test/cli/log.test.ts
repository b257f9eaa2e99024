import { expect, test } from "vitest";
import { readFlags } from "../../src/cli/flags.ts";
import { createLog, type LogLevel } from "../../src/cli/log.ts";

test("createLog() writes lines of its level and above, with time and level", () => {
  const linesAt = (level: LogLevel): string[] => {
    const lines: string[] = [];
    const log = createLog(level, (line) => lines.push(line), { now: () => new Date(0) });
    log.debug("a");
    log.info("b");
    log.warn("c");
    log.error("d");
    return lines;
  };

  expect(linesAt("info")).toEqual([
    "1970-01-01T00:00:00.000Z INFO    b",
    "1970-01-01T00:00:00.000Z WARNING c",
    "1970-01-01T00:00:00.000Z ERROR   d",
  ]);
  expect(linesAt("debug").length).toBe(4);
  expect(linesAt("error").length).toBe(1);
  expect(linesAt("critical").length).toBe(0);
});

test("--log-level takes the names of the Python project", () => {
  const names = ["CRITICAL", "FATAL", "ERROR", "WARN", "WARNING", "INFO", "DEBUG", "NOTSET"];

  const levels = names.map((logLevel) => readFlags({ logLevel }, ["logLevel"]).logLevel);

  expect(levels).toEqual([
    ...["critical", "critical", "error", "warning", "warning", "info", "debug", "debug"],
  ]);
});

test("createLog() writes a JSON object a line where asked", () => {
  const lines: string[] = [];

  createLog("info", (line) => lines.push(line), { json: true, now: () => new Date(0) })
    .warn('two\nlines and "quotes"');

  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { time: "1970-01-01T00:00:00.000Z", level: "warning", message: 'two\nlines and "quotes"' },
  ]);
  expect(lines[0]).not.toContain("\n");
});
