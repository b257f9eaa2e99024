import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, expect, test } from "vitest";
import { SourceWatcher } from "../../src/cli/source_watcher.ts";

const cleanups: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test("SourceWatcher notices changed, new and deleted source files, also in new folders", async () => {
  const { folder, next } = await watched();

  await writeFile(join(folder, "a.ts"), "changed");
  expect(await next()).toContain("a.ts");
  await mkdir(join(folder, "new", "deep"), { recursive: true });
  await writeFile(join(folder, "new", "deep", "b.js"), "");
  expect(await next()).toContain("new/deep/b.js");
  await writeFile(join(folder, "new", "deep", "b.js"), "changed");
  expect(await next()).toContain("new/deep/b.js");
  await rm(join(folder, "a.ts"));
  expect(await next()).toContain("a.ts");
});

test("SourceWatcher ignores data, packages, results of a build and hidden files", async () => {
  const { folder, next } = await watched();

  for (const name of ["data.json", "node_modules/x.ts", "dist/x.js", ".git/x.ts", ".x.ts"]) {
    await writeFile(join(folder, name), "changed");
  }
  await writeFile(join(folder, "a.ts"), "changed");

  expect(await next()).toEqual(["a.ts"]);
});

/** A folder under watch, and the paths of its next change. */
async function watched(): Promise<{ folder: string; next: () => Promise<string[]> }> {
  const folder = await mkdtemp(join(tmpdir(), "pgq-watch-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  for (const name of ["node_modules", "dist", ".git"]) await mkdir(join(folder, name));
  await writeFile(join(folder, "a.ts"), "");

  const changes: string[][] = [];
  let wake = (): void => {};
  const watcher = new SourceWatcher([folder], {
    debounceMs: 20,
    onChange(paths) {
      changes.push(paths.map((path) => relative(folder, path).replaceAll("\\", "/")));
      wake();
    },
  });
  await watcher.start();
  cleanups.push(() => watcher.close());
  const next = async (): Promise<string[]> => {
    if (changes.length === 0) await new Promise<void>((resolve) => wake = resolve);
    return changes.splice(0).flat();
  };
  return { folder, next };
}
