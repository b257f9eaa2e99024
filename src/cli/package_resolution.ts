import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { CliError } from "./command.ts";

/** The conditions that hold for `import`, which is what a factory is loaded with. */
const CONDITIONS = [
  "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node-addons",
  "node",
  "import",
  "module-sync",
  "default",
];

interface Manifest {
  readonly name?: string;
  readonly main?: string;
  readonly exports?: unknown;
}

/**
 * Finds the file that a package gives for a specifier, as `import` in a file of `from` would.
 *
 * The runtimes resolve only from the importing file, which is one of ours and not one of the user's project.
 *
 * @returns `undefined` if there is no such package in `node_modules` of `from` or above.
 * @throws {CliError} If the package does not export it.
 */
export function resolvePackage(specifier: string, from: string): string | undefined {
  const parts = specifier.split("/");
  const name = parts.splice(0, specifier.startsWith("@") ? 2 : 1).join("/");
  const subpath = [".", ...parts].join("/");

  for (let folder = from;; folder = dirname(folder)) {
    const own = readManifest(folder);
    // A package may import itself by its name, but only what it exports.
    if (own?.name === name && own.exports !== undefined) {
      return fileOf(folder, own, name, subpath);
    }
    const installed = join(folder, "node_modules", name);
    if (existsSync(installed)) {
      return fileOf(installed, readManifest(installed) ?? {}, name, subpath);
    }
    if (dirname(folder) === folder) return undefined;
  }
}

function readManifest(folder: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  } catch {
    return undefined;
  }
}

function fileOf(folder: string, manifest: Manifest, name: string, subpath: string): string {
  if (manifest.exports !== undefined && manifest.exports !== null) {
    const target = targetOf(manifest.exports, subpath);
    if (target !== undefined) return join(folder, target);
    throw new CliError(
      `Cannot find the factory as package "${name}" does not export "${subpath}": add it to "exports" of its package.json`,
    );
  }
  const path = join(folder, subpath === "." ? manifest.main ?? "index.js" : subpath);
  const found = [path, `${path}.js`, join(path, "index.js")]
    .find((candidate) => existsSync(candidate) && statSync(candidate).isFile());
  if (found !== undefined) return found;
  throw new CliError(
    `Cannot find the factory as package "${name}" has no file "${subpath}": check the path`,
  );
}

/** Reads the `exports` of a manifest. */
function targetOf(exports: unknown, subpath: string): string | undefined {
  const hasSubpaths = typeof exports === "object" && exports !== null && !Array.isArray(exports) &&
    Object.keys(exports).some((key) => key.startsWith("."));
  if (!hasSubpaths) return subpath === "." ? pick(exports, "") : undefined;

  const entries = exports as Record<string, unknown>;
  if (Object.hasOwn(entries, subpath)) return pick(entries[subpath], "");
  // The longest pattern is the most exact one.
  const patterns = Object.keys(entries).filter((key) => key.includes("*"))
    .sort((a, b) => b.indexOf("*") - a.indexOf("*"));
  for (const pattern of patterns) {
    const [before = "", after = ""] = pattern.split("*");
    const middle = subpath.slice(before.length, subpath.length - after.length);
    if (middle !== "" && subpath.startsWith(before) && subpath.endsWith(after)) {
      return pick(entries[pattern], middle);
    }
  }
  return undefined;
}

/** The first target whose conditions hold. */
function pick(target: unknown, star: string): string | undefined {
  if (typeof target === "string") return target.replaceAll("*", star);
  if (typeof target !== "object" || target === null) return undefined;
  const candidates = Array.isArray(target)
    ? target
    : Object.entries(target).filter(([condition]) => CONDITIONS.includes(condition))
      .map(([, value]) => value);
  for (const candidate of candidates) {
    const picked = pick(candidate, star);
    if (picked !== undefined) return picked;
  }
  return undefined;
}
