/** Numbers of several rounds as one: median and range. */
import type { Figures, Sample } from "./bench.ts";

/** The value below which this share of the values is. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One figure of a contender over all rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Every figure over all rounds. */
export function summarize(samples: readonly Sample[]): Record<string, Spread> {
  const names = new Set(samples.flatMap(({ figures }) => Object.keys(figures)));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = samples.map(({ figures }) => figures[name as keyof Figures])
        .filter((value) => value !== undefined);
      const spread: Spread = {
        median: rounded(median(values)),
        min: rounded(Math.min(...values)),
        max: rounded(Math.max(...values)),
      };
      return [name, spread];
    }),
  );
}

/** Points of a series that a result keeps: more cannot be told apart in the chart. */
export const SERIES_POINTS = 150;

/** A series with no more than {@link SERIES_POINTS} of its points, the first and the last among them. */
export function thinned(series: readonly Figures[]): Figures[] {
  const last = series.length - 1;
  const step = Math.max(1, last / (SERIES_POINTS - 1));
  const count = Math.min(series.length, SERIES_POINTS);
  return Array.from({ length: count }, (_, index) => {
    const point = Object.entries(series[Math.round(index * step)]!);
    // What is counted keeps all digits, and so does the time: it is their differences that are drawn.
    return Object.fromEntries(point.map(([name, value]) => [
      name,
      name === "at" ? Math.round(value) : Number.isInteger(value) ? value : rounded(value),
    ]));
  });
}

/** Four digits: more would be noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** The longest time between looks in which fewer than `rate` jobs a second ran between each and the next. */
export function longestBelow(
  looks: readonly { readonly at: number; readonly jobs: number }[],
  rate: number,
): number {
  let longest = 0;
  let since: number | undefined;
  for (const [index, { at, jobs }] of looks.entries()) {
    const before = looks[index - 1];
    if (before === undefined) continue;
    const isBelow = (jobs - before.jobs) * 1_000 < rate * (at - before.at);
    since = isBelow ? since ?? before.at : undefined;
    if (since !== undefined) longest = Math.max(longest, at - since);
  }
  return longest;
}
