/** A transactional entrypoint whose effects are rows, so that a test can count them. */
import type { PgQueuer } from "../../mod.ts";
import { getQueue } from "../../mod.ts";
import { type TestQueue, text } from "./queue.ts";

/** Of the lock that a commit waits for while a test has it. */
export const GATE = 20_261_128;

/** Makes the tables: each row of an effect has its commit wait for the {@linkcode GATE}. */
export async function createEffects({ sql, names }: TestQueue): Promise<void> {
  await sql.unsafe(`
    create table ${names.schema}.effects (job_id bigint, pid int default pg_backend_pid());
    create table ${names.schema}.go ();
    create function ${names.schema}.wait_for_gate() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock_shared(${GATE}); return null; end';
    create constraint trigger wait_for_gate after insert on ${names.schema}.effects
      deferrable initially deferred for each row execute procedure ${names.schema}.wait_for_gate();
  `);
}

/** Runs a statement on a transaction of whichever client. */
export async function send(tx: unknown, statement: string): Promise<void> {
  const { unsafe, query } = tx as Record<string, (text: string) => Promise<unknown>>;
  await (unsafe ? unsafe(statement) : query!.call(tx, statement));
}

/**
 * Registers "effect": writes a row and enqueues a job "chained", then takes as many milliseconds as the payload says, or
 * waits for `go` if that is "go". Calls `started` first.
 */
export function registerEffect(
  pgq: PgQueuer,
  names: TestQueue["names"],
  { started, go }: { started?: () => void; go?: () => Promise<unknown> } = {},
): void {
  pgq.entrypoint("effect", { transactional: true, maxTakeOvers: 1_000 }, async (job, { tx }) => {
    started?.();
    await send(tx, `insert into ${names.schema}.effects (job_id) values (${job.id})`);
    await getQueue(tx as never, names).enqueue("chained", job.payload);
    if (text(job.payload) === "go") await go?.();
    else await new Promise((resolve) => setTimeout(resolve, Number(text(job.payload))));
  });
}

/** How often each job has had its effect, by id, and how many jobs it has chained. */
export async function countEffects(
  { sql, names, table }: TestQueue,
): Promise<{ effects: Map<number, number>; chained: number }> {
  const rows = await sql`
    select job_id::int as id, count(*)::int as times from ${sql(names.schema)}.effects
    group by job_id order by job_id`;
  const [chained] = await sql`
    select count(*)::int as jobs from ${sql(table)} where entrypoint = 'chained'`;
  return {
    effects: new Map(rows.map(({ id, times }) => [id, times])),
    chained: chained!["jobs"],
  };
}

/** Sessions that are about to commit an effect and wait for the gate. */
export async function atTheGate({ sql }: TestQueue): Promise<number[]> {
  const rows = await sql`
    select pid from pg_locks where locktype = 'advisory' and objid = ${GATE} and not granted`;
  return rows.map(({ pid }) => pid);
}
