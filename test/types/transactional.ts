/** What the type checker must know of transactional entrypoints, and what it must refuse. Compiled by `npm run check`, never run. */
import type pg from "pg";
import type { Sql, TransactionSql } from "postgres";
import {
  type Driver,
  type EntrypointOptions,
  fromNodePostgres,
  fromPostgresJs,
  getQueue,
  type Handler,
  type Job,
  openWorkerDriver,
  PgQueuer,
  task,
  type TransactionalHandler,
  type TransactionContext,
} from "../../mod.ts";
import { drain, runJob } from "../../src/testing/mod.ts";

/** Whether two types are the same, `any` being the same as nothing but itself. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true
  : false;

/** Does not compile unless the two types are the same. */
declare function same<A, B>(..._: Same<A, B> extends true ? [] : ["these types differ"]): void;

const transactional = { transactional: true } as const;

/** The handle is what the driver's client calls a transaction. */
export async function inferred(sql: Sql, pool: pg.Pool, other: Driver): Promise<void> {
  const own = new PgQueuer(await openWorkerDriver("postgresql://"));
  own.entrypoint("a", transactional, async (job, { tx, resources, signal }) => {
    same<typeof tx, TransactionSql>();
    same<typeof job, Job>();
    same<typeof resources, unknown>();
    same<typeof signal, AbortSignal>();
    await tx`update article set status = 'done' where id = ${job.id}`;
    await getQueue(tx).enqueue("b", null);
  });
  own.entrypoint("b", { transactional: true, concurrencyLimit: 2 }, (_, { tx }) => {
    same<typeof tx, TransactionSql>();
  });

  const js = new PgQueuer(fromPostgresJs(sql, { maxTransactions: 2 }));
  js.entrypoint("a", transactional, (_, { tx }) => same<typeof tx, TransactionSql>());

  const node = new PgQueuer(fromNodePostgres(pool), { resources: { sql } });
  node.entrypoint("a", transactional, async (_, { tx, resources }) => {
    same<typeof tx, pg.PoolClient>();
    same<typeof resources, { sql: Sql }>();
    await tx.query("select 1");
    await getQueue(tx).enqueue("b", null);
  });

  new PgQueuer(other).entrypoint("a", transactional, (_, { tx }) => {
    same<typeof tx, unknown>();
    // @ts-expect-error -- nobody has said what it is.
    getQueue(tx);
  });
  void drain(own);
  const any: PgQueuer = own;
  void any;
}

export function refused(pgq: PgQueuer<unknown, TransactionSql>, plain: PgQueuer): void {
  // @ts-expect-error -- without the option there is no transaction.
  pgq.entrypoint("a", (_, { tx }) => tx);
  // @ts-expect-error -- nor with others.
  pgq.entrypoint("b", { concurrencyLimit: 2 }, (_, { tx }) => tx);
  // @ts-expect-error -- nor where it is turned off.
  pgq.entrypoint("c", { transactional: false }, (_, { tx }) => tx);
  // @ts-expect-error -- what the handler gets must be known.
  pgq.entrypoint("d", { transactional: true as boolean }, () => {});
  pgq.entrypoint("e", transactional, (_, context) => {
    // @ts-expect-error -- it stays what it is.
    context.tx = pgq as never as TransactionSql;
    // @ts-expect-error -- a transaction ends with its handler.
    void context.tx.end();
  });
  // @ts-expect-error -- a schedule has no job to end.
  pgq.schedule("f", "@hourly", transactional, () => {});
  // @ts-expect-error -- what is not known of a worker is not invented.
  const invented: PgQueuer<unknown, TransactionSql> = plain;
  void invented;
}

/** Handlers in files of their own. */
export function apart(pgq: PgQueuer<{ mail: string }, TransactionSql>): void {
  const needsTx: TransactionalHandler<TransactionSql> = async (_, { tx }) => void await tx`select`;
  const needsBoth = (
    _: Job,
    { tx, resources }: TransactionContext<TransactionSql, { mail: string }>,
  ): void => void [tx, resources.mail];
  const needsNone: Handler = () => {};
  const needsPg: TransactionalHandler<pg.PoolClient> = () => {};
  pgq.entrypoint("a", transactional, needsTx);
  pgq.entrypoint("b", transactional, needsBoth);
  pgq.entrypoint("c", transactional, needsNone);
  // @ts-expect-error -- it needs a transaction.
  pgq.entrypoint("d", needsTx);
  // @ts-expect-error -- of another client.
  pgq.entrypoint("e", transactional, needsPg);
}

export function tasks(pgq: PgQueuer<{ mail: string }, TransactionSql>): void {
  const plain = task<{ id: number }>({ name: "plain" });
  pgq.register(plain, transactional, (value, job, { tx, resources }) => {
    same<typeof value, { id: number }>();
    same<typeof job, Job>();
    same<typeof tx, TransactionSql>();
    same<typeof resources, { mail: string }>();
  });
  // @ts-expect-error -- without the option there is no transaction.
  pgq.register(plain, (_, __, { tx }) => tx);
  // @ts-expect-error -- what the handler gets is said where it is registered.
  task({ name: "a", options: { transactional: true } });
  const options: EntrypointOptions = { concurrencyLimit: 1 };
  void options;
}

/** What a test calls a handler with. */
export function tested(
  job: Job,
  tx: TransactionSql,
  needsTx: TransactionalHandler<TransactionSql>,
  needsBoth: TransactionalHandler<TransactionSql, { mail: string }>,
): void {
  void runJob(needsTx, job, { tx });
  void runJob(needsTx, job, { tx, timeout: 5 });
  void runJob(needsBoth, job, { tx, resources: { mail: "a" } });
  // @ts-expect-error -- it needs a transaction.
  void runJob(needsTx, job);
  // @ts-expect-error -- and its resources.
  void runJob(needsBoth, job, { tx });
}
