import type { Executor } from "../driver.ts";
import type { Statements } from "../sql/render.ts";

/** What the busy sessions of an application do at one moment. */
export interface BusySessions {
  readonly computing: number;
  /** They wait for the server's log to be on disk. */
  readonly committing: number;
  readonly locked: number;
  /** They wait for the disk for another reason. */
  readonly reading: number;
}

/** What `pgq bench` asks of a server. One method for each statement in `sql/queries/bench.sql`. */
export class BenchStore {
  readonly #executor: Executor;
  readonly #sql: Statements;

  constructor(executor: Executor, sql: Statements) {
    this.#executor = executor;
    this.#sql = sql;
  }

  /** The server's version, such as `18.4`. */
  async version(): Promise<string> {
    const text = this.#sql.get("bench_server");
    const [row] = await this.#executor.query<{ version: string }>(text, []);
    return row!.version.split(" ")[0]!;
  }

  /** Asks for nothing. */
  async ping(): Promise<void> {
    await this.#executor.query(this.#sql.get("ping"), []);
  }

  /** Writes a row and commits it. */
  async write(name: string): Promise<void> {
    await this.#executor.query(this.#sql.get("bench_write"), [name]);
  }

  /** Says what the busy sessions of an application do. */
  async sessions(application: string): Promise<BusySessions> {
    const text = this.#sql.get("bench_sessions");
    const [row] = await this.#executor.query<BusySessions>(text, [application]);
    return row!;
  }

  /** Drops the schema, once it is empty. */
  async dropSchema(): Promise<void> {
    await this.#executor.query(this.#sql.get("bench_drop"), []);
  }
}
