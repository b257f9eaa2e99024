/** All that is known about a run once it is over: what the checks look at. */
import type { AuditRow, RowState } from "./audit.ts";
import type { Phase } from "./effects.ts";
import type { End, Task } from "./kinds.ts";
import type { LedgerEntry } from "./producer.ts";
import type { Disturbances, Ping } from "./recovery.ts";
import type { Stage } from "./stage.ts";

/** A row of the library's log. */
export interface LogEntry {
  readonly status: "queued" | "picked" | End | "deleted";
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Whether it tells of an attempt that failed. */
  readonly traceback: boolean;
}

/** What a handler said. */
export interface Effect {
  readonly attempt: string;
  readonly phase: Phase;
  readonly worker: string;
  readonly manager: string;
  readonly attempts: number;
  readonly reason: string | null;
  readonly at: number;
}

/** Everything about one job, each list in the order of time. */
export interface Story {
  readonly id: number;
  readonly entrypoint: string;
  readonly dedupeKey: string | null;
  readonly task: Task;
  /** Changes of its row that its log tells of: not the renewals of its lease. */
  readonly changes: readonly AuditRow[];
  /** Writes that left its state as it was. */
  readonly touches: readonly AuditRow[];
  readonly log: readonly LogEntry[];
  readonly effects: readonly Effect[];
  /** Its row, if it is still there. */
  readonly row: string | null;
}

/** What the checks look at. */
export interface Evidence {
  readonly stories: readonly Story[];
  /** Job ids by the tag of their transaction, of those that committed. */
  readonly markers: ReadonlyMap<string, readonly number[]>;
  readonly ledger: readonly LedgerEntry[];
  readonly disturbances: Disturbances;
  readonly pings: readonly Ping[];
  readonly workers: number;
  /** When each worker process ended, by its name. */
  readonly endedAt: ReadonlyMap<string, number>;
  /** Whose connection a queue manager claimed on. */
  readonly owners: ReadonlyMap<string, string>;
}

/** Whether a write changed who may run the job. */
function isChange({ before, after }: AuditRow): boolean {
  return !before || !after || before.status !== after.status || before.manager !== after.manager ||
    before.attempts !== after.attempts || before.takeOvers !== after.takeOvers;
}

/** Whether the change is a claim, be it of a queued job or of one whose lease has run out. */
export function isClaim({ before, after }: AuditRow): boolean {
  return after?.status === "picked" && before?.manager !== after.manager;
}

/** Reads what the tables say. */
export async function readEvidence(
  stage: Stage,
  rest: Pick<Evidence, "ledger" | "disturbances" | "pings" | "workers" | "endedAt">,
): Promise<Evidence> {
  const { schema } = stage;
  const [jobs, audit, log, effects, rows, markers] = await Promise.all([
    read<{ id: string; entrypoint: string; key: string | null; task: Task }>(
      stage,
      `select id, entrypoint, dedupe_key as key, task from ${schema}.jobs order by id`,
    ),
    read<
      { seq: string; at: number; actor: string; id: string; before: RowState; after: RowState }
    >(
      stage,
      `select seq, ${
        ms("at")
      }, actor, job_id as id, before, after from ${schema}.audit order by seq`,
    ),
    read<{ id: string; status: LogEntry["status"]; at: number; traceback: boolean }>(
      stage,
      `select job_id as id, status::text, ${
        ms("created")
      }, traceback is not null as traceback from ${schema}.pgqueuer_log as log order by log.id`,
    ),
    read<Effect & { id: string }>(
      stage,
      `select job_id as id, attempt, phase, worker, manager, attempts, reason, ${ms("at")}
       from ${schema}.effects order by at`,
    ),
    read<{ id: string; status: string }>(stage, `select id, status::text from ${schema}.pgqueuer`),
    read<{ tag: string; ids: string }>(
      stage,
      `select tag, array_to_string(job_ids, ',') as ids from ${schema}.markers`,
    ),
  ]);
  const stories = new Map(jobs.map((job) => [job.id, {
    id: Number(job.id),
    entrypoint: job.entrypoint,
    dedupeKey: job.key,
    task: job.task,
    changes: [] as AuditRow[],
    touches: [] as AuditRow[],
    log: [] as LogEntry[],
    effects: [] as Effect[],
    row: null as string | null,
  }]));
  const owners = new Map<string, string>();
  for (const { id, seq, ...row } of audit) {
    const change: AuditRow = { ...row, seq: Number(seq), jobId: Number(id) };
    const story = stories.get(id)!;
    (isChange(change) ? story.changes : story.touches).push(change);
    if (isClaim(change)) owners.set(change.after!.manager!, change.actor);
  }
  for (const { id, ...entry } of log) stories.get(id)?.log.push(entry);
  for (const { id, ...effect } of effects) stories.get(id)!.effects.push(effect);
  for (const { id, status } of rows) stories.get(id)!.row = status;
  return {
    ...rest,
    stories: [...stories.values()],
    markers: new Map(
      markers.map(({ tag, ids }) => [tag, ids.split(",").filter(Boolean).map(Number)]),
    ),
    owners,
  };
}

async function read<Row>(stage: Stage, text: string): Promise<Row[]> {
  const rows = await stage.control.run((sql) => sql.unsafe(text));
  return Array.from(rows) as unknown as Row[];
}

function ms(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::float8 as at`;
}

/** One line for each thing that happened to a job, for whoever has to find out why. */
export function tell(story: Story): string {
  const start = story.changes[0]?.at ?? story.log[0]?.at ?? 0;
  const lines = [
    ...story.changes.map(({ at, actor, before, after }) => ({
      at,
      text: `${before?.status ?? "nothing"} → ${after?.status ?? "gone"} by ${actor}, manager ${
        short((after ?? before)?.manager)
      }, attempts ${(after ?? before)?.attempts}`,
    })),
    ...story.log.map(({ at, status, traceback }) => ({
      at,
      text: `log: ${status}${traceback ? " with a traceback" : ""}`,
    })),
    ...story.effects.map(({ at, phase, worker, manager, attempt, reason }) => ({
      at,
      text: `attempt ${short(attempt)} ${phase} in ${worker}, manager ${short(manager)} ${
        reason ?? ""
      }`,
    })),
    ...lastTouch(story),
  ].sort((a, b) => a.at - b.at);
  const { tag: _, ...task } = story.task;
  const head = `job ${story.id} of ${story.entrypoint} ${JSON.stringify(task)}, row ${
    story.row ?? "gone"
  }`;
  return [head, ...lines.map(({ at, text }) => `  +${(at - start).toFixed(0)} ms ${text}`)]
    .join("\n");
}

function lastTouch({ touches }: Story): { at: number; text: string }[] {
  const last = touches.at(-1);
  return last ? [{ at: last.at, text: `last of ${touches.length} renewals by ${last.actor}` }] : [];
}

function short(id: string | null | undefined): string {
  return id ? id.slice(0, 4) : "none";
}
