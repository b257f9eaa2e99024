/** Parts of the queue, as claims read them. */
import type { JobId } from "../job.ts";
import { numberArray, textArray } from "../sql/array_literal.ts";

/** Part of the ready jobs of one entrypoint: contiguous in the index, if `lowest` is `highest` or `after` is 0. */
export interface ClaimRange {
  readonly entrypoint: string;
  readonly lowest: number;
  readonly highest: number;
  /** Only jobs with a higher id. */
  readonly after: JobId;
}

/** Bounds of a priority. */
export const LOWEST_PRIORITY: number = -(2 ** 31);
export const HIGHEST_PRIORITY: number = 2 ** 31 - 1;

/** All ready jobs of an entrypoint. */
export function wholeRange(entrypoint: string): ClaimRange {
  return { entrypoint, lowest: LOWEST_PRIORITY, highest: HIGHEST_PRIORITY, after: 0 };
}

/** As parameters of a statement, which reads the highest priorities first. */
export function encodeRanges(given: readonly ClaimRange[]): string[] {
  const ranges = given.toSorted((one, other) => other.highest - one.highest);
  return [
    textArray(ranges.map((range) => range.entrypoint)),
    numberArray(ranges.map((range) => range.lowest)),
    numberArray(ranges.map((range) => range.highest)),
    numberArray(ranges.map((range) => range.after)),
  ];
}
