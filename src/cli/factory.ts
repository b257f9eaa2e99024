import { shown } from "../validate.ts";
import { type FactoryContext, type HeldWorker, isWorker, workerIn } from "../worker_factory.ts";
import { CliError } from "./command.ts";
import { explainKnownError } from "./explain_error.ts";
import { type FactoryReference, locateModule } from "./factory_reference.ts";
import { importFactory, stackOf } from "./import_factory.ts";

const RIGHT_FORM = `Write it like this:

  import { openWorkerDriver, PgQueuer } from "pgqueuer";

  export async function main({ args, dsn, settings }) {
    const pgq = new PgQueuer(await openWorkerDriver(dsn), settings);
    pgq.entrypoint("send_welcome", async (job) => {});
    return pgq;
  }

or as "async function*" with "yield pgq" and what is to be done after the run,
or return an object with "pgq" and [Symbol.asyncDispose]().`;

/** What stands for a factory in a module. */
export interface LoadedFactory {
  /** Whether it can be called again, for another worker. */
  readonly again: boolean;
  /**
   * Makes a worker.
   *
   * @throws {CliError} If it throws, gives something else, or throws while it cleans up.
   */
  make(context: FactoryContext): Promise<HeldWorker>;
}

/**
 * Imports the module of a factory.
 *
 * @throws {CliError} If there is no such file or export, or it throws.
 */
export async function loadFactory(
  { module, exportName }: FactoryReference,
  cwd: string,
): Promise<LoadedFactory> {
  const namespace = await importFactory(locateModule(module, cwd), module);
  const { name, value } = findExport(namespace, module, exportName);
  const again = typeof value === "function";
  const what = `Cannot run "${module}" as its export "${name}"`;
  return {
    again,
    async make(context) {
      let made: unknown;
      let worker: HeldWorker | undefined;
      try {
        made = await (again ? value(context) : value);
        worker = await workerIn(made);
      } catch (error) {
        const known = explainKnownError(error);
        if (known !== undefined) throw new CliError(known, { cause: error });
        throw new CliError(`${what} throws:`, { cause: error, details: stackOf(error) });
      }
      if (worker !== undefined) return explained(worker);
      const wrong = `${what} ${again ? "gives" : "is"} ${shown(made)}: it must give a PgQueuer`;
      throw new CliError(wrong, { cause: new TypeError(wrong), details: RIGHT_FORM });
    },
  };
}

/** The same worker, whose clean-up says what it is where it fails. */
function explained(worker: HeldWorker): HeldWorker {
  return {
    pgq: worker.pgq,
    async [Symbol.asyncDispose]() {
      try {
        await worker[Symbol.asyncDispose]();
      } catch (error) {
        throw new CliError("Cannot clean up as the factory throws after the run:", {
          cause: error,
          details: stackOf(error),
        });
      }
    },
  };
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
