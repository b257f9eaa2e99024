/**
 * A trigger that writes down every change of a job, and which connection made it: the history that the promises are
 * checked against. It is part of the change's own transaction, so it tells what was committed and nothing else.
 */

/** One change of a job's row. */
export interface AuditRow {
  readonly seq: number;
  /** Milliseconds since 1970 by the database's clock, when the row was changed and its lock was held. */
  readonly at: number;
  /** `application_name` of the connection. */
  readonly actor: string;
  readonly jobId: number;
  /** `null` for the insert. */
  readonly before: RowState | null;
  /** `null` for the delete. */
  readonly after: RowState | null;
}

/** What the audit keeps of a row. */
export interface RowState {
  readonly status: "queued" | "picked" | "failed";
  readonly manager: string | null;
  readonly heartbeat: number;
  readonly due: number;
  readonly attempts: number;
  readonly slot: number | null;
  readonly takeOvers: number;
}

const STATE = (row: string): string => `
  jsonb_build_object(
    'status', ${row}.status, 'manager', ${row}.queue_manager_id, 'attempts', ${row}.attempts, 'slot', ${row}.slot,
    'heartbeat', extract(epoch from ${row}.heartbeat) * 1000, 'due', extract(epoch from ${row}.execute_after) * 1000,
    'takeOvers', ${row}.take_overs
  )`;

/** Makes the tables of the harness and its trigger on the queue. `jobs` keeps what a job was told when it was enqueued. */
export function createAudit(schema: string): string {
  return `
    create table ${schema}.audit (
      seq bigserial primary key,
      at timestamptz not null default clock_timestamp(),
      actor text not null default current_setting('application_name'),
      job_id bigint not null,
      before jsonb,
      after jsonb
    );
    create table ${schema}.jobs (
      id bigint primary key,
      entrypoint text not null,
      dedupe_key text,
      task jsonb not null
    );
    -- Jobs of calls that commit: written in the same transaction.
    create table ${schema}.markers (tag text primary key, job_ids bigint[] not null);

    create function ${schema}.audit() returns trigger as $$
    begin
      if tg_op = 'INSERT' then
        insert into ${schema}.jobs values
          (new.id, new.entrypoint, new.dedupe_key, convert_from(new.payload, 'UTF8')::jsonb);
        insert into ${schema}.audit (job_id, after) values (new.id, ${STATE("new")});
      elsif tg_op = 'UPDATE' then
        insert into ${schema}.audit (job_id, before, after)
        values (new.id, ${STATE("old")}, ${STATE("new")});
      else
        insert into ${schema}.audit (job_id, before) values (old.id, ${STATE("old")});
      end if;
      return null;
    end
    $$ language plpgsql;

    create trigger audit after insert or update or delete on ${schema}.pgqueuer
    for each row execute function ${schema}.audit()`;
}
