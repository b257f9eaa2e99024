/** What handlers write about what they do, past the proxies, so that it can be compared with what the queue says. */
import type { Job } from "../../mod.ts";
import { SteadyClient } from "./steady.ts";

/** What a handler can say. */
export type Phase = "begun" | "done" | "failed" | "aborted";

/** The table of effects. Its clock is the database's, as that of all else. */
export function createEffects(schema: string): string {
  return `
    create table ${schema}.effects (
      attempt uuid not null,
      job_id bigint not null,
      phase text not null,
      worker text not null,
      manager uuid not null,
      attempts int not null,
      reason text,
      at timestamptz not null default clock_timestamp(),
      primary key (attempt, phase)
    )`;
}

/** Writes effects of one worker process. */
export class Effects {
  readonly #client: SteadyClient;
  readonly #table: string;
  readonly #worker: string;

  /** @param worker Name of the process, the same as in the audit. */
  constructor(dsn: string, schema: string, worker: string) {
    this.#client = new SteadyClient(dsn, `effects ${worker}`, 1);
    this.#table = `${schema}.effects`;
    this.#worker = worker;
  }

  /** Tells how far an attempt is. Resolves when it is written. */
  async write(
    attempt: string,
    job: Job,
    phase: Phase,
    reason: string | null = null,
  ): Promise<void> {
    await this.#client.run((sql) =>
      sql`
        insert into ${sql(this.#table)} (attempt, job_id, phase, worker, manager, attempts, reason)
        values (${attempt}, ${job.id}, ${phase}, ${this.#worker}, ${job.queueManagerId}, ${job.attempts}, ${reason})
        on conflict do nothing`
    );
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
