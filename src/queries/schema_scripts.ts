/** Whole scripts for `psql`, or for the migration tool of an application: what the commands send, without a database. */
import type { Durability, Settings } from "../settings.ts";
import { scripts, upgradeSteps } from "../sql/generated.ts";
import { Statements } from "../sql/render.ts";

/** SQL that creates everything where there is nothing. */
export function installScript(settings: Settings, options: { createSchema: boolean }): string {
  const sql = new Statements(settings);
  return script(sql, [
    ...(settings.schema !== null && options.createSchema ? [sql.get("create_schema")] : []),
    scripts.install,
    scripts.indexes,
    scripts.functions,
    scripts.enqueue,
    scripts.notify,
    ...(settings.durability === "durable" ? [] : [sql.get(`make_${settings.durability}`)]),
  ]);
}

/** SQL that brings tables of an older release up to date, and changes nothing where they are. */
export function upgradeScript(settings: Settings): string {
  const sql = new Statements(settings);
  return script(sql, [
    sql.get("add_labels"),
    scripts.install,
    ...Object.values(upgradeSteps),
    scripts.indexes,
    scripts.functions,
    scripts.enqueue,
    scripts.notify,
  ]);
}

/** SQL that removes everything. */
export function uninstallScript(settings: Settings): string {
  return script(new Statements(settings), [scripts.uninstall]);
}

/** SQL that changes which tables survive a crash of the server. */
export function durabilityScript(settings: Settings, level: Durability): string {
  const sql = new Statements(settings);
  return script(sql, [sql.get(`make_${level}`)]);
}

/** SQL that sets how autovacuum treats the tables, or takes that back. */
export function autovacuumScript(settings: Settings, options: { rollback: boolean }): string {
  const sql = new Statements(settings);
  return script(sql, [sql.get(options.rollback ? "reset_autovacuum" : "tune_autovacuum")]);
}

function script(sql: Statements, parts: readonly string[]): string {
  return parts.map((text) => sql.render(text).trim().replace(/;?$/, ";")).join("\n\n");
}
