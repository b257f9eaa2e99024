/** What the type checker must know of tasks, and what it must refuse. Compiled by `npm run check`, never run. */
import { z } from "zod";
import { type JobId, type PgQueuer, type Queries, task } from "../../mod.ts";

/** Whether two types are the same, `any` being the same as nothing but itself. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true
  : false;

/** Does not compile unless the two types are the same. */
declare function same<A, B>(..._: Same<A, B> extends true ? [] : ["these types differ"]): void;

declare const queries: Queries;
declare const pgq: PgQueuer<{ mail: string }>;

const withSchema = task({
  name: "with_schema",
  input: z.object({ id: z.number(), at: z.string().transform((value) => new Date(value)) }),
  options: { concurrencyLimit: 2 },
});
const plain = task<{ id: number }>({ name: "plain" });

export async function inferred(): Promise<void> {
  same<typeof withSchema.name, "with_schema">();
  const id = await queries.enqueueTask(withSchema, { id: 1, at: "2026-11-23" });
  same<typeof id, JobId | null>();
  await queries.enqueueTask(plain, { id: 1 }, { priority: 2 });

  pgq.register(withSchema, (value, job, { resources }) => {
    same<typeof value, { id: number; at: Date }>();
    same<typeof resources, { mail: string }>();
    same<typeof job.id, JobId>();
  });
  pgq.register(plain, async (value) => {
    same<typeof value, { id: number }>();
    await Promise.resolve();
  });
}

export async function refused(): Promise<void> {
  // @ts-expect-error -- a number is wanted.
  await queries.enqueueTask(withSchema, { id: "1", at: "2026-11-23" });
  // @ts-expect-error -- the input is what is sent, not what the schema makes of it.
  await queries.enqueueTask(withSchema, { id: 1, at: new Date() });
  // @ts-expect-error -- a part is missing.
  await queries.enqueueTask(plain, {});
  // @ts-expect-error -- no such option.
  await queries.enqueueTask(plain, { id: 1 }, { delay: 2 });
  // @ts-expect-error -- the handler gets what the schema makes of the input.
  pgq.register(withSchema, (value: { at: string }) => void value);
  // @ts-expect-error -- without a type or a schema nothing fits.
  await queries.enqueueTask(task({ name: "bare" }), { id: 1 });
  // @ts-expect-error -- no such option of an entrypoint.
  task({ name: "a", options: { limit: 2 } });
}
