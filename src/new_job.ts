import { type Duration, toMs } from "./duration.ts";
import type { Headers } from "./job.ts";
import { int4, knownOptions, nonEmptyText, oneOf, shown } from "./validate.ts";

/** What happens to a job whose dedupe key belongs to a queued or picked job. */
export type OnConflict = "skip" | "raise" | "update_priority";

/** Options for one job. */
export interface EnqueueOptions {
  /** Higher runs first: a whole number that fits `int4`. @default {0} */
  priority?: number | undefined;
  /** Do not start before: a duration counted from now by the database's clock, or an instant. @default {0} */
  executeAfter?: Duration | Date | null | undefined;
  /** At most one queued or picked job has a given key, whatever its entrypoint. @default none */
  dedupeKey?: string | null | undefined;
  /** A JSON object about the job. @default none */
  headers?: Headers | null | undefined;
  /**
   * What to do when the dedupe key is in use. `"skip"` drops the job and gives `null`; `"raise"` throws
   * {@linkcode DuplicateJobError} and inserts nothing of the batch; `"update_priority"` raises the priority of the job
   * that has the key to this one, never lowers it, and gives its id.
   *
   * @default {"skip"}
   */
  onConflict?: OnConflict | undefined;
}

/** Options for several jobs: a single value counts for all, an array has one value for each. */
export interface EnqueueBatchOptions {
  /** See {@linkcode EnqueueOptions.priority}. */
  priority?: number | readonly number[] | undefined;
  /** See {@linkcode EnqueueOptions.executeAfter}. */
  executeAfter?: Duration | Date | null | readonly (Duration | Date | null)[] | undefined;
  /** See {@linkcode EnqueueOptions.dedupeKey}. */
  dedupeKey?: string | null | readonly (string | null)[] | undefined;
  /** See {@linkcode EnqueueOptions.headers}. */
  headers?: Headers | null | readonly (Headers | null)[] | undefined;
  /** See {@linkcode EnqueueOptions.onConflict}. */
  onConflict?: OnConflict | undefined;
}

/** One job of {@linkcode Queries.enqueueMany}. */
export interface NewJob {
  /** Name of the handler that runs it. */
  entrypoint: string;
  /** Bytes for the handler. @default {null} */
  payload?: Uint8Array | null | undefined;
  /** See {@linkcode EnqueueOptions.priority}. */
  priority?: number | undefined;
  /** See {@linkcode EnqueueOptions.executeAfter}. */
  executeAfter?: Duration | Date | null | undefined;
  /** See {@linkcode EnqueueOptions.dedupeKey}. */
  dedupeKey?: string | null | undefined;
  /** See {@linkcode EnqueueOptions.headers}. */
  headers?: Headers | null | undefined;
}

/** What {@linkcode Queries.enqueueTask} needs of a task. */
export interface EnqueueableTask<Input> {
  readonly name: string;
  /**
   * Checks a value and gives the payload.
   *
   * @throws {TypeError} If the value does not fit the schema, now or when it is read again, with the path of what does not.
   */
  encode(value: Input): Promise<Uint8Array>;
}

/** A job that has passed every check, as the statement takes it. */
export interface CheckedJob {
  readonly entrypoint: string;
  readonly payload: Uint8Array | null;
  readonly priority: number;
  readonly delayMs: number;
  /** ISO 8601; `null` where the delay counts. */
  readonly due: string | null;
  readonly dedupeKey: string | null;
  /** JSON text. */
  readonly headers: string | null;
}

const OPTIONS = ["priority", "executeAfter", "dedupeKey", "headers"] as const;

/** A B-tree entry holds 2,704 bytes, and these two are in indexes. */
const MAX_INDEXED_BYTES = 2_000;

/** A parameter travels as hex in one string, and a worker holds a batch of them in memory. */
const MAX_PAYLOAD_BYTES = 100 * 1024 * 1024;

/** Checks `onConflict` and fills in its default. */
export function checkOnConflict(value: unknown): OnConflict {
  return oneOf("onConflict", value ?? "skip", ["skip", "raise", "update_priority"]);
}

/**
 * Spreads the arguments of `enqueue()` over one job each.
 *
 * @throws {RangeError} If two arrays differ in length.
 */
export function spreadBatch(
  entrypoint: string | readonly string[],
  payload: Uint8Array | null | undefined | readonly (Uint8Array | null)[],
  options: EnqueueBatchOptions,
): NewJob[] {
  knownOptions("options", options, [...OPTIONS, "onConflict"]);
  const columns = { entrypoint, payload, ...options };
  const lengths = Object.entries(columns).filter(([, value]) => Array.isArray(value)) as [
    string,
    readonly unknown[],
  ][];
  if (!Array.isArray(payload)) {
    throw new TypeError(
      `Cannot enqueue as "payload" must be an array where "entrypoint" is one: current value is ${
        shown(payload)
      }`,
    );
  }
  const count = payload.length;
  for (const [name, { length }] of lengths) {
    if (length === count) continue;
    throw new RangeError(
      `Cannot enqueue as arrays must have the same length: "payload" has ${count}, "${name}" has ${length}`,
    );
  }
  const at = <T>(value: T | readonly T[], index: number): T =>
    Array.isArray(value) ? value[index] : value as T;
  return payload.map((bytes, index) => ({
    entrypoint: at(entrypoint, index),
    payload: bytes,
    priority: at(options.priority, index),
    executeAfter: at<Duration | Date | null | undefined>(options.executeAfter, index),
    dedupeKey: at(options.dedupeKey, index),
    headers: at<Headers | null | undefined>(options.headers, index),
  }));
}

/**
 * Checks one job.
 *
 * @param job What the caller gave.
 * @param suffix Put behind each name in a message, such as `[3]` for the fourth job of a batch.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is of the right kind and cannot be used.
 */
export function checkJob(job: NewJob, suffix = ""): CheckedJob {
  if (typeof job !== "object" || job === null) {
    throw new TypeError(
      `Cannot enqueue as "job${suffix}" must be an object such as { entrypoint, payload }: current value is ${
        shown(job)
      }`,
    );
  }
  const { executeAfter = null, dedupeKey = null, headers = null } = job;
  return {
    entrypoint: indexedText(`entrypoint${suffix}`, job.entrypoint),
    payload: checkPayload(`payload${suffix}`, job.payload ?? null),
    priority: int4(`priority${suffix}`, job.priority ?? 0),
    delayMs: executeAfter === null || executeAfter instanceof Date
      ? 0
      : toMs(`executeAfter${suffix}`, executeAfter),
    due: executeAfter instanceof Date ? checkInstant(`executeAfter${suffix}`, executeAfter) : null,
    dedupeKey: dedupeKey === null ? null : indexedText(`dedupeKey${suffix}`, dedupeKey),
    headers: headers === null ? null : checkHeaders(`headers${suffix}`, headers),
  };
}

/**
 * Checks one job that is given by its parts.
 *
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function checkSingle(
  entrypoint: unknown,
  payload: unknown,
  options: EnqueueOptions,
): { readonly job: CheckedJob; readonly onConflict: OnConflict } {
  const known = ["priority", "executeAfter", "dedupeKey", "headers", "onConflict"];
  knownOptions("options", options, known);
  const { onConflict, ...rest } = options;
  const job = checkJob({ ...rest, entrypoint, payload } as NewJob);
  return { job, onConflict: checkOnConflict(onConflict) };
}

/** Checks the jobs of a batch, whose keys must differ under `"update_priority"`: each row can be raised only once. */
export function checkJobs(jobs: readonly NewJob[], onConflict: OnConflict): CheckedJob[] {
  if (!Array.isArray(jobs)) {
    throw new TypeError(
      `Cannot enqueue as "jobs" must be an array: current value is ${shown(jobs)}`,
    );
  }
  // Not map(): it would pass over the holes of a sparse array.
  const checked = Array.from(jobs, (job: NewJob, index) => {
    if (typeof job === "object" && job !== null) {
      knownOptions(`jobs[${index}]`, job, ["entrypoint", "payload", ...OPTIONS]);
    }
    return checkJob(job, `[${index}]`);
  });
  if (onConflict !== "update_priority") return checked;
  const seen = new Set<string>();
  for (const { dedupeKey } of checked) {
    if (dedupeKey === null) continue;
    if (seen.has(dedupeKey)) {
      throw new RangeError(
        `Cannot enqueue as a dedupe key may occur once in a batch with "update_priority": "${dedupeKey}" occurs again`,
      );
    }
    seen.add(dedupeKey);
  }
  return checked;
}

function indexedText(name: string, value: unknown): string {
  const text = nonEmptyText(name, value);
  // A character takes at most three bytes in UTF-8 for each of its UTF-16 units.
  if (text.length * 3 > MAX_INDEXED_BYTES) {
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > MAX_INDEXED_BYTES) {
      throw new RangeError(
        `Cannot use "${name}" as it must have at most ${MAX_INDEXED_BYTES} bytes: it has ${bytes}`,
      );
    }
  }
  return text;
}

function checkPayload(name: string, value: unknown): Uint8Array | null {
  if (value === null) return null;
  // Not instanceof: the bytes may come from another realm.
  if (Object.prototype.toString.call(value) !== "[object Uint8Array]") {
    const fix = typeof value === "string"
      ? "new TextEncoder().encode(value)"
      : "new TextEncoder().encode(JSON.stringify(value))";
    const kind = typeof value === "string" ? "a string" : shown(value);
    throw new TypeError(
      `Cannot enqueue as "${name}" must be a Uint8Array or null: current value is ${kind}, encode it with ${fix}`,
    );
  }
  const bytes = value as Uint8Array;
  if (bytes.byteLength > MAX_PAYLOAD_BYTES) {
    throw new RangeError(
      `Cannot enqueue as "${name}" must have at most ${MAX_PAYLOAD_BYTES} bytes: it has ${bytes.byteLength}, store it elsewhere and enqueue its address`,
    );
  }
  return bytes;
}

function checkInstant(name: string, value: Date): string {
  const year = value.getUTCFullYear();
  if (year >= 1970 && year <= 9999) return value.toISOString();
  throw new RangeError(
    `Cannot use "${name}" as it must be a date from the year 1970 to 9999: current value is ${
      Number.isNaN(year) ? "an invalid date" : value.toISOString()
    }`,
  );
}

function checkHeaders(name: string, value: unknown): string {
  const prototype = typeof value === "object" && value !== null
    ? Object.getPrototypeOf(value)
    : undefined;
  // Not `=== Object.prototype`: the object may come from another realm.
  const plain = prototype === null ||
    (prototype !== undefined && !Array.isArray(value) && Object.getPrototypeOf(prototype) === null);
  if (!plain) {
    throw new TypeError(
      `Cannot use "${name}" as it must be a JSON object: current value is ${shown(value)}`,
    );
  }
  let text: string;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`Cannot use "${name}" as it must be a JSON object: JSON cannot hold it`, {
      cause,
    });
  }
  // JSON.stringify() writes U+0000 and half a surrogate pair as escapes and everything else as itself. jsonb holds neither.
  if (/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(text)) {
    throw new RangeError(
      `Cannot use "${name}" as PostgreSQL's jsonb cannot hold U+0000 or half of a surrogate pair: remove it`,
    );
  }
  return text;
}
