import type { Duration } from "../duration.ts";
import type { Settings } from "../settings.ts";
import { shown } from "../validate.ts";
import type { RunOptions } from "../worker/run_options.ts";
import { CliError } from "./command.ts";
import { explainKnownError } from "./explain_error.ts";
import { type FactoryReference, locateModule } from "./factory_reference.ts";
import { importFactory, stackOf } from "./import_factory.ts";

/** What `pgq run` and `pgq dev` call a factory with. */
export interface FactoryContext {
  /** What stood behind `--`. */
  readonly args: readonly string[];
  /** The database that the command line or the environment names, in a form that every client reads. */
  readonly dsn: string | undefined;
  /** Names of the tables, to pass to `new PgQueuer(driver, settings)`. */
  readonly settings: Settings;
}

/** The part of a `PgQueuer` that is used. By shape, as the package may be loaded twice: by us and by the factory. */
export interface RunnableWorker {
  run(options?: RunOptions): Promise<void>;
  stop(options?: { timeout?: Duration }): Promise<void>;
}

/** What a factory gave. */
export interface MadeWorker {
  readonly pgq: RunnableWorker;
  /** Does what the factory left to be done after the run. */
  cleanUp(): Promise<void>;
}

const RIGHT_FORM = `Write it like this:

  import { openWorkerDriver, PgQueuer } from "pgqueuer";

  export async function main({ args, dsn, settings }) {
    const pgq = new PgQueuer(await openWorkerDriver(dsn), settings);
    pgq.entrypoint("send_welcome", async (job) => {});
    return pgq;
  }

or as "async function*" with "yield pgq" and what is to be done after the run,
or return an object with "pgq" and [Symbol.asyncDispose]().`;

/**
 * Imports the module of a factory and calls it.
 *
 * @throws {CliError} If there is no such file or export, it throws, or gives something else.
 */
export async function makeWorker(
  reference: FactoryReference,
  context: FactoryContext,
  cwd: string,
): Promise<MadeWorker> {
  const { module, exportName } = reference;
  const namespace = await importFactory(locateModule(module, cwd), module);
  const { name, value } = findExport(namespace, module, exportName);
  try {
    const made = typeof value === "function" ? await value(context) : await value;
    const worker = await unwrap(made);
    if (worker !== undefined) return worker;
    throw new CliError(
      `Cannot run "${module}" as its export "${name}" ${
        typeof value === "function" ? "gives" : "is"
      } ${shown(made)}: it must give a PgQueuer`,
      { details: RIGHT_FORM },
    );
  } catch (error) {
    if (error instanceof CliError) throw error;
    const known = explainKnownError(error);
    if (known !== undefined) throw new CliError(known, { cause: error });
    throw new CliError(`Cannot run "${module}" as its export "${name}" throws:`, {
      cause: error,
      details: stackOf(error),
    });
  }
}

function findExport(
  namespace: Record<string, unknown>,
  module: string,
  exportName: string | undefined,
): { name: string; value: unknown } {
  const all = exportsOf(namespace);
  const isThere = (name: string): boolean => all[name] !== undefined && all[name] !== null;

  if (exportName === undefined) {
    if (isWorker(namespace.default) || typeof namespace.default === "function") {
      return { name: "default", value: namespace.default };
    }
    const name = ["main", "default"].find(isThere);
    if (name !== undefined) return { name, value: all[name] };
  } else if (isThere(exportName)) {
    return { name: exportName, value: all[exportName] };
  }

  const names = Object.keys(all);
  const wanted = exportName === undefined ? '"default" nor "main"' : `"${exportName}"`;
  throw new CliError(
    `Cannot run "${module}" as it exports ${
      exportName === undefined ? "neither" : "no"
    } ${wanted}: ${
      names.length === 0
        ? 'it exports nothing, write "export async function main()"'
        : `it exports ${names.map((name) => `"${name}"`).join(", ")}`
    }`,
  );
}

/** The exports of a module. Those of CommonJS may be in its default export only, which is then none of its own. */
function exportsOf(namespace: Record<string, unknown>): Record<string, unknown> {
  const { default: whole, ["module.exports"]: _, __esModule: __, ...named } = namespace;
  if (whole === undefined) return named;
  if (Object.prototype.toString.call(whole) !== "[object Object]" || isWorker(whole)) {
    return { ...named, default: whole };
  }
  const inside = whole as Record<string, unknown>;
  return { ...named, ...inside };
}

function isWorker(value: unknown): value is RunnableWorker {
  const { run, stop, entrypoint } = (value ?? {}) as Record<string, unknown>;
  return [run, stop, entrypoint].every((method) => typeof method === "function");
}

/** Finds the worker in what a factory gave. */
async function unwrap(made: unknown): Promise<MadeWorker | undefined> {
  if (isWorker(made)) return { pgq: made, cleanUp: () => Promise.resolve() };
  if (typeof made !== "object" || made === null) return undefined;

  const { next } = made as Partial<AsyncGenerator>;
  if (Symbol.asyncIterator in made && typeof next === "function") {
    const generator = made as AsyncGenerator;
    const { value, done } = await generator.next();
    if (done === true || !isWorker(value)) return undefined;
    return {
      pgq: value,
      async cleanUp() {
        // Not return(): it would pass over what follows the yield, unless that is in a finally block.
        const { done } = await generator.next();
        if (done !== true) await generator.return(undefined);
      },
    };
  }

  const holder = made as { pgq?: unknown } & Partial<AsyncDisposable>;
  if (isWorker(holder.pgq) && typeof holder[Symbol.asyncDispose] === "function") {
    return { pgq: holder.pgq, cleanUp: async () => await holder[Symbol.asyncDispose]?.() };
  }
  return undefined;
}
