/** Jobs that one worker alone can take: they tell whether this very worker does. */
import { fromPostgresJs, Queries } from "../../mod.ts";
import { bytes } from "../support/queue.ts";
import type { Phase } from "./effects.ts";
import { pingOf, type Task } from "./kinds.ts";
import type { Kind } from "./plan.ts";
import type { Ping } from "./recovery.ts";
import type { Stage } from "./stage.ts";

/** Sends pings, and keeps account of them. */
export class Pinger {
  readonly pings: Ping[] = [];
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Enqueues a job that this worker alone can take. Gives its id. */
  async send(worker: number, after: Kind | null, task: Omit<Task, "tag"> = {}): Promise<number> {
    const payload = bytes(JSON.stringify({ tag: crypto.randomUUID(), ...task }));
    const { schema } = this.#stage;
    const sentAt = Date.now();
    // One that is sent twice, since its answer was lost, is dropped.
    const dedupeKey = crypto.randomUUID();
    const jobId = await this.#stage.control.run(async (sql) => {
      const queries = new Queries(fromPostgresJs(sql), { schema });
      const id = await queries.enqueue(pingOf(worker), payload, { priority: 100, dedupeKey });
      if (id !== null) return id;
      const rows = await sql`
        select id::int from ${sql(`${schema}.jobs`)} where dedupe_key = ${dedupeKey}`;
      return rows[0]!["id"] as number;
    });
    this.pings.push({ worker, jobId, after, sentAt });
    return jobId;
  }

  /** Whether a job is picked. */
  isPicked(jobId: number): Promise<boolean> {
    return this.#has("pgqueuer", "id", `${jobId} and status = 'picked'`);
  }

  /** Whether a job has ended. */
  async isGone(jobId: number): Promise<boolean> {
    return !await this.#has("pgqueuer", "id", `${jobId}`);
  }

  /** Whether a handler of the job has said so. */
  hasSaid(jobId: number, phase: Phase): Promise<boolean> {
    return this.#has("effects", "job_id", `${jobId} and phase = '${phase}'`);
  }

  /** How often the job was claimed after its lease had run out, and how many attempts were begun. */
  async livesOf(jobId: number): Promise<{ takeOvers: number; attempts: number }> {
    const { schema } = this.#stage;
    const rows = await this.#stage.control.run((sql) =>
      sql.unsafe(`
        select
          (select count(*)::int from ${schema}.audit where job_id = ${jobId}
            and (after->>'takeOvers')::int > (before->>'takeOvers')::int) as take_overs,
          (select count(*)::int from ${schema}.effects where job_id = ${jobId} and phase = 'begun') as attempts`)
    );
    return { takeOvers: rows[0]!["take_overs"], attempts: rows[0]!["attempts"] };
  }

  async #has(table: string, column: string, condition: string): Promise<boolean> {
    const rows = await this.#stage.control.run((sql) =>
      sql.unsafe(`select 1 from ${this.#stage.schema}.${table} where ${column} = ${condition}`)
    );
    return rows.length > 0;
  }
}
