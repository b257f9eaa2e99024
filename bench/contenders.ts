/** Finds out who can be measured on this machine, and gets what they need. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPackages, installPython } from "./install.ts";
import { type Contender, CONTENDERS, OURS } from "./peers.ts";
import { nodeProgram } from "./process.ts";
import { BenchRedis, REDIS_SETTINGS } from "./redis.ts";

const BENCH = dirname(fileURLToPath(import.meta.url));
/** Oldest Node that all peers run on. */
const PEERS_NODE = [22, 18] as const;

/** Who takes part. */
export interface Found {
  readonly contenders: readonly Contender[];
  readonly redis: BenchRedis | undefined;
  readonly versions: Readonly<Record<string, string>>;
  /** Who does not, and why. */
  readonly skipped: readonly string[];
}

/** @param wanted Beginnings of names; empty: all. */
export async function findContenders(
  wanted: readonly string[],
  say: (line: string) => void,
): Promise<Found> {
  const matching = (contender: Contender): boolean =>
    wanted.length === 0 || wanted.some((name) => contender.name.startsWith(name));
  const asked = CONTENDERS.filter(matching);
  const has = (name: string): boolean => asked.some(({ peer }) => peer.name === name);
  const failed = new Map<string, string>();
  const versions: Record<string, string> = {};
  let redis: BenchRedis | undefined;

  if (asked.some(({ peer }) => peer.runtime === "node" && peer.name !== OURS)) {
    const failure = installPackages(say) ?? oldNode();
    for (const { peer } of asked) {
      if (peer.runtime !== "node" || peer.name === OURS) continue;
      if (failure === undefined) versions[peer.name] = versionOf(peer.name);
      else failed.set(peer.name, failure);
    }
  }
  if (has("Python pgqueuer")) {
    const failure = installPython(say);
    if (failure === undefined) versions["Python pgqueuer"] = pythonVersion();
    else failed.set("Python pgqueuer", failure);
  }
  if (has("BullMQ") && !failed.has("BullMQ")) {
    const started = await BenchRedis.start(say);
    if (typeof started === "string") {
      failed.set("BullMQ", started);
    } else {
      redis = started;
      versions["Redis"] = `${started.version} (${REDIS_SETTINGS})`;
    }
  }
  for (const line of failed) say(`not measured: ${line.join(": ")}`);
  return {
    // Ours is what the others are compared with; a workload measures it only where it is asked for.
    contenders: CONTENDERS.filter((contender) =>
      contender.name === OURS || matching(contender) && !failed.has(contender.peer.name)
    ),
    redis,
    versions: { Node: versionOfNode(), ...versions },
    skipped: [...failed].map((pair) => pair.join(": ")),
  };
}

function versionOfNode(): string {
  return execFileSync(nodeProgram(), ["--version"], { encoding: "utf8" }).trim().slice(1);
}

function oldNode(): string | undefined {
  const [major = 0, minor = 0] = versionOfNode().split(".").map(Number);
  if (major > PEERS_NODE[0] || major === PEERS_NODE[0] && minor >= PEERS_NODE[1]) return undefined;
  return `it needs Node ${PEERS_NODE.join(".")} or newer`;
}

function versionOf(name: string): string {
  const manifest = join(BENCH, "node_modules", name.toLowerCase(), "package.json");
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}

function pythonVersion(): string {
  return /^pgqueuer==(.*)$/m.exec(readFileSync(join(BENCH, "requirements.txt"), "utf8"))?.[1] ?? "";
}
