import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { chmod, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";

/** Line 1 of `postmaster.pid` once the process it named is known to be another program. */
const NO_PROCESS = 2 ** 31 - 2;

/** What `postmaster.pid` says of a server that lives. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** `ready` once connections are accepted. */
  readonly status: string;
}

/** Whether a process has this id. One that has ended and was not yet collected does not count. */
export function isAlive(pid: number): boolean {
  const start = startOf(pid);
  return start === undefined ? isKnown(pid) : start !== "";
}

/** Whether the kernel knows the id, be it of a process that has ended: all that PostgreSQL looks at. */
function isKnown(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * When the process started, in the kernel's ticks: with the id it names one
 * process for good. Empty if there is none, `undefined` where nobody tells.
 */
function startOf(pid: number): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "" : fields[19];
  } catch {
    return "";
  }
}

/** Whether process `pid` is the server of folder `data`, and not one that got its id later. */
export function isServerOf(data: string, pid: number): boolean {
  if (!isAlive(pid)) return false;
  try {
    // Readable for everyone, other than /proc/<pid>/cwd, which root in a container may not follow.
    if (process.platform === "linux") {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return words[0]!.includes("postgres") && words.includes(data);
    }
    if (process.platform === "win32") return true;
    const command = execFileSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], {
      encoding: "utf8",
    });
    return command.includes("postgres") && command.includes(data);
  } catch {
    return false;
  }
}

/**
 * The server that runs on folder `data`, in whichever state.
 *
 * A server that was killed leaves `postmaster.pid`. PostgreSQL starts over it,
 * unless the kernel still knows the id: of another process that got it since, or
 * of the dead server, for as long as a process 1 that does not collect orphans
 * (an application in a container) lives. The id is overwritten in that case.
 * The file stays, as its last lines protect from backends that still live.
 */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const path = join(data, "postmaster.pid");
  const text = readText(path);
  const lines = text.split("\n").map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!(pid > 0)) return undefined;
  if (isServerOf(data, pid)) return { pid, port: Number(lines[3]), status: lines[7] ?? "" };

  if (isKnown(pid) && readText(path) === text) {
    await replaceFile(path, [NO_PROCESS, ...lines.slice(1)].join("\n"));
  }
  return undefined;
}

/** Replaces a file in one step, so that no reader sees half of it. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const work = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  await writeFile(work, text, { mode: 0o644 });
  await chmod(work, 0o644);
  await rename(work, path);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * Says in the folder `users` that this process uses the server, so that of two
 * `pgq dev` on one directory the last to end stops the server, not the first.
 *
 * A file name is the whole entry, so it is never half written. Its ending tells
 * the state: none while starting, then `.ready`, then `.stopping`. A starter first
 * adds itself and then waits for those that stop; one that stops first says so
 * and then looks for others. So either of them sees the other.
 */
export class ServerUser {
  readonly #folder: string;
  readonly #base: string;
  #name: string;

  constructor(clusterFolder: string) {
    this.#folder = join(clusterFolder, "users");
    this.#base = `${process.pid}-${startOf(process.pid) ?? ""}-${randomBytes(6).toString("hex")}`;
    this.#name = this.#base;
    writeFileSync(join(this.#folder, this.#name), "");
  }

  /** Whether another user is just stopping the server. */
  isStopping(): boolean {
    return livingUsers(this.#folder).some((name) => name.endsWith(".stopping"));
  }

  /** Deletes entries of this process for a server that has ended without its `stop()`. */
  forgetEarlier(): void {
    const own = this.#base.slice(0, this.#base.lastIndexOf("-") + 1);
    for (const name of livingUsers(this.#folder)) {
      if (name.startsWith(own) && name.endsWith(".ready")) rmSync(join(this.#folder, name));
    }
  }

  /** To be called once the server is there. */
  ready(): void {
    this.#become(`${this.#base}.ready`);
  }

  /** Announces the stop. Returns whether it may be done, as nobody else uses the server. */
  beginStop(): boolean {
    this.#become(`${this.#base}.stopping`);
    return livingUsers(this.#folder).every((name) => name.endsWith(".stopping"));
  }

  remove(): void {
    rmSync(join(this.#folder, this.#name), { force: true });
  }

  #become(name: string): void {
    try {
      renameSync(join(this.#folder, this.#name), join(this.#folder, name));
      this.#name = name;
    } catch {
      // Forgotten by a later start of this process, or the folder was deleted.
    }
  }
}

/** Entries of processes that live. Deletes the others. */
export function livingUsers(folder: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.filter((name) => {
    const [pid, start] = name.split(".")[0]!.split("-");
    if (isAlive(Number(pid)) && (startOf(Number(pid)) ?? "") === start) return true;
    rmSync(join(folder, name), { force: true });
    return false;
  });
}
