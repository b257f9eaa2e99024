/** What the type checker must know of `resources`, and what it must refuse. Compiled by `npm run check`, never run. */
import type { Sql } from "postgres";
import {
  type Driver,
  type Handler,
  type Job,
  type JobContext,
  PgQueuer,
  type PgQueuerOptions,
  runWorker,
  type ScheduleContext,
  type ScheduleHandler,
} from "../../mod.ts";
import { runJob } from "../../src/testing/mod.ts";

/** Whether two types are the same, `any` being the same as nothing but itself. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true
  : false;

/** Does not compile unless the two types are the same. */
declare function same<A, B>(..._: Same<A, B> extends true ? [] : ["these types differ"]): void;

interface Mail {
  send(to: string): Promise<void>;
}

interface Shared {
  readonly sql: Sql;
  readonly mail: Mail;
}

declare const driver: Driver;
declare const shared: Shared;

export function inferred(): void {
  const pgq = new PgQueuer(driver, { resources: shared, schema: "jobs", logger: console });
  same<typeof pgq, PgQueuer<Shared>>();
  same<typeof pgq.resources, Shared>();

  pgq.entrypoint("a", async (job, { resources, signal }) => {
    same<typeof job, Job>();
    same<typeof resources, Shared>();
    same<typeof signal, AbortSignal>();
    await resources.mail.send("a@example.com");
  });
  pgq.entrypoint("b", { concurrencyLimit: 1 }, async (_, { resources }) => {
    same<typeof resources.sql, Sql>();
    await resources.sql`select 1`;
  });
  pgq.schedule("c", "@hourly", (_, { resources }) => same<typeof resources, Shared>());
  pgq.schedule("d", "@hourly", { timeZone: "UTC" }, async ({ due }, { resources: { mail } }) => {
    same<typeof due, Date>();
    await mail.send("d@example.com");
  });

  // @ts-expect-error There is no such resource.
  pgq.entrypoint("e", (_, { resources }) => resources.cache);
  // @ts-expect-error A schedule's handler knows the type too.
  pgq.schedule("f", "@hourly", (_, { resources }) => resources.cache);
  // @ts-expect-error With options the same.
  pgq.schedule("g", "@hourly", {}, (_, { resources }) => resources.cache);
  pgq.entrypoint("h", (_, context) => {
    // @ts-expect-error One handler must not take a resource away from the others.
    context.resources = shared;
  });
  // @ts-expect-error Nor may somebody else.
  pgq.resources = shared;
}

/** One that is shared as it stands, and a function at that: no mapped type may come between. */
export function single(sql: Sql): void {
  const pgq = new PgQueuer(driver, { resources: sql });
  pgq.entrypoint("a", async (_, { resources }) => {
    await resources`select 1`;
  });
}

export function withoutResources(options: PgQueuerOptions): void {
  same<JobContext, JobContext<unknown>>();
  same<ScheduleContext, ScheduleContext<unknown>>();
  same<Handler, Handler<unknown>>();
  same<ScheduleHandler, ScheduleHandler<unknown>>();
  for (const pgq of [new PgQueuer(driver), new PgQueuer(driver, { prefix: "my_" })]) {
    same<typeof pgq, PgQueuer>();
    same<typeof pgq, PgQueuer<unknown>>();
    pgq.entrypoint("a", (_, { resources }) => {
      same<typeof resources, unknown>();
      // @ts-expect-error Nobody has said what they are.
      return resources.sql;
    });
  }
  const fromOptions = new PgQueuer(driver, options);
  same<typeof fromOptions, PgQueuer>();
  // @ts-expect-error There is no such option.
  new PgQueuer(driver, { resource: shared });
  // @ts-expect-error A driver is needed all the same.
  new PgQueuer(undefined, { resources: shared });
}

export function named(sql: Sql): void {
  new PgQueuer<Shared>(driver, { resources: shared }).entrypoint("a", ({ id }, { resources }) => {
    same<typeof id, number>();
    same<typeof resources, Shared>();
  });
  // @ts-expect-error A type without a value: handlers would find nothing there.
  new PgQueuer<Shared>(driver);
  // @ts-expect-error The same with other options.
  new PgQueuer<Shared>(driver, { schema: "jobs" });
  // @ts-expect-error A resource is missing.
  new PgQueuer<Shared>(driver, { resources: { sql } });
}

/** Handlers in files of their own. */
export function apart(): void {
  const onJob: Handler<Shared> = async (_, { resources }) => await resources.mail.send("a@b.c");
  const onFire: ScheduleHandler<{ mail: Mail }> = (_, { resources }) =>
    resources.mail.send("a@b.c");
  const needsNone: Handler = (_, { log }) => log.info("done");
  const needsOther: Handler<{ cache: Map<string, string> }> = () => {};
  same<Parameters<typeof onJob>[1], JobContext<Shared>>();
  same<Parameters<typeof onFire>[1], ScheduleContext<{ mail: Mail }>>();

  const pgq = new PgQueuer(driver, { resources: shared });
  pgq.entrypoint("a", onJob);
  // It needs less than there is.
  pgq.schedule("b", "@hourly", onFire);
  pgq.entrypoint("c", needsNone);
  new PgQueuer(driver).entrypoint("c", needsNone);
  // @ts-expect-error It needs a cache.
  pgq.entrypoint("d", needsOther);
  // @ts-expect-error And this one has nothing at all.
  new PgQueuer(driver).entrypoint("a", onJob);
  // @ts-expect-error Of what it needs there is nothing.
  new PgQueuer(driver).schedule("b", "@hourly", onFire);
}

/** What a test calls a handler with. */
export function tested(job: Job, onJob: Handler<Shared>, needsNone: Handler): void {
  void runJob(onJob, job, { resources: shared, timeout: 5 });
  void runJob(onJob, job, { resources: { ...shared, more: true } });
  void runJob(needsNone, job);
  void runJob(needsNone, job, { timeout: 5 });
  void runJob(() => {}, job);
  void runJob((_, { resources }) => resources.mail.send("a@b.c"), job, { resources: shared });
  // @ts-expect-error It needs resources.
  void runJob(onJob, job);
  // @ts-expect-error Other options are none.
  void runJob(onJob, job, { timeout: 5 });
  // @ts-expect-error One is missing.
  void runJob(onJob, job, { resources: { mail: shared.mail } });
}

/** A factory may leave the type out of its signature. */
export function factories(): void {
  const plain = (): PgQueuer => new PgQueuer(driver, { resources: shared });
  const typed = (): Promise<PgQueuer<Shared>> =>
    Promise.resolve(new PgQueuer(driver, { resources: shared }));
  async function* generator(): AsyncGenerator<PgQueuer> {
    yield await typed();
  }
  const holder = () => ({
    pgq: plain(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
  for (const factory of [plain, typed, generator, holder]) void runWorker(factory);
  void runWorker(async function* () {
    yield new PgQueuer(driver, { resources: shared });
  });

  // @ts-expect-error A driver is no worker.
  void runWorker(() => driver);
  // @ts-expect-error A worker is no factory: it runs once.
  void runWorker(plain());
  // @ts-expect-error What is known of a worker is not forgotten, and not invented either.
  const invented: PgQueuer<Shared> = plain();
  void invented;
}
