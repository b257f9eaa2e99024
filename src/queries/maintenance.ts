import type { Driver } from "../driver.ts";
import { PgQueuerError } from "../errors.ts";
import type { Durability, Settings } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import { explained, sqlState } from "./database_error.ts";
import { autovacuumScript, durabilityScript } from "./schema_scripts.ts";

/** Changes how PostgreSQL keeps the tables. Waits a moment for their locks, and gives up then: jobs come first. */
export class Maintenance {
  readonly #driver: Driver;
  readonly #settings: Settings;

  constructor(driver: Driver, settings: Settings) {
    this.#driver = driver;
    this.#settings = settings;
  }

  /** Says which tables survive a crash of the server. Rewrites those that change, under ACCESS EXCLUSIVE. */
  async setDurability(level: Durability): Promise<void> {
    await this.#run("change durability", durabilityScript(this.#settings, level));
  }

  /** Sets how autovacuum treats the tables, or takes that back. */
  async tuneAutovacuum(options: { rollback: boolean }): Promise<void> {
    await this.#run("change autovacuum", autovacuumScript(this.#settings, options));
  }

  async #run(action: string, script: string): Promise<void> {
    const briefly = new Statements(this.#settings).get("wait_briefly");
    try {
      await this.#driver.script(`${briefly};\n${script}`);
    } catch (error) {
      if (sqlState(error) !== "55P03") throw explained(error, action, this.#settings);
      throw new PgQueuerError(
        `Cannot ${action} as another session holds a lock on the tables: nothing was changed, try again in a moment`,
        { cause: error },
      );
    }
  }
}
