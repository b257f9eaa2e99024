import type { Driver, Executor } from "../driver.ts";
import { SchemaError } from "../errors.ts";
import type { Schedule } from "../schedule.ts";
import type { Settings } from "../settings.ts";
import { scripts } from "../sql/generated.ts";
import { type StatementName, Statements } from "../sql/render.ts";
import { explained, sqlState } from "./database_error.ts";
import {
  type Catalog,
  catalogOf,
  type CatalogRow,
  type Difference,
  differencesOf,
} from "./schema_differences.ts";
import { signatureOf } from "./schema_parts.ts";
import { Upgrade } from "./upgrade.ts";
import { planUpgrade, type UpgradeStep } from "./upgrade_plan.ts";

/** What `install` did. */
export interface InstallResult {
  /** `"installed"`: there was nothing; `"upgraded"`: something was missing; `"unchanged"`: nothing was. */
  readonly outcome: "installed" | "upgraded" | "unchanged";
  /** What was missing, such as `column pgqueuer.slot`. Empty unless upgraded. */
  readonly added: readonly string[];
  /** What was there in another form, or in the way, such as `column pgqueuer.id as bigint`. Empty unless upgraded. */
  readonly changed: readonly string[];
}

interface Rights {
  readonly role: string;
  readonly database: string;
  readonly schema: string;
  readonly schema_exists: boolean;
  readonly may_use_schema: boolean;
  readonly may_create_in_schema: boolean;
  readonly may_create_schema: boolean;
}

/** The schema behind an executor, if it can run whole scripts: inside a transaction of the caller it may not. */
export function schemaOf(executor: Executor, settings: Settings, action: string): SchemaStore {
  if ("script" in executor) return new SchemaStore(executor as Driver, settings);
  const where = executor.inTransaction
    ? "inside a transaction as it takes several"
    : "with this client as it must be one that runs scripts";
  throw new TypeError(
    `Cannot ${action} ${where}: run "pgq ${action}", or use new Queries(fromPostgresJs(sql)) or new Queries(fromNodePostgres(pool))`,
  );
}

/** Creates, upgrades, checks and removes the tables. */
export class SchemaStore {
  readonly #driver: Driver;
  readonly #settings: Settings;
  readonly #sql: Statements;

  constructor(driver: Driver, settings: Settings) {
    this.#driver = driver;
    this.#settings = settings;
    this.#sql = new Statements(settings);
  }

  /** Creates the tables, or adds what older ones lack. Safe to call again, and from two processes at once. */
  async install(
    { createSchema, widenId = true }: { createSchema: boolean; widenId?: boolean },
  ): Promise<InstallResult> {
    try {
      return await this.#install(createSchema, widenId);
    } catch (error) {
      throw explained(error, "install", this.#settings);
    }
  }

  /** Removes the tables and all they hold. Gives the names of the tables that it removed. */
  async uninstall(): Promise<string[]> {
    const catalog = await this.#inspect();
    this.#refuseForeign(catalog, "uninstall");
    await this.#refuseUnowned("uninstall");
    await this.#transaction([this.#sql.render(scripts.uninstall)]);
    return [...catalog.tables.keys()].sort();
  }

  /** Lists what this version needs and the database lacks or has in another form, such as `index pgqueuer_ready_idx`. */
  async missing(): Promise<string[]> {
    return (await this.differences()).filter(({ weight }) => weight !== "advised")
      .map(({ part }) => part);
  }

  /** Lists all in which the database is not as this version makes it. */
  async differences(): Promise<Difference[]> {
    return differencesOf(await this.#inspect(), this.#settings);
  }

  /** Lists the steps that an upgrade would take, without any. */
  async plan(options: { widenId: boolean }): Promise<UpgradeStep[]> {
    const catalog = await this.#inspect();
    this.#refuseForeign(catalog, "upgrade");
    return planUpgrade(catalog, this.#settings, options);
  }

  /** Lists our objects that are there: tables, the function, the trigger and the type. */
  async present(): Promise<string[]> {
    const { tables, functions, triggers, typeKind } = await this.#inspect();
    return [
      ...[...tables.keys()].map((name) => `table ${name}`),
      ...[...functions.keys()].map((name) => `function ${name}`),
      ...[...triggers.keys()].map((name) => `trigger ${name}`),
      ...(typeKind === undefined ? [] : [`type ${this.#settings.queueStatusType}`]),
    ].sort();
  }

  /**
   * Throws unless a worker with these schedules can run. Gives the missing indexes, which cost speed and nothing else.
   *
   * @throws {SchemaError} If a table, column, label or grant is missing.
   */
  async checkForWorker(schedules: readonly Schedule[]): Promise<string[]> {
    const catalog = await this.#inspect();
    const { schema, role, may_use_schema, schema_exists } = await this.#rights();
    const { queueTable } = this.#settings;
    if (!catalog.tables.has(queueTable)) {
      const where = `schema "${schema}"${schema_exists ? "" : ", which does not exist"}`;
      throw new SchemaError(
        `Cannot start as table "${queueTable}" is missing in ${where}: run "pgq install"`,
      );
    }
    if (!may_use_schema) {
      throw new SchemaError(
        `Cannot start as role "${role}" may not use schema "${schema}": run "GRANT USAGE ON SCHEMA ${schema} TO ${role}"`,
      );
    }
    const differences = differencesOf(catalog, this.#settings);
    const fatal = differences.filter(({ weight }) => weight === "fatal");
    if (fatal.length > 0) {
      throw new SchemaError(
        `Cannot start as the schema is older than this version (missing: ${
          fatal.map(({ part }) => part).join(", ")
        }): run "${this.#command("upgrade")}"`,
      );
    }
    const needs = [schedules.length > 0, schedules.some(({ cleanOld }) => cleanOld)].map(String);
    const grants = await this.#query<{ name: string; privilege: string }>("missing_grants", needs);
    if (grants.length > 0) {
      const fix = grants.map(({ name, privilege }) => `GRANT ${privilege} ON ${name} TO ${role}`);
      throw new SchemaError(`Cannot start as role "${role}" lacks rights: run "${fix.join("; ")}"`);
    }
    return differences.map(({ part }) => part).filter((part) => /^index \S+$/.test(part));
  }

  /** A command line for these tables. */
  #command(name: string): string {
    const { schema, prefix } = this.#settings;
    return `pgq ${name}${schema === null ? "" : ` --schema ${schema}`}${
      prefix === "" ? "" : ` --prefix ${prefix}`
    }`;
  }

  async #install(createSchema: boolean, widenId: boolean): Promise<InstallResult> {
    const rights = await this.#rights();
    if (rights.schema === "") {
      throw new SchemaError(
        `Cannot install as the search path of role "${rights.role}" names no existing schema: name one with --schema`,
      );
    }
    const catalog = await this.#inspect();
    this.#refuseForeign(catalog, "install");
    const differences = differencesOf(catalog, this.#settings);
    const fresh = catalog.tables.size === 0 && catalog.typeKind === undefined;
    if (planUpgrade(catalog, this.#settings, { widenId }).length === 0) {
      return { outcome: "unchanged", added: [], changed: [] };
    }

    this.#refuseWithoutRights(rights, createSchema);
    if (fresh) await this.#create(rights.schema_exists ? [] : [this.#sql.get("create_schema")]);
    else {
      await this.#refuseUnowned("upgrade");
      await this.#upgrade(widenId);
    }

    const left = differencesOf(await this.#inspect(), this.#settings).filter(({ weight, part }) =>
      weight !== "advised" && (widenId || !part.endsWith(" as bigint"))
    );
    if (left.length > 0) {
      throw new SchemaError(
        `Cannot install as these could not be added: ${left.map(({ part }) => part).join(", ")}`,
      );
    }
    if (fresh) return { outcome: "installed", added: [], changed: [] };
    const mended = differences.filter(({ part }) => widenId || !part.endsWith(" as bigint"));
    const of = (isMissing: boolean): string[] =>
      mended.filter(({ state }) => (state === "missing") === isMissing).map(({ part }) => part);
    return { outcome: "upgraded", added: of(true), changed: of(false) };
  }

  async #upgrade(widenId: boolean): Promise<void> {
    if (this.#driver.session === undefined) {
      throw new TypeError(
        'Cannot upgrade with this driver as it must have session(): run "pgq upgrade"',
      );
    }
    await this.#driver.session((session) =>
      new Upgrade(session, this.#settings, { widenId }).run()
    );
  }

  async #create(first: readonly string[]): Promise<void> {
    const durability = this.#sql.get(`make_${this.#settings.durability}`);
    try {
      await this.#transaction([
        ...first,
        scripts.install,
        scripts.indexes,
        scripts.functions,
        scripts.enqueue,
        scripts.notify,
        ...(this.#settings.durability === "durable" ? [] : [durability]),
      ]);
    } catch (error) {
      // Another session has installed between our look and our lock: what is left is compared afterwards.
      if (!["42P06", "42P07", "42710", "23505"].includes(sqlState(error) ?? "")) throw error;
    }
  }

  /** Runs texts as one transaction, after the sessions that do the same. */
  #transaction(texts: readonly string[]): Promise<void> {
    const all = [this.#sql.get("lock_schema"), ...texts.map((text) => this.#sql.render(text))];
    return this.#driver.script(all.map((text) => text.replace(/;?\s*$/, ";")).join("\n"));
  }

  /** Throws if a relation or type has one of our names and is something else. */
  #refuseForeign(catalog: Catalog, action: string): void {
    const refuse = (what: string, why: string): never => {
      throw new SchemaError(
        `Cannot ${action} as ${what} is not ours (${why}): rename it, or give ours other names with --prefix or --schema`,
      );
    };
    for (const [table, kind] of catalog.tables) {
      if (kind !== "r" && kind !== "p") refuse(`"${table}"`, "it is not a table");
      const lacking = signatureOf(table, this.#settings).filter((column) =>
        !catalog.columns.has(`${table}.${column}`)
      );
      if (lacking.length > 0) refuse(`table "${table}"`, `it has no column ${lacking.join(", ")}`);
    }
    for (const [name, detail] of catalog.functions) {
      if (detail === "foreign") refuse(`function "${name}"`, "calls would be ambiguous");
    }
    const { queueStatusType } = this.#settings;
    if (catalog.typeKind === undefined) return;
    if (
      catalog.typeKind !== "e" || !catalog.labels.has("queued") || !catalog.labels.has("picked")
    ) {
      refuse(`type "${queueStatusType}"`, "it is no enum with the labels queued and picked");
    }
  }

  #refuseWithoutRights(rights: Rights, createSchema: boolean): void {
    const { role, schema, database } = rights;
    if (!rights.schema_exists) {
      if (!createSchema) {
        throw new SchemaError(
          `Cannot install as schema "${schema}" does not exist: run "CREATE SCHEMA ${schema}"`,
        );
      }
      if (!rights.may_create_schema) {
        throw new SchemaError(
          `Cannot install as schema "${schema}" does not exist and role "${role}" may not create it: run "GRANT CREATE ON DATABASE ${database} TO ${role}"`,
        );
      }
    } else if (!rights.may_create_in_schema || !rights.may_use_schema) {
      throw new SchemaError(
        `Cannot install as role "${role}" may not create tables in schema "${schema}": run "GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${role}"`,
      );
    }
  }

  async #refuseUnowned(action: string): Promise<void> {
    const [table] = await this.#query<{ name: string; owner: string }>("ownership");
    if (table === undefined) return;
    const { role } = await this.#rights();
    throw new SchemaError(
      `Cannot ${action} as table "${table.name}" belongs to role "${table.owner}": run it as that role, or run "GRANT ${table.owner} TO ${role}"`,
    );
  }

  async #rights(): Promise<Rights> {
    const [rights] = await this.#query<Rights>("rights");
    return rights!;
  }

  async #inspect(): Promise<Catalog> {
    return catalogOf(await this.#query<CatalogRow>("inspect"), this.#settings);
  }

  #query<Row>(name: StatementName, parameters: readonly string[] = []): Promise<Row[]> {
    return this.#driver.query<Row>(this.#sql.get(name), parameters);
  }
}
