import { Cron, type MissedFires } from "./cron.ts";
import { type Duration, toMs } from "./duration.ts";
import type { Logger } from "./logger.ts";
import { flag, knownOptions, nonEmptyText, oneOf, shown } from "./validate.ts";

/** Options for {@linkcode PgQueuer.schedule}. */
export interface ScheduleOptions {
  /**
   * IANA time zone in which the expression is read. The table does not hold it, so it must be the same in every worker
   * that registers the schedule; a worker of the Python project knows UTC only.
   *
   * Where clocks change: an expression whose seconds, minutes and hours are plain numbers, lists or ranges means times of
   * day. One that the clock jumps over fires at the jump, once however many were jumped over; one that comes twice fires
   * the first time only. With `*` or a step in one of these fields it means intervals, and fires whenever the clock on
   * the wall matches: in both passes of an hour that comes twice, and not for an hour that is jumped over.
   *
   * @default {"UTC"}
   */
  timeZone?: string | undefined;
  /**
   * Whether to delete, when the worker starts, rows of this entrypoint whose expression this worker does not register:
   * those of older releases of the application.
   *
   * @default {false}
   */
  cleanOld?: boolean | undefined;
  /**
   * What becomes of fires that came due while no worker was up, or while the last fire still ran. `"latest"` runs the
   * last of them, `"all"` each of them in order, `"none"` none that is more than 30 seconds late.
   *
   * @default {"latest"}
   */
  missed?: MissedFires | undefined;
  /**
   * How old a missed or interrupted fire may be to run all the same. Older ones are dropped.
   *
   * @default {{ days: 1 }}
   */
  missedWindow?: Duration | undefined;
  /**
   * Whether a fire may start while the last one still runs. Such a fire holds no lease: it is lost if its worker dies.
   * Where that matters use `enqueue`, whose jobs may overlap too.
   *
   * @default {false}
   */
  overlap?: boolean | undefined;
  /**
   * Whether a fire enqueues a job of this entrypoint in place of running a handler. The job is retried, limited and
   * logged as any other. Its payload is JSON: `{"due":"2026-11-22T03:00:00.000Z","expression":"0 3 * * *"}`.
   *
   * @default {false}
   */
  enqueue?: boolean | undefined;
}

/** One due time of a schedule. */
export interface Fire {
  /** Name of the schedule. */
  readonly entrypoint: string;
  /** The cron expression, as it stands in the table. */
  readonly expression: string;
  /** When it was due. The same in every run of one fire, so it serves as a key for what must be done once. */
  readonly due: Date;
}

/** What the handler of a schedule gets beside its fire. */
export interface ScheduleContext<Resources = unknown> {
  /**
   * Aborts when the work is for nothing: another worker has taken the fire over ({@linkcode LeaseLostError}) or the
   * worker shuts down and waits no longer ({@linkcode ShutdownError}).
   */
  readonly signal: AbortSignal;
  /** The worker's logger. Each line names the schedule. */
  readonly log: Logger;
  /** The worker's `resources`, as the handlers of jobs get them. */
  readonly resources: Resources;
}

/**
 * Runs one fire. What it throws is logged, and the next fire comes all the same. A fire may run more than once, after a
 * crash for instance, so what it does must be safe to repeat.
 */
export type ScheduleHandler<Resources = unknown> = (
  fire: Fire,
  context: ScheduleContext<Resources>,
) => Promise<void> | void;

/** A registered schedule, with every default filled in and every value checked. */
export interface Schedule {
  readonly entrypoint: string;
  readonly cron: Cron;
  readonly cleanOld: boolean;
  readonly missed: MissedFires;
  readonly missedWindowMs: number;
  readonly overlap: boolean;
  /** `null`: a fire enqueues a job. */
  readonly handler: ScheduleHandler | null;
}

/** A B-tree entry holds 2,704 bytes. The dedupe key of a fire's job has both texts and the due time in it. */
const MAX_KEY_BYTES = 1_900;

/**
 * Adds a schedule to those of a worker.
 *
 * @throws {TypeError} If an argument is of the wrong kind or an option is unknown.
 * @throws {RangeError} If a value is of the right kind and cannot be used, or the schedule is among them already.
 */
export function addSchedule(
  schedules: Schedule[],
  entrypoint: string,
  expression: string,
  third: ScheduleOptions | ScheduleHandler = {},
  fourth?: ScheduleHandler,
): void {
  const [options, handler] = typeof third === "function" ? [{}, third] : [third, fourth];
  const schedule = resolveSchedule(entrypoint, expression, options, handler);
  const text = schedule.cron.expression;
  // The time zone is not in the table: two schedules that differ in it alone would share a row.
  if (schedules.some((it) => it.entrypoint === entrypoint && it.cron.expression === text)) {
    throw new RangeError(
      `Cannot register schedule "${entrypoint}" as "${text}" is registered for it already: give one of them another name`,
    );
  }
  schedules.push(schedule);
}

/**
 * Checks what `schedule()` was given.
 *
 * @throws {TypeError} If an argument is of the wrong kind or an option is unknown.
 * @throws {RangeError} If a value is of the right kind and cannot be used.
 */
function resolveSchedule(
  entrypoint: string,
  expression: string,
  options: ScheduleOptions,
  handler: ScheduleHandler | undefined,
): Schedule {
  nonEmptyText("entrypoint", entrypoint);
  knownOptions(`options of schedule ${entrypoint}`, options, [
    "timeZone",
    "cleanOld",
    "missed",
    "missedWindow",
    "overlap",
    "enqueue",
  ]);
  const cron = new Cron(expression, options.timeZone ?? "UTC");
  const size = new TextEncoder().encode(entrypoint + cron.expression).length;
  if (size > MAX_KEY_BYTES) {
    throw new RangeError(
      `Cannot use "entrypoint" as it must have at most ${MAX_KEY_BYTES} bytes together with its cron expression: they have ${size}`,
    );
  }
  const enqueue = flag("enqueue", options.enqueue);
  const overlap = flag("overlap", options.overlap);
  if (enqueue && handler !== undefined) {
    throw new TypeError(
      `Cannot register schedule "${entrypoint}" as with "enqueue" it must have no handler: give it to entrypoint("${entrypoint}", …)`,
    );
  }
  if (enqueue && options.overlap !== undefined) {
    throw new TypeError(
      `Cannot use "overlap" as with "enqueue" each fire is a job of its own: limit the jobs of entrypoint "${entrypoint}" instead`,
    );
  }
  if (!enqueue && typeof handler !== "function") {
    throw new TypeError(
      `Cannot register schedule "${entrypoint}" as its handler must be a function: current value is ${
        shown(handler)
      }, or give it { enqueue: true }`,
    );
  }
  return {
    entrypoint,
    cron,
    cleanOld: flag("cleanOld", options.cleanOld),
    missed: oneOf("missed", options.missed ?? "latest", ["none", "latest", "all"]),
    missedWindowMs: toMs("missedWindow", options.missedWindow ?? { days: 1 }),
    overlap,
    handler: handler ?? null,
  };
}
