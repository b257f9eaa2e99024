import type { Job, Json } from "./job.ts";

/** What the log keeps of a handler's error. The Python project reads and writes the same fields. */
export interface Traceback {
  readonly job_id: number;
  /** ISO 8601 with an offset. */
  readonly timestamp: string;
  readonly exception_type: string;
  readonly exception_message: string;
  /** The stack, causes included. */
  readonly traceback: string;
  readonly additional_context: { readonly [key: string]: Json } | null;
}

/** A longer stack says nothing more and would make the log the largest table of the database. */
const MAX_TEXT = 20_000;

/** Describes why `job` is run again, as the Python project does. */
export function retryTracebackOf(
  error: unknown,
  job: Job,
  delayMs: number,
  reason: string | null,
): Traceback {
  const traceback = tracebackOf(error, job);
  return {
    ...traceback,
    additional_context: {
      ...traceback.additional_context,
      attempt: job.attempts,
      retry_delay: clockText(delayMs),
      reason: reason === null ? null : storable(reason),
    },
  };
}

/** `0:00:30`, `1 day, 0:00:00` or `0:00:00.500000`: a duration in the words of Python. */
function clockText(ms: number): string {
  const micros = Math.round(ms * 1_000);
  const seconds = Math.floor(micros / 1_000_000);
  const days = Math.floor(seconds / 86_400);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const clock = `${Math.floor(seconds % 86_400 / 3_600)}:${two(seconds % 3_600 / 60)}:${
    two(seconds % 60)
  }`;
  const rest = micros % 1_000_000;
  const part = rest === 0 ? "" : `.${String(rest).padStart(6, "0")}`;
  return `${days === 0 ? "" : `${days} day${days === 1 ? "" : "s"}, `}${clock}${part}`;
}

/** Describes `error` for the log row of `job`. Never throws, whatever was thrown. */
export function tracebackOf(error: unknown, job: Job): Traceback {
  return {
    job_id: job.id,
    timestamp: new Date().toISOString(),
    exception_type: storable(typeName(error)),
    exception_message: storable(message(error)),
    traceback: storable(stackOf(error)),
    additional_context: { entrypoint: job.entrypoint, queue_manager_id: job.queueManagerId },
  };
}

function typeName(error: unknown): string {
  if (error instanceof Error) return error.name || error.constructor.name;
  return error === null ? "null" : typeof error;
}

function message(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error);
  } catch {
    return "a value that has no text";
  }
}

/** The stack of an error and of its causes, or the text of anything else that was thrown. */
export function stackOf(error: unknown): string {
  const parts: string[] = [];
  const seen = new Set<unknown>();
  for (let cause = error; cause instanceof Error && !seen.has(cause); cause = cause.cause) {
    seen.add(cause);
    const header = `${typeName(cause)}: ${message(cause)}`;
    const stack = typeof cause.stack === "string" ? cause.stack : "";
    // V8 starts a stack with the message; JavaScriptCore, in Bun, does not always.
    parts.push(stack.includes(message(cause)) ? stack : `${header}\n${stack}`);
    if (cause instanceof AggregateError) parts.push(...cause.errors.map(stackOf));
  }
  return parts.length === 0 ? message(error) : parts.join("\nCaused by: ");
}

/** jsonb holds neither U+0000 nor half of a surrogate pair. */
function storable(text: string): string {
  return text.slice(0, MAX_TEXT).replaceAll("\u0000", "").replace(/\p{Surrogate}/gu, "\uFFFD");
}
