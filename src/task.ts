import { InvalidPayloadError } from "./errors.ts";
import type { Job } from "./job.ts";
import type { EnqueueableTask } from "./new_job.ts";
import { payloadText } from "./payload_text.ts";
import { knownOptions, nonEmptyText, shown } from "./validate.ts";
import type { EntrypointOptions } from "./worker/entrypoint.ts";
import type { Handler, TaskHandler } from "./worker/run_job.ts";

/**
 * The part of [Standard Schema](https://standardschema.dev) that is used: what zod, valibot, arktype and others make.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** What is wrong with a value, and where. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Turns values into bytes and back, without loss. The default is JSON in UTF-8, which the Python project reads too. */
export interface Codec {
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** What {@linkcode task} is made from. */
export interface TaskDefinition<Name extends string, Schema> {
  /** Name of the entrypoint. */
  name: Name;
  /** What its input must be like. @default anything that the codec takes */
  input?: Schema | undefined;
  /** How its jobs are run, as for {@linkcode PgQueuer.entrypoint}. */
  options?: EntrypointOptions | undefined;
  /** How its input is written. @default JSON in UTF-8 */
  codec?: Codec | undefined;
}

/** An entrypoint whose payload has a type on both ends: `Input` is enqueued, `Output` is what the handler gets. */
export interface Task<Input, Output = Input, Name extends string = string>
  extends EnqueueableTask<Input> {
  readonly name: Name;
  readonly options: EntrypointOptions;
  /**
   * Reads a payload and checks it.
   *
   * @throws {InvalidPayloadError} If it cannot be read or does not fit the schema.
   */
  decode(payload: Uint8Array | null): Promise<Output>;
}

const JSON_CODEC: Codec = {
  encode(value) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`JSON has no ${typeof value}`);
    return new TextEncoder().encode(text);
  },
  decode: (bytes) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
};

/** For each `decode` of a task whose codec is JSON: the same for the text of a payload. */
const textDecoders = new WeakMap<object, (text: string) => Promise<unknown>>();

/**
 * Names an entrypoint and the type of its payload, for {@linkcode PgQueuer.register} and {@linkcode Queries.enqueueTask}.
 *
 * @example With a schema, which is checked on both ends
 * ```ts
 * import { task } from "pgqueuer";
 * import { z } from "zod";
 * import assert from "node:assert/strict";
 *
 * const sendWelcome = task({
 *   name: "send_welcome",
 *   input: z.object({ userId: z.number().int() }),
 *   options: { concurrencyLimit: 2 },
 * });
 *
 * // What queries.enqueueTask(sendWelcome, …) does with a value, and a worker with its payload.
 * const payload = await sendWelcome.encode({ userId: 7 });
 * assert.deepEqual(await sendWelcome.decode(payload), { userId: 7 });
 * await assert.rejects(sendWelcome.encode({ userId: 1.5 }), /must fit the schema: userId: /);
 * ```
 *
 * @example With a plain type, which the compiler alone checks
 * ```ts
 * import { task } from "pgqueuer";
 *
 * const sendWelcome = task<{ userId: number }>({ name: "send_welcome" });
 * await sendWelcome.encode({ userId: 7 });
 * ```
 *
 * @example With a codec, for what JSON does not keep
 * ```ts
 * import { task } from "pgqueuer";
 * import assert from "node:assert/strict";
 *
 * const thumbnail = task<Uint8Array>({
 *   name: "thumbnail",
 *   codec: { encode: (value) => value as Uint8Array, decode: (bytes) => bytes },
 * });
 * assert.deepEqual(await thumbnail.encode(new Uint8Array([0, 255])), new Uint8Array([0, 255]));
 * ```
 *
 * @param definition Its name, and what else differs from the defaults.
 * @throws {TypeError} If a value is of the wrong kind or unknown.
 */
export function task<const Name extends string, Input, Output>(
  definition: TaskDefinition<Name, StandardSchema<Input, Output>> & {
    input: StandardSchema<Input, Output>;
  },
): Task<Input, Output, Name>;
/** The same without a schema: of the type that is given, and of none if it is left out. */
export function task<Value = never>(
  definition: TaskDefinition<string, undefined>,
): Task<Value>;
export function task(
  definition: TaskDefinition<string, StandardSchema | undefined>,
): Task<unknown> {
  knownOptions("task", definition, ["name", "input", "options", "codec"]);
  const { name, input, options = {}, codec = JSON_CODEC } = definition;
  nonEmptyText("name", name);
  const validate = input?.["~standard"]?.validate;
  if (input !== undefined && typeof validate !== "function") {
    throw new TypeError(
      `Cannot make task "${name}" as its input must be a Standard Schema, such as z.object({ … }): current value is ${
        shown(input)
      }`,
    );
  }
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    throw new TypeError(
      `Cannot make task "${name}" as its codec must have encode() and decode(): current value is ${
        shown(codec)
      }`,
    );
  }
  const check = async (value: unknown): Promise<SchemaResult<unknown>> =>
    validate === undefined ? { value } : await validate(value);
  const read = async (decode: () => unknown): Promise<unknown> => {
    let value: unknown;
    try {
      value = decode();
    } catch (error) {
      throw new InvalidPayloadError(name, String(error), { cause: error });
    }
    const result = await check(value);
    if (result.issues) throw new InvalidPayloadError(name, told(result.issues));
    return result.value;
  };
  const made: Task<unknown> = {
    name,
    options,
    async encode(value): Promise<Uint8Array> {
      const { issues } = await check(value);
      if (issues) {
        throw new TypeError(
          `Cannot enqueue task "${name}" as its input must fit the schema: ${told(issues)}`,
        );
      }
      let bytes: Uint8Array;
      let read: unknown;
      try {
        bytes = codec.encode(value);
        if (validate === undefined) return bytes;
        read = codec.decode(bytes);
      } catch (error) {
        throw new TypeError(
          `Cannot enqueue task "${name}" as its input must be what the codec can write: ${error}`,
          { cause: error },
        );
      }
      // A Date is text in JSON: its job would be held when it runs, long after the caller could mend it.
      const again = await check(read);
      if (again.issues) {
        throw new TypeError(
          `Cannot enqueue task "${name}" as its input must fit the schema when it is read again: ${
            told(again.issues)
          }, use what the codec keeps or give the task a codec`,
        );
      }
      return bytes;
    },
    async decode(payload): Promise<unknown> {
      if (payload === null) throw new InvalidPayloadError(name, "it is null");
      return await read(() => codec.decode(payload));
    },
  };
  if (codec === JSON_CODEC) {
    textDecoders.set(made.decode, (text) => read(() => JSON.parse(text)));
  }
  return made;
}

/** Reads the payload of a job, as text if it came so: a large one would else be written as bytes to be read again. */
async function decodePayload<Output>(task: Task<never, Output>, job: Job): Promise<Output> {
  const decodeText = textDecoders.get(task.decode);
  const text = decodeText && payloadText(job);
  return text === undefined ? await task.decode(job.payload) : await decodeText!(text) as Output;
}

/**
 * What a worker registers for a task: an entrypoint whose handler reads the payload first.
 *
 * @throws {TypeError} If an argument is of the wrong kind.
 */
export function taskEntrypoint<Output>(
  task: Task<never, Output>,
  handler: TaskHandler<Output>,
): { name: string; options: EntrypointOptions; run: Handler } {
  if (typeof task?.decode !== "function" || typeof handler !== "function") {
    throw new TypeError(
      `Cannot register a task as it takes what task() gave and a handler: current values are ${
        shown(task)
      } and ${shown(handler)}`,
    );
  }
  const { name, options } = task;
  return {
    name,
    options,
    async run(job, context) {
      await handler(await decodePayload(task, job), job, context);
    },
  };
}

/** `user.id: Expected number; tags.0: …` */
function told(issues: readonly SchemaIssue[]): string {
  return issues.map(({ message, path = [] }) => {
    const keys = path.map((part) => String(typeof part === "object" ? part.key : part));
    return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
  }).join("; ");
}
