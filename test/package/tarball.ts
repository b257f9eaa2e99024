import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckError, ROOT, run } from "./command.ts";

/** Half of this is text for people: comments, types, README. Twice as much is a file too many. */
const MAX_BYTES = 350_000;

const REQUIRED = [
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "dist/cli.d.ts",
  "dist/cli.js",
  "dist/mod.d.ts",
  "dist/mod.js",
  "dist/src/sql/generated.js",
  "dist/src/testing/mod.d.ts",
  "dist/src/testing/mod.js",
  "package.json",
];

/** Neither sources nor tests. */
const ALLOWED = /^(dist\/((mod|cli)|src\/[\w/]+)(\.js|\.d\.ts)|[A-Z]+(\.md)?|package\.json)$/;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

/** Builds and packs as `npm publish` would. Gives the path of the tarball, once its contents are right. */
export async function packTarball(folder: string): Promise<string> {
  const args = ["pack", "--json", "--foreground-scripts=false", "--pack-destination", folder];
  const printed = await run("npm", args);
  // A list, or in newer releases of npm an object by name.
  const [packed] = Object.values(JSON.parse(printed)) as Packed[];
  if (packed === undefined) throw new CheckError("npm packed nothing", printed);

  const paths = packed.files.map(({ path }) => path);
  const wrong = [
    ...REQUIRED.filter((path) => !paths.includes(path)).map((path) => `${path} is missing`),
    ...paths.filter((path) => !ALLOWED.test(path)).map((path) => `${path} is not needed`),
    ...packed.files.filter(({ path, mode }) => path === "dist/cli.js" && (mode & 0o111) !== 0o111)
      .map(({ path }) => `${path} is not executable`),
    ...packed.size <= MAX_BYTES ? [] : [`it has ${packed.size} bytes, more than ${MAX_BYTES}`],
  ];
  if (wrong.length > 0) throw new CheckError("The tarball is wrong", wrong.join("\n"));
  return join(folder, packed.filename);
}

/** An empty project that installs the tarball and what a user of TypeScript has. Gives its folder. */
export async function installTarball(tarball: string, folder: string): Promise<string> {
  const project = join(folder, "project");
  await mkdir(project);
  await writeFile(
    join(project, "package.json"),
    JSON.stringify({ name: "project", private: true, type: "module" }),
  );
  await cp(join(ROOT, "test", "package", "fixtures"), project, { recursive: true });
  await run("npm", [
    "install",
    tarball,
    "postgres@3",
    "@types/node@26",
    "typescript-5@npm:typescript@5.9",
    "typescript-7@npm:typescript@7",
  ], { cwd: project });
  return project;
}

/** Installs the binary of another major release of Node. Gives its path. */
export async function installNode(major: number, folder: string): Promise<string> {
  const home = join(folder, `node-${major}`);
  await mkdir(home);
  await writeFile(join(home, "package.json"), '{ "private": true }');
  await run("npm", ["install", `node@${major}`], { cwd: home });
  return join(home, "node_modules", "node", "bin", "node");
}
