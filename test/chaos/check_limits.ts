/** Checks of limits, over the exact history of every row: whoever claimed, at no instant was one exceeded. */
import type { Check } from "./check_jobs.ts";
import { attemptsOf } from "./check_leases.ts";
import { type Evidence, isClaim, type Story, tell } from "./evidence.ts";
import { KINDS } from "./kinds.ts";

/** A time that something took. */
interface Span {
  readonly from: number;
  readonly to: number;
  readonly story: Story;
  readonly slot?: number | null;
}

/**
 * The times in which a job was picked. They are those of the triggers, under the lock of the row: who claims a seat that has
 * become free has seen that commit, so its time is the later one.
 */
function picked(story: Story): Span[] {
  const spans: Span[] = [];
  let from: { at: number; slot: number | null } | undefined;
  for (const { at, after } of story.changes) {
    if (after?.status === "picked") from ??= { at, slot: after.slot };
    else if (from) {
      spans.push({ from: from.at, to: at, story, slot: from.slot });
      from = undefined;
    }
  }
  if (from) spans.push({ from: from.at, to: Infinity, story, slot: from.slot });
  return spans;
}

/** Where more than `most` spans lie over each other: one line for the first such instant. */
function crowded(what: string, spans: readonly Span[], most: number): string[] {
  const open = new Set<Span>();
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    for (const other of open) if (other.to <= span.from) open.delete(other);
    open.add(span);
    if (open.size > most) {
      return [
        `${what}: ${open.size} at once where ${most} may be:\n` +
        [...open].map(({ story }) => tell(story)).join("\n"),
      ];
    }
  }
  return [];
}

function of({ stories }: Evidence, entrypoint: string): Story[] {
  return stories.filter((story) => story.entrypoint === entrypoint);
}

function grouped<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...groups.get(keyOf(item)) ?? [], item]);
  return [...groups.values()];
}

/** G4: no more jobs of an entrypoint are picked than its limit, and no seat is taken twice or out of range. */
export const concurrency: Check = (evidence) =>
  Object.entries(KINDS).flatMap(([entrypoint, { options }]) => {
    const limit = options.concurrencyLimit ?? 0;
    if (limit === 0) return [];
    const spans = of(evidence, entrypoint).flatMap(picked);
    const strays = spans.filter(({ slot }) => slot == null || slot < 0 || slot >= limit);
    return [
      ...crowded(`Picked jobs of ${entrypoint}`, spans, limit),
      ...grouped(spans, ({ slot }) => String(slot))
        .flatMap((seat) => crowded(`Seat ${seat[0]!.slot} of ${entrypoint}`, seat, 1)),
      ...strays.map(({ story, slot }) => `Job ${story.id} had seat ${slot} of ${limit}`),
    ];
  });

/** G4, as the handlers saw it: runs that still had their lease. */
export const handlersWithinLimits: Check = (evidence) =>
  Object.entries(KINDS).flatMap(([entrypoint, { options }]) => {
    const limit = options.concurrencyLimit ?? (options.serializedDispatch ? 1 : 0);
    if (limit === 0) return [];
    const stories = of(evidence, entrypoint).filter(({ dedupeKey }) => dedupeKey === null);
    return crowded(`Handlers of ${entrypoint}`, stories.flatMap(livingRuns), limit);
  });

/** Runs of a handler, until their end or the loss of their lease. */
function livingRuns(story: Story): Span[] {
  return attemptsOf(story).flatMap(({ manager, begunAt, endedAt }) => {
    const claim = story.changes.findLast((change) =>
      isClaim(change) && change.after!.manager === manager && change.at <= begunAt
    );
    const lostAt = story.changes.find(({ seq }) => claim && seq > claim.seq)?.at ?? Infinity;
    const to = Math.min(endedAt, lostAt);
    return to > begunAt ? [{ from: begunAt, to, story }] : [];
  });
}

/** G5: in any window no more jobs start than the rate allows for its length, and its burst. */
export const rates: Check = (evidence) =>
  Object.entries(KINDS).flatMap(([entrypoint, { options }]) => {
    const rate = options.requestsPerSecond ?? Infinity;
    if (rate === Infinity) return [];
    const starts = of(evidence, entrypoint).flatMap(({ log }) =>
      log.filter(({ status }) => status === "picked").map(({ at }) => at)
    ).sort((a, b) => a - b);
    // Jobs from i to j, less the rate times the time between: the most over all pairs.
    let lowest = Infinity;
    let worst = 0;
    starts.forEach((at, index) => {
      lowest = Math.min(lowest, index - rate * at / 1_000);
      worst = Math.max(worst, index + 1 - rate * at / 1_000 - lowest);
    });
    const burst = Math.max(1, rate);
    // A hundredth for the rounding of times.
    return worst <= burst + 0.01 ? [] : [
      `Jobs of ${entrypoint} started ${worst.toFixed(2)} beyond the rate, which allows ${burst}`,
    ];
  });

/** Jobs of an entrypoint with serialized dispatch run one after another. */
export const serialized: Check = (evidence) =>
  Object.entries(KINDS).filter(([, { options }]) => options.serializedDispatch)
    .flatMap(([entrypoint]) =>
      grouped(of(evidence, entrypoint), ({ dedupeKey }) => dedupeKey ?? "").flatMap((group) =>
        crowded(`Jobs of ${entrypoint} in one group`, group.flatMap(picked), 1)
      )
    );

/** G7: at most one live job has a dedupe key. */
export const deduplicated: Check = ({ stories }) =>
  grouped(stories.filter(({ dedupeKey }) => dedupeKey !== null), (story) => story.dedupeKey!)
    .flatMap((group) =>
      crowded(
        `Live jobs with key ${group[0]!.dedupeKey}`,
        group.map((story) => ({
          from: story.changes[0]!.at,
          to: story.changes.find(({ after }) => !after || after.status === "failed")?.at ??
            Infinity,
          story,
        })),
        1,
      )
    );

/** G8: no job starts before its time. */
export const neverEarly: Check = ({ stories }) =>
  stories.flatMap((story) =>
    story.changes.some((change) => isClaim(change) && change.at < change.before!.due)
      ? [`Job ${story.id} was claimed before its time: ${tell(story)}`]
      : []
  );
