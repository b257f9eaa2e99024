/** What package.json, deno.json and package-lock.json must agree on. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CheckError, ROOT } from "./command.ts";

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string | { types: string; default: string }>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

interface DenoJson {
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly tasks: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

interface LockedPackage {
  readonly link?: boolean;
  readonly integrity?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface LockFile {
  readonly version: string;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** `^1.2.3`: newer ones that promise to be compatible, for what our users install with us. */
const CARET = /^\^\d+\.\d+\.\d+$/;
/** `1.2.3`: what was tested, for what only we install. */
const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$/;

/** Throws with a line for each rule that does not hold. */
export function checkManifests(): void {
  const npm: PackageJson = JSON.parse(read("package.json"));
  const deno: DenoJson = JSON.parse(read("deno.json"));

  const broken = [
    ...versions(npm, deno),
    ...exportMaps(npm, deno),
    ...ranges(npm),
    ...imports(npm, deno),
    ...lockFile(),
    ...Object.keys(deno.tasks).filter((name) => !(name in npm.scripts))
      .map((name) => `deno.json has the task "${name}", package.json no such script`),
  ];
  if (broken.length > 0) throw new CheckError("The manifests do not agree", broken.join("\n"));
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function versions(npm: PackageJson, deno: DenoJson): string[] {
  const lock: LockFile = JSON.parse(read("package-lock.json"));
  const found = { "package.json": npm.version, "deno.json": deno.version, lock: lock.version };
  const broken = new Set(Object.values(found)).size === 1
    ? []
    : [`the versions differ: ${JSON.stringify(found)}`];
  return npm.license === deno.license ? broken : [...broken, "the licenses differ"];
}

/** `./mod.ts` for JSR is `./dist/mod.js` with `./dist/mod.d.ts` for npm. */
function exportMaps(npm: PackageJson, deno: DenoJson): string[] {
  const expected = Object.fromEntries(
    Object.entries(deno.exports).map(([name, source]) => {
      const built = source.replace(/^\.\/(.*)\.ts$/, "./dist/$1");
      return [name, { types: `${built}.d.ts`, default: `${built}.js` }];
    }),
  );
  const { "./package.json": own, ...found } = npm.exports;
  const broken = own === "./package.json" ? [] : ['exports lacks "./package.json"'];
  // Node and TypeScript take the first condition that fits, so the order counts too.
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    broken.push(`exports must be ${JSON.stringify(expected)}, as deno.json says`);
  }
  if (JSON.stringify(npm.bin) !== '{"pgq":"dist/cli.js"}') broken.push("bin must be dist/cli.js");
  return broken;
}

function ranges({ dependencies, devDependencies, peerDependencies }: PackageJson): string[] {
  const wrong = (group: Readonly<Record<string, string>>, form: RegExp, words: string) =>
    Object.entries(group).filter(([, range]) => !form.test(range))
      .map(([name, range]) => `${name} must have ${words}: "${range}"`);
  return [
    ...wrong(dependencies, CARET, "a caret range, as users install it"),
    ...wrong(devDependencies, EXACT, "an exact version, as only we install it"),
    ...Object.keys(peerDependencies).filter((name) => !(name in devDependencies))
      .map((name) => `${name} must be in devDependencies too, to be tested`),
  ];
}

/** Deno reads deno.json where npm reads package.json: both must mean the same release. */
function imports(npm: PackageJson, deno: DenoJson): string[] {
  const wanted: Readonly<Record<string, string>> = { ...npm.devDependencies, ...npm.dependencies };
  return Object.entries(deno.imports).flatMap(([name, target]) => {
    // Our own names, so that tests and documents import them as a user does.
    const own = name === npm.name || name.startsWith(`${npm.name}/`);
    const expected = own
      ? deno.exports[`.${name.slice(npm.name.length)}`]
      : `npm:${name}@${wanted[name]}`;
    return target === expected ? [] : [`deno.json must map ${name} to ${expected}: "${target}"`];
  });
}

/** A lock file must serve everybody: whatever registry they reach, and whatever machine they have. */
function lockFile(): string[] {
  const text = read("package-lock.json");
  const packages = Object.entries((JSON.parse(text) as LockFile).packages);
  const names = new Set(packages.map(([path]) => path.replace(/^.*node_modules\//, "")));
  const hosts = text.match(/"resolved": *"[^"]*"/g) ?? [];
  return [
    ...packages.filter(([path, { link, integrity }]) => path !== "" && !link && !integrity)
      .map(([path]) => `package-lock.json has no integrity hash for ${path}`),
    ...hosts.map((line) => `package-lock.json names a host: ${line}`).slice(0, 1),
    // Such as the binary for another system. npm 11 refuses the whole lock file then.
    ...packages.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !names.has(name))
        .map((name) => `package-lock.json lacks ${name}, an optional dependency of ${path}`)
    ),
  ];
}
