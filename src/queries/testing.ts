import type { Executor } from "../driver.ts";
import type { Job, JobStatus } from "../job.ts";
import { textArray } from "../sql/array_literal.ts";
import type { Statements } from "../sql/render.ts";
import { decodeJob, type JobRow } from "./job_row.ts";

/** What tests ask of the queue. One method for each statement in `sql/queries/testing.sql`. */
export class TestingStore {
  readonly #executor: Executor;
  readonly #sql: Statements;

  constructor(executor: Executor, sql: Statements) {
    this.#executor = executor;
    this.#sql = sql;
  }

  /** Gives the newest rows of the queue by id: those of one status and of one entrypoint where these are given. */
  async list(
    status: JobStatus | null,
    entrypoint: string | null,
    limit: number | null,
  ): Promise<Job[]> {
    const rows = await this.#executor.query<JobRow>(this.#sql.get("find_jobs"), [
      status,
      entrypoint,
      limit,
    ]);
    return rows.map(decodeJob).reverse();
  }

  /** Makes deferred jobs ready. Gives how many. */
  async makeDue(entrypoints: readonly string[]): Promise<number> {
    const [row] = await this.#executor.query<{ count: number }>(this.#sql.get("make_due"), [
      textArray(entrypoints),
    ]);
    return row!.count;
  }
}
