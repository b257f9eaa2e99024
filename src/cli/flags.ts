import { z } from "zod";
import type { Headers, JobStatus } from "../job.ts";
import type { Durability } from "../settings.ts";
import { MAX_TIMER_MS } from "../validate.ts";
import { UsageError } from "./command.ts";
import { LEVELS, type LogLevel } from "./log.ts";

/** A duration on the command line: seconds, as in the Python project's. In milliseconds here. */
function seconds(zero: "or zero" | "not zero"): z.ZodType<number> {
  const error = `a number of seconds ${zero === "or zero" ? ">=" : ">"} 0`;
  return decimal(error)
    .refine((value) => zero === "or zero" ? value >= 0 : value > 0, { error })
    .transform((value) => value * 1_000);
}

/** The same where it is waited for by a timer, which holds 24 days. */
function timerSeconds(): z.ZodType<number> {
  const error = "a number of seconds > 0, at most 24 days";
  return seconds("not zero").refine((value) => value <= MAX_TIMER_MS, { error });
}

/** At most what an `int4` of the database holds. */
function wholeNumber(min: number): z.ZodType<number> {
  const error = `a whole number >= ${min}`;
  return decimal(error).refine(
    (value) => Number.isInteger(value) && value >= min && value < 2 ** 31,
    { error },
  );
}

function decimal(error: string): z.ZodType<number> {
  return z.string().trim().regex(/^[+-]?(\d+\.?\d*|\.\d+)$/, { error }).transform(Number);
}

function choice<const T extends readonly string[]>(values: T): z.ZodType<T[number]> {
  return z.string().transform((value) => value.toLowerCase())
    .pipe(z.enum(values, { error: `one of ${values.join(", ")}` }));
}

const STATUSES = [
  "queued",
  "picked",
  "failed",
  "successful",
  "exception",
  "canceled",
  "deleted",
] as const satisfies readonly JobStatus[];

const statusList = z.string().transform((text, context): JobStatus[] => {
  const names = text.toLowerCase().split(",").map((name) => name.trim());
  if (names.every((name) => (STATUSES as readonly string[]).includes(name))) {
    return [...new Set(names)] as JobStatus[];
  }
  context.addIssue({ code: "custom", message: `made of ${STATUSES.join(", ")}, with commas` });
  return z.NEVER;
});

const headersObject = z.string().transform(
  (text, context): Headers => {
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === "object" && value !== null && !Array.isArray(value)) {
        return value as Headers;
      }
    } catch {
      // Said below.
    }
    context.addIssue({ code: "custom", message: 'a JSON object such as {"trace":"42"}' });
    return z.NEVER;
  },
);

/** Other names of levels, those of the Python project among them. */
const LEVEL_NAMES: Readonly<Record<string, LogLevel>> = {
  fatal: "critical",
  notset: "debug",
  warn: "warning",
};

/** What the flags mean, by their camelCase name. Durations are milliseconds. */
interface FlagTypes {
  readonly durability: Durability;
  readonly createSchema: boolean;
  readonly expect: "present" | "absent";
  readonly dedupeKey: string;
  readonly onConflict: "raise" | "skip";
  readonly priority: number;
  readonly delay: number;
  readonly headers: Headers;
  readonly dequeueTimeout: number;
  readonly batchSize: number;
  readonly heartbeatTimeout: number;
  readonly blockTimeout: number;
  readonly maxConcurrentTasks: number;
  readonly retention: number;
  readonly shutdownTimeout: number;
  readonly mode: "continuous" | "drain";
  readonly restartOnFailure: boolean;
  readonly restartDelay: number;
  readonly shutdownOnListenerFailure: boolean;
  readonly healthPort: number;
  readonly healthHost: string;
  readonly logLevel: LogLevel;
  readonly status: readonly JobStatus[];
  readonly entrypoint: string;
  readonly olderThan: number;
  readonly newerThan: number;
  readonly limit: number;
  readonly payload: boolean;
  readonly jobs: number;
  readonly last: number;
  readonly silentAfter: number;
  readonly listen: number;
  readonly remove: readonly string[];
  readonly channel: string;
  readonly rollback: boolean;
  readonly role: string;
  readonly interval: number;
  readonly plan: boolean;
  readonly widenId: boolean;
}

/** What the text behind each flag must be. */
const SCHEMAS: { readonly [Name in keyof FlagTypes]: z.ZodType<FlagTypes[Name]> } = {
  durability: choice(["volatile", "balanced", "durable"]),
  createSchema: z.boolean(),
  expect: choice(["present", "absent"]),
  dedupeKey: z.string().min(1, { error: "not empty" }),
  onConflict: choice(["raise", "skip"]),
  priority: decimal("a whole number").refine(Number.isInteger, { error: "a whole number" }),
  delay: seconds("or zero"),
  headers: headersObject,
  dequeueTimeout: seconds("not zero"),
  batchSize: wholeNumber(1),
  heartbeatTimeout: seconds("or zero"),
  blockTimeout: seconds("or zero"),
  maxConcurrentTasks: wholeNumber(1),
  retention: seconds("or zero"),
  shutdownTimeout: seconds("or zero"),
  mode: choice(["continuous", "drain"]),
  status: statusList,
  entrypoint: z.string().min(1, { error: "not empty" }),
  olderThan: seconds("or zero"),
  newerThan: seconds("not zero"),
  limit: wholeNumber(1),
  payload: z.boolean(),
  jobs: wholeNumber(1),
  restartOnFailure: z.boolean(),
  restartDelay: seconds("or zero"),
  last: seconds("not zero"),
  silentAfter: seconds("not zero"),
  listen: timerSeconds(),
  remove: z.array(z.string().min(1, { error: "not empty" })),
  channel: z.string().refine((name) => {
    const bytes = new TextEncoder().encode(name).length;
    return bytes >= 1 && bytes <= 63;
  }, { error: "from 1 to 63 bytes long" }),
  rollback: z.boolean(),
  shutdownOnListenerFailure: z.boolean(),
  interval: timerSeconds(),
  plan: z.boolean(),
  widenId: z.boolean(),
  role: z.string().regex(/^(?!pg_)[a-z_][a-z0-9_]{0,62}$/, {
    error: "a plain SQL identifier in lower case that does not begin with pg_",
  }),
  healthPort: decimal("a port from 0 to 65535").refine(
    (value) => Number.isInteger(value) && value >= 0 && value <= 65_535,
    { error: "a port from 0 to 65535" },
  ),
  healthHost: z.string().min(1, { error: "not empty" }),
  logLevel: z.string()
    .transform((value) => LEVEL_NAMES[value.toLowerCase()] ?? value.toLowerCase())
    .pipe(z.enum(LEVELS, { error: `one of ${LEVELS.join(", ")}` })),
};

/** Values of the flags that were given. */
export type FlagValues<Name extends keyof FlagTypes> = { -readonly [N in Name]?: FlagTypes[N] };

/**
 * Reads the values of flags.
 *
 * @throws {UsageError} If one is not what it must be.
 */
export function readFlags<const Name extends keyof FlagTypes>(
  given: Readonly<Record<string, unknown>>,
  names: readonly Name[],
): FlagValues<Name> {
  const values: Record<string, unknown> = {};
  for (const name of names) {
    if (given[name] === undefined) continue;
    const result = SCHEMAS[name].safeParse(given[name]);
    if (!result.success) {
      throw new UsageError(
        `Cannot use "${flagOf(name)}" as it must be ${
          result.error.issues[0]?.message
        }: current value is "${given[name]}"`,
      );
    }
    values[name] = result.data;
  }
  return values as FlagValues<Name>;
}

/**
 * Reads an argument that must be one of a few words.
 *
 * @throws {UsageError} If it is none of them.
 */
export function readChoice<const T extends string>(
  name: string,
  given: string | undefined,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === given?.toLowerCase());
  if (found !== undefined) return found;
  const now = given === undefined ? "it is missing" : `current value is "${given}"`;
  throw new UsageError(
    `Cannot use "${name}" as it must be one of ${choices.join(", ")}: ${now}`,
  );
}

/** How a flag is written, from its camelCase name. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
