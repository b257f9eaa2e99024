/** What the type checker must know of tasks, and what it must refuse. Compiled by `npm run check`, never run. */
import { type } from "arktype";
import * as v from "valibot";
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
const ofValibot = task({
  name: "of_valibot",
  input: v.object({
    id: v.number(),
    at: v.pipe(v.string(), v.transform((text) => new Date(text))),
  }),
});
const ofArktype = task({
  name: "of_arktype",
  input: type({ id: "number", at: "string.date.parse" }),
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
  await queries.enqueueTask(ofValibot, { id: 1, at: "2026-11-23" });
  pgq.register(ofValibot, (value) => same<typeof value, { id: number; at: Date }>());
  await queries.enqueueTask(ofArktype, { id: 1, at: "2026-11-23" });
  pgq.register(ofArktype, (value) => same<typeof value, { id: number; at: Date }>());
  same<typeof ofArktype.name, "of_arktype">();
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
  // @ts-expect-error -- a number is wanted by valibot too.
  await queries.enqueueTask(ofValibot, { id: "1", at: "2026-11-23" });
  // @ts-expect-error -- and what it makes of the input is not what is sent.
  await queries.enqueueTask(ofValibot, { id: 1, at: new Date() });
  // @ts-expect-error -- a number is wanted by arktype too.
  await queries.enqueueTask(ofArktype, { id: "1", at: "2026-11-23" });
  // @ts-expect-error -- and what it makes of the input is not what is sent.
  await queries.enqueueTask(ofArktype, { id: 1, at: new Date() });
  // @ts-expect-error -- no property but those of the schema.
  await queries.enqueueTask(withSchema, { id: 1, at: "2026-11-23", ad: 1 });
  // @ts-expect-error -- a schema is no type, and a type no schema.
  task({ name: "a", input: { id: "number" } });
  // @ts-expect-error -- a codec goes both ways.
  task<Date>({ name: "a", codec: { encode: () => new Uint8Array() } });
  // @ts-expect-error -- a name is not a task.
  await queries.enqueueTask("with_schema", { id: 1, at: "2026-11-23" });
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
