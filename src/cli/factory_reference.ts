import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CliError, UsageError } from "./command.ts";
import { resolvePackage } from "./package_resolution.ts";

/** What stands for a factory on the command line, taken apart. */
export interface FactoryReference {
  /** A path, a URL or a package. */
  readonly module: string;
  /** `undefined` where none is named: the default export then, else `main`. */
  readonly exportName: string | undefined;
}

/** The forms, for messages. */
export const FORMS = 'such as "./worker.ts", "blog/queue/main.ts:main" or "@acme/jobs/worker:main"';

/** What may be left out of a path, in the order in which it is tried. */
const ENDINGS = [".ts", ".mts", ".js", ".mjs"].flatMap((end) => [end, `/index${end}`])
  .sort((a, b) => Number(a.startsWith("/")) - Number(b.startsWith("/")));

const URL_SCHEME = /^(?:file|https?):\/\/|^(?:npm|jsr|node|data):/i;
const WINDOWS_DRIVE = /^[A-Za-z]:[\\/]/;
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;

/**
 * Takes `module:export` apart at its last colon, unless that one belongs to a drive or to a URL.
 *
 * @throws {UsageError} If it is none.
 */
export function parseFactoryReference(text: string): FactoryReference {
  const prefix = URL_SCHEME.exec(text)?.[0] ?? WINDOWS_DRIVE.exec(text)?.[0] ?? "";
  const rest = text.slice(prefix.length);
  const colon = rest.lastIndexOf(":");
  // The port of an address is followed by a path, an export by nothing.
  const isExport = colon !== -1 && !/[\\/]/.test(rest.slice(colon));
  const module = prefix + (isExport ? rest.slice(0, colon) : rest);
  const exportName = isExport ? rest.slice(colon + 1) : undefined;

  if (module === prefix || module === "") {
    throw new UsageError(`Cannot find a factory as "${text}" names no module: write it ${FORMS}`);
  }
  if (exportName !== undefined && !IDENTIFIER.test(exportName)) {
    throw new UsageError(
      `Cannot find a factory as "${exportName}" is not the name of an export: write it ${FORMS}`,
    );
  }
  return { module, exportName };
}

/**
 * Finds what to import for a module: the URL of a file, or a specifier that only the runtime can resolve.
 *
 * @throws {CliError} If there is no such file or package.
 */
export function locateModule(module: string, cwd: string): string {
  if (/^file:/i.test(module)) {
    const file = findFile(fileURLToPath(module));
    if (file !== undefined) return pathToFileURL(file).href;
    throw new CliError(`Cannot find the factory as there is no file "${fileURLToPath(module)}"`);
  }
  if (URL_SCHEME.test(module)) return module;

  const path = resolve(cwd, module);
  const file = findFile(path);
  if (file !== undefined) return pathToFileURL(file).href;
  if (/^\.{0,2}[\\/]/.test(module) || WINDOWS_DRIVE.test(module)) {
    throw new CliError(noFile(module, path));
  }

  const inPackage = resolvePackage(module, cwd);
  if (inPackage !== undefined) return pathToFileURL(inPackage).href;
  refuseDotted(module, cwd);
  if (!isPackageName(module) || /\.[cm]?[jt]sx?$/.test(module)) {
    throw new CliError(noFile(module, path));
  }
  // Names of an import map, and Bun's and Deno's own ways to find a package.
  if ("Deno" in globalThis || "Bun" in globalThis) return module;
  throw new CliError(
    `Cannot find the factory as there is neither a file "${path}" (nor with ${
      ENDINGS.join(", ")
    }) nor a package "${module}" in node_modules: check the path, or install the package`,
  );
}

/** The file that a path means, with or without its ending. */
function findFile(path: string): string | undefined {
  const isFile = (candidate: string): boolean =>
    existsSync(candidate) && statSync(candidate).isFile();
  return [path, ...ENDINGS.map((ending) => path + ending)].find(isFile);
}

function noFile(module: string, path: string): string {
  const twin = path.replace(/\.([cm]?)js$/, ".$1ts");
  if (twin !== path && existsSync(twin)) {
    return `Cannot find the factory as there is no file "${module}": there is one that ends in ts`;
  }
  const tried = /\.[cm]?[jt]sx?$/.test(module) ? "" : ` (nor with ${ENDINGS.join(", ")})`;
  return `Cannot find the factory as there is no file "${path}"${tried}: check the path`;
}

/** Throws for a module written as in the Python project, if there is such a file. */
function refuseDotted(module: string, cwd: string): void {
  const path = module.split(".").join("/");
  if (!/^\w+(\.\w+)+$/.test(module) || findFile(join(cwd, path)) === undefined) return;
  throw new CliError(
    `Cannot find the factory as "${module}" is neither a file nor a package: write it as a path, "${path}"`,
  );
}

function isPackageName(module: string): boolean {
  return /^(@[\w.~-]+\/)?[\w~-][\w.~-]*(\/.+)?$/.test(module);
}
