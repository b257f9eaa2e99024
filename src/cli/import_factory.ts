import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CliError } from "./command.ts";
import { explainKnownError } from "./explain_error.ts";

/**
 * Imports the user's module, TypeScript on every runtime.
 *
 * @param url What `locateModule` gave.
 * @param shown How the user wrote it.
 * @throws {CliError} If it cannot be loaded, with the reason in one line, or with the stack where its own code threw.
 */
export async function importFactory(url: string, shown: string): Promise<Record<string, unknown>> {
  await supportTypeScript(url);
  try {
    return await import(url);
  } catch (error) {
    const { message } = error as { message?: unknown };
    const isBare = !/^[a-z]+:/i.test(url);
    if (isBare && isUnresolved(error) && String(message).includes(url)) {
      throw new CliError(
        `Cannot find the factory as there is neither a file nor a package "${shown}": check the path, or install the package`,
        { cause: error },
      );
    }
    const known = explainKnownError(error) ?? whyNotLoaded(error, url);
    if (known !== undefined) {
      throw new CliError(
        known.startsWith("Cannot ") ? known : `Cannot load "${shown}" as ${known}`,
        {
          cause: error,
        },
      );
    }
    throw new CliError(`Cannot load "${shown}" as it throws while it is imported:`, {
      cause: error,
      details: stackOf(error),
    });
  }
}

/** What a user sees of an error of their own code. */
export function stackOf(error: unknown): string {
  const own = fileURLToPath(new URL(".", import.meta.url));
  const stack = error instanceof Error
    ? error.stack?.split("\n").filter((line) =>
      !line.includes(own) && !line.includes("node:internal")
    )
      .join("\n")
    : undefined;
  // Bun's stack of a class of its own may lack the message.
  if (error instanceof Error && stack?.includes(error.message)) return stack;
  return [String(error), stack].filter((part) => part).join("\n");
}

/** Lets Node 20 and others that cannot strip types import TypeScript. */
async function supportTypeScript(url: string): Promise<void> {
  const isNode = !("Deno" in globalThis) && !("Bun" in globalThis);
  const features = process.features as { typescript?: unknown };
  if (!isNode || features.typescript || !/\.[cm]?tsx?$/.test(url)) return;
  // Both, as a file of a package that is not of "type": "module" is CommonJS.
  for (const api of ["tsx/cjs/api", "tsx/esm/api"]) {
    // A variable, so that neither Deno nor a bundler follows it.
    const tsx: { register(): unknown } = await import(api);
    tsx.register();
  }
  process.setSourceMapsEnabled(true);
}

/** Why a file could not even begin to run, or `undefined` where its own code threw. */
function whyNotLoaded(error: unknown, url: string): string | undefined {
  const { code, name, message = "" } = error as {
    code?: string;
    name?: string;
    message?: string;
  };
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
    return `Node runs only TypeScript whose types can be erased (${
      firstLine(message)
    }): avoid it, or set NODE_OPTIONS="--import tsx"`;
  }
  if (/does not provide an export named|Export named .* not found in module/i.test(message)) {
    return `an import of it is not there (${firstLine(message)}): check its name`;
  }
  // Deno gives it the code of a missing module.
  const isSyntax = name === "SyntaxError" || /^SyntaxError:/.test(message) ||
    name === "TransformError" || name === "BuildMessage" ||
    code === "ERR_INVALID_TYPESCRIPT_SYNTAX" || /could not be parsed/.test(message) ||
    bundled(error).some((each) => each.name === "BuildMessage");
  if (isSyntax) return `it has a syntax error: ${syntaxPlace(error, message, url)}`;
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND" || isUnresolved(error)) {
    return `an import of it cannot be found (${
      firstLine(message)
    }): install the package, or write the path with its ending`;
  }
  if (code === "ERR_UNSUPPORTED_DIR_IMPORT" || code === "ERR_PACKAGE_PATH_NOT_EXPORTED") {
    return `an import of it cannot be found (${firstLine(message)}): write the path of a file`;
  }
  return undefined;
}

/** Bun's and Deno's own words for an import that cannot be resolved. */
function isUnresolved(error: unknown): boolean {
  const { name, message = "" } = error as { name?: string; message?: string };
  return name === "ResolveMessage" ||
    /^(Cannot find (module|package)|Module not found|Import ".*" not a dependency|Relative import path|Unable to load )/
      .test(message);
}

/** Where the mistake is: the runtimes say it at different places. */
function syntaxPlace(error: unknown, message: string, url: string): string {
  const [first] = bundled(error);
  const { position } = (first ?? error) as {
    position?: { file?: string; line?: number; column?: number };
  };
  const text = first?.message ?? message;
  if (position?.file) return `${text} at ${position.file}:${position.line}:${position.column}`;

  // tsx: "Transform failed with 1 error:\n/path/main.ts:3:7: ERROR: …"
  const transformed = /^(.+:\d+:\d+): ERROR: (.+)$/m.exec(text);
  if (transformed) return `${transformed[2]} at ${transformed[1]}`;
  // Deno: the message, a picture, the place.
  const pictured = /^SyntaxError: (.+)[^]*\n\s+at (\S+)$/.exec(text);
  if (pictured) return `${pictured[1]} at ${pictured[2]}`;
  const place = checkedPlace(url);
  return `${firstLine(text)}${place === undefined ? "" : ` at ${place}`}`;
}

/** Node keeps the place of a mistake to itself until it ends by it. */
function checkedPlace(url: string): string | undefined {
  if (!/^file:.*\.[cm]?[jt]s$/.test(url) || "Deno" in globalThis || "Bun" in globalThis) {
    return undefined;
  }
  const { stderr } = spawnSync(process.execPath, ["--check", fileURLToPath(url)], {
    encoding: "utf8",
  });
  return /^(?:file:\/\/)?(.+:\d+)$/m.exec(stderr)?.[1];
}

/** Bun bundles the mistakes of a file. */
function bundled(error: unknown): { name?: string; message?: string }[] {
  const { errors } = error as { errors?: unknown };
  return Array.isArray(errors) ? errors : [];
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!.trim().replace(/[.:]$/, "");
}
