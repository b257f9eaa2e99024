import { readFileSync } from "node:fs";

/**
 * The version of this package: from its manifest, which is at another place in `dist/` than in a checkout, or from the
 * address that it was loaded from.
 */
export function packageVersion(from: string): string {
  const inAddress = /\/@?pgqueuer(?:\/pgqueuer)?[@/](\d+\.\d+\.\d+[^/]*)\//.exec(from)?.[1];
  if (!from.startsWith("file:")) return inAddress ?? "unknown";

  for (let folder = new URL(".", from);; folder = new URL("..", folder)) {
    for (const manifest of ["package.json", "deno.json"]) {
      try {
        const { name, version } = JSON.parse(readFileSync(new URL(manifest, folder), "utf8"));
        if (/^(@pgqueuer\/)?pgqueuer$/.test(name)) return String(version);
      } catch {
        // Not here, or not a manifest.
      }
    }
    if (folder.pathname === new URL("..", folder).pathname) return inAddress ?? "unknown";
  }
}
