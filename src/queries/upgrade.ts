import type { Session } from "../driver.ts";
import { PgQueuerError } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { Statements } from "../sql/render.ts";
import { sqlState } from "./database_error.ts";
import { catalogOf, type CatalogRow } from "./schema_differences.ts";
import { type PlanOptions, planUpgrade, type UpgradeStep } from "./upgrade_plan.ts";

/** One try to get a lock may hold up those who come after us for so long. */
const LOCK_TIMEOUT_MS = 500;
/** Pause between two tries: all who were held up get through meanwhile. */
const PAUSE_MS = 500;
/** How long to go on trying, for each step and for the lock of upgrades. */
const PATIENCE_MS = 60_000;
/** How often to let another upgrade go first, which waits in the way of an index. */
const MOST_YIELDS = 5;

/** The session, and what it had set before. */
interface SessionSettings {
  readonly pid: number;
  readonly lock_timeout: string;
  readonly statement_timeout: string;
  readonly client_min_messages: string;
}

/**
 * Brings the tables up to date while jobs run: one session at a time, one step at a time, each a transaction of its own. A
 * step that meets a lock gives up after half a second and tries again, so that nobody queues behind it for longer. Whatever
 * ends it, what it has done stays, and the next run goes on from there.
 */
export class Upgrade {
  readonly #session: Session;
  readonly #settings: Settings;
  readonly #sql: Statements;
  readonly #options: PlanOptions;
  /** Of the lock that upgrades of the Python project take too. */
  readonly #sharedKey: number;
  /** Of the lock that only ours take, and hold to the end. */
  readonly #ownKey: number;

  constructor(session: Session, settings: Settings, options: PlanOptions) {
    this.#session = session;
    this.#settings = settings;
    this.#sql = new Statements(settings);
    this.#options = options;
    this.#sharedKey = upgradeLockKey(settings);
    this.#ownKey = 2 ** 32 + this.#sharedKey;
  }

  /** Runs every step that is needed, and gives those that it has run. */
  async run(): Promise<UpgradeStep[]> {
    const [before] = await this.#session.query<SessionSettings>(
      this.#sql.get("session_settings"),
      [],
    );
    await this.#lock(this.#ownKey);
    await this.#lock(this.#sharedKey);
    try {
      return await this.#steps(before!);
    } finally {
      // On a connection that is lost they are lost too.
      await this.#set(before!).catch(() => {});
      await this.#unlock(this.#sharedKey).catch(() => {});
      await this.#unlock(this.#ownKey).catch(() => {});
    }
  }

  async #steps(before: SessionSettings): Promise<UpgradeStep[]> {
    const done: UpgradeStep[] = [];
    let yields = 0;
    // A plan is made again when another upgrade has come in between, or a step has uncovered the next.
    while (true) {
      const plan = await this.#plan();
      const repeated = plan.find(({ sql }) => done.some((step) => step.sql === sql));
      if (plan.length === 0 || repeated !== undefined && yields === 0) return done;
      try {
        for (const step of plan) {
          await this.#step(step, before);
          done.push(step);
        }
        yields = 0;
      } catch (error) {
        // A statement of another upgrade that waits for our table, and that a concurrent build waits for: one has to end.
        if (sqlState(error) !== "40P01" || ++yields > MOST_YIELDS) throw error;
        await pause();
      }
    }
  }

  async #plan(): Promise<UpgradeStep[]> {
    const rows = await this.#session.query<CatalogRow>(this.#sql.get("inspect"), []);
    return planUpgrade(catalogOf(rows, this.#settings), this.#settings, this.#options);
  }

  /**
   * Runs one step. A concurrent build waits for every statement that is older than it, so also for one of the Python project
   * that waits for the shared lock: it is let go meanwhile.
   */
  async #step(step: UpgradeStep, before: SessionSettings): Promise<void> {
    if (!step.sql.includes(" CONCURRENTLY ")) {
      return await this.#send(step, LOCK_TIMEOUT_MS, before);
    }
    await this.#unlock(this.#sharedKey);
    try {
      // It holds nobody up, however long it waits.
      await this.#send(step, 0, before);
    } finally {
      await this.#lock(this.#sharedKey);
    }
  }

  async #send(step: UpgradeStep, lockTimeout: number, before: SessionSettings): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (true) {
      const pid = await this.#set({
        lock_timeout: String(lockTimeout),
        statement_timeout: "0",
        client_min_messages: "warning",
      });
      if (pid !== before.pid) {
        throw new PgQueuerError(
          'Cannot go on with the upgrade as its connection was lost: run "pgq upgrade" again',
        );
      }
      try {
        return await this.#session.script(step.sql);
      } catch (error) {
        if (sqlState(error) !== "55P03") throw error;
        if (performance.now() > end) throw await this.#heldUp(step, error);
        await pause();
      }
    }
  }

  async #heldUp({ what, on }: UpgradeStep, cause: unknown): Promise<PgQueuerError> {
    const holders = await this.#session.query<{ pid: number; name: string; state: string }>(
      this.#sql.get("lock_holders"),
      [],
    );
    const who = holders.map(({ pid, name, state }) => `${pid} (${name}, ${state})`).join(", ");
    return new PgQueuerError(
      `Cannot go on with the upgrade (${what}) as ${on ?? "a table"} was locked for ${
        PATIENCE_MS / 1_000
      } s by others: ${who || "they are gone now"}; what is done stays, run "pgq upgrade" again`,
      { cause },
    );
  }

  async #set(
    { lock_timeout, statement_timeout, client_min_messages }: Omit<SessionSettings, "pid">,
  ): Promise<number> {
    const [row] = await this.#session.query<{ pid: number }>(
      this.#sql.get("set_session"),
      [lock_timeout, statement_timeout, client_min_messages],
    );
    return row!.pid;
  }

  async #unlock(key: number): Promise<void> {
    await this.#session.query(this.#sql.get("drop_upgrade_lock"), [key]);
  }

  /** By many short tries: a statement that waits would be in the way of every concurrent build. */
  async #lock(key: number): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (true) {
      const [row] = await this.#session.query<{ taken: boolean }>(
        this.#sql.get("take_upgrade_lock"),
        [key],
      );
      if (row!.taken) return;
      if (performance.now() > end) {
        throw new PgQueuerError(
          `Cannot upgrade as another upgrade of these tables has run for ${
            PATIENCE_MS / 1_000
          } s: wait for its end, then run "pgq upgrade" again`,
        );
      }
      await pause();
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

/** The key of the lock that the Python project's upgrade takes too: the CRC-32 of the queue table's qualified name. */
export function upgradeLockKey({ schema, queueTable }: Settings): number {
  const name = schema === null ? queueTable : `${schema}.${queueTable}`;
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(name)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
