/** Starts peers, processes of either language, and talks to them. */
import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type TestQueue, until } from "../support/queue.ts";
import { runtimeCommand } from "../support/worker_process.ts";
import type { Commands, PeerEvent } from "./protocol.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(dirname(HERE));

/** What a peer runs on. */
export type Language = "Python" | "TypeScript" | "Deno" | "Bun";

/** Both directions of a test between two languages. */
export const BOTH_WAYS: readonly (readonly [Language, Language])[] = [
  ["Python", "TypeScript"],
  ["TypeScript", "Python"],
];

/** A running peer. */
export interface Peer {
  readonly language: Language;
  readonly pid: number;
  /** All that it has told so far. */
  readonly events: readonly PeerEvent[];
  /** What it wrote to its standard error so far. */
  stderr(): string;
  ask<Name extends keyof Commands>(
    command: Name,
    request: Commands[Name][0],
  ): Promise<Commands[Name][1]>;
  /** Waits until it has told of something. */
  heard<Kind extends PeerEvent["event"]>(
    kind: Kind,
    matches?: (event: Extract<PeerEvent, { event: Kind }>) => boolean,
  ): Promise<Extract<PeerEvent, { event: Kind }>>;
  kill(signal: NodeJS.Signals): void;
  /** Waits for its end. Gives the exit code, or `null` after a fatal signal. */
  readonly exited: Promise<number | null>;
}

/** A release of the Python project. */
export type Release = "newest" | "1.3";

/** The Python of the environment with that release of the Python project. */
export function pythonOf(release: Release = "newest"): string {
  const variable = release === "newest" ? "PGQ_TEST_PYTHON" : "PGQ_TEST_PYTHON_1_3";
  const path = process.env[variable];
  if (path) return path;
  throw new Error(`${variable} is not set: run these tests with "npm run test:python"`);
}

function commandOf(language: Language, release: Release): [string, string[]] {
  const main = join(HERE, "peer_main.ts");
  const bin = (name: string) => join(ROOT, "node_modules", ".bin", name);
  switch (language) {
    case "Python":
      return [pythonOf(release), [join(HERE, "peer_main.py")]];
    case "TypeScript":
      return runtimeCommand(main);
    case "Deno":
      return [bin("deno"), ["run", "-A", main]];
    case "Bun":
      return [bin("bun"), [main]];
  }
}

/** What tells a program of either language which queue it works on. */
export function environmentOf({ dsn, names }: Pick<TestQueue, "dsn" | "names">): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PGQUEUER_DSN: dsn,
    PGQUEUER_SCHEMA: names.schema,
    PGQUEUER_PREFIX: names.prefix,
    TZ: "UTC",
  };
}

/** Starts a peer. Resolves when it takes requests. */
export async function startPeer(
  language: Language,
  queue: TestQueue,
  release: Release = "newest",
): Promise<Peer> {
  const [command, args] = commandOf(language, release);
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...environmentOf(queue), PEER: JSON.stringify({ dsn: queue.dsn }) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => stderr += chunk);
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const events: (PeerEvent | { event: "ready" })[] = [];
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line);
    if ("event" in message) return void events.push(message);
    const request = waiting.get(message.id)!;
    waiting.delete(message.id);
    if ("error" in message) request.reject(new Error(message.error));
    else request.resolve(message.result);
  });
  let ended = false;
  void exited.then((code) => {
    ended = true;
    const error = new Error(`The ${language} peer has ended with ${code}: ${stderr}`);
    for (const { reject } of waiting.values()) reject(error);
  });
  // Requests to one that has ended: `exited` tells of it.
  child.stdin.on("error", () => {});

  let requests = 0;
  const peer: Peer = {
    language,
    pid: child.pid!,
    events: events as PeerEvent[],
    stderr: () => stderr,
    exited,
    kill: (signal) => void kill(child, signal),
    ask(command, request) {
      return new Promise((resolve, reject) => {
        if (ended) return reject(new Error(`The ${language} peer has ended: ${stderr}`));
        const id = ++requests;
        waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        child.stdin.write(`${JSON.stringify({ id, command, ...request })}\n`);
      });
    },
    async heard(kind, matches = () => true) {
      type Wanted = Extract<PeerEvent, { event: typeof kind }>;
      const found = () =>
        peer.events.find((event): event is Wanted =>
          event.event === kind && matches(event as Wanted)
        );
      const what = `the ${language} peer tells of "${kind}"`;
      return await until(what, () => {
        if (ended) throw new Error(`The ${language} peer has ended: ${stderr}`);
        return found();
      });
    },
  };
  await until(`the ${language} peer is ready`, () => {
    if (ended) throw new Error(`The ${language} peer has ended: ${stderr}`);
    return events.some(({ event }) => event === "ready");
  });
  return peer;
}

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(child.pid!, signal);
  } catch {
    // It has ended.
  }
}
