import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CliError, UsageError } from "../../src/cli/command.ts";
import { locateModule, parseFactoryReference } from "../../src/cli/factory_reference.ts";

describe("parseFactoryReference() takes apart", () => {
  const cases: [text: string, module: string, exportName: string | undefined][] = [
    ["path/to/main.ts:main", "path/to/main.ts", "main"],
    ["./main.ts", "./main.ts", undefined],
    ["blog/queue/main:main", "blog/queue/main", "main"],
    ["@acme/jobs/worker:main", "@acme/jobs/worker", "main"],
    ["acme-jobs", "acme-jobs", undefined],
    ["C:\\app\\main.ts", "C:\\app\\main.ts", undefined],
    ["C:\\app\\main.ts:main", "C:\\app\\main.ts", "main"],
    ["c:/app/main.ts:größe", "c:/app/main.ts", "größe"],
    ["file:///app/main.ts", "file:///app/main.ts", undefined],
    ["file:///C:/app/main.ts:$main", "file:///C:/app/main.ts", "$main"],
    ["npm:acme-jobs:main", "npm:acme-jobs", "main"],
    ["https://host:8000/main.ts", "https://host:8000/main.ts", undefined],
    ["https://host:8000/main.ts:main", "https://host:8000/main.ts", "main"],
  ];
  for (const [text, module, exportName] of cases) {
    test(text, () => expect(parseFactoryReference(text)).toEqual({ module, exportName }));
  }
});

test("parseFactoryReference() refuses what names no module or no export", () => {
  for (const text of ["", ":main", "file://", "main.ts:", "main.ts:a.b", "main.ts:a b"]) {
    expect(() => parseFactoryReference(text)).toThrow(UsageError);
  }
});

describe("locateModule()", () => {
  let folder = "";
  const files: Record<string, string> = {
    "main.ts": "",
    "a b.js": "",
    "queue/worker.mts": "",
    "queue/index.ts": "",
    "node_modules/@acme/jobs/package.json": JSON.stringify({
      exports: {
        ".": { types: "./x.d.ts", import: { default: "./main.mjs" } },
        "./workers/*": [{ require: "./no.cjs" }, "./dist/*.js"],
      },
    }),
    "node_modules/plain/package.json": JSON.stringify({ main: "lib/main.js" }),
    "node_modules/plain/lib/main.js": "",
    "package.json": JSON.stringify({ name: "own", exports: "./main.ts" }),
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pgq factory-"));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const found: [module: string, file: string][] = [
    ["./main.ts", "main.ts"],
    ["main", "main.ts"],
    ["a b.js", "a b.js"],
    ["queue/worker", "queue/worker.mts"],
    ["./queue", "queue/index.ts"],
    ["@acme/jobs", "node_modules/@acme/jobs/main.mjs"],
    ["@acme/jobs/workers/night", "node_modules/@acme/jobs/dist/night.js"],
    ["plain", "node_modules/plain/lib/main.js"],
    ["plain/lib/main", "node_modules/plain/lib/main.js"],
    ["own", "main.ts"],
  ];
  for (const [module, file] of found) {
    test(`finds ${module}`, () => {
      expect(locateModule(module, folder)).toBe(pathToFileURL(join(folder, file)).href);
    });
  }

  test("finds the file of a URL", () => {
    const { href } = pathToFileURL(join(folder, "main.ts"));

    expect(locateModule(href, "/")).toBe(href);
  });

  const refused: [module: string, message: string][] = [
    ["./nope.ts", "there is no file"],
    ["./nope", "nor with .ts, .mts"],
    ["./main.js", "there is one that ends in ts"],
    ["nope.ts", "there is no file"],
    ["queue.worker", 'write it as a path, "queue/worker"'],
    ["@acme/jobs/nope", 'does not export "./nope"'],
    ["plain/nope", 'has no file "./nope"'],
  ];
  for (const [module, message] of refused) {
    test(`says why it does not find ${module}`, () => {
      expect(() => locateModule(module, folder)).toThrow(CliError);
      expect(() => locateModule(module, folder)).toThrow(message);
    });
  }
});
