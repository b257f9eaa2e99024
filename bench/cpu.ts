/** What processes use, read from the operating system: `/proc`, so on Linux only. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import process from "node:process";

/** Ticks of `/proc/PID/stat` in a second. */
const TICKS: number = ticksPerSecond();

interface Stat {
  readonly parent: number;
  /** Its own time, and that of children that have ended and been waited for. */
  readonly ownMs: number;
  readonly endedMs: number;
}

/** Time that one process has used, all its threads together, in milliseconds. `undefined` where the system does not say. */
export function cpuMs(pid: number): number | undefined {
  return statOf(pid)?.ownMs;
}

/** The same for a process and its children, those that have ended included: a PostgreSQL server by its postmaster. */
export function familyCpuMs(pid: number): number | undefined {
  for (let attempt = 0; attempt < 20; attempt++) {
    const before = statOf(pid);
    if (before === undefined) return undefined;
    const children = readdirSync("/proc").filter((name) => /^\d+$/.test(name))
      .map((name) => statOf(Number(name))).filter((stat) => stat?.parent === pid);
    // A child that has ended in between was counted twice, or not at all.
    if (statOf(pid)?.endedMs !== before.endedMs) continue;
    return children.reduce(
      (sum, child) => sum + child!.ownMs + child!.endedMs,
      before.ownMs + before.endedMs,
    );
  }
  return undefined;
}

/** Memory of a process that is in RAM, in kilobytes. */
export function residentKb(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  } catch {
    return undefined;
  }
}

/** What the figures were measured on, in a line. */
export function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${processors.length} × ${
    processors[0]?.model.trim() ?? process.arch
  }, ${memory} GiB, ${process.platform}`;
}

function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in brackets, may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
    const ms = (first: number): number => (fields[first]! + fields[first + 1]!) * 1_000 / TICKS;
    return { parent: fields[1]!, ownMs: ms(11), endedMs: ms(13) };
  } catch {
    return undefined;
  }
}

function ticksPerSecond(): number {
  try {
    return Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" })) || 100;
  } catch {
    return 100;
  }
}
