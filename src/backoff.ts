/** First wait after a failure. Short, since a killed connection is back at once. */
const INITIAL_MS = 50;

/** A queue that is back should be noticed within seconds. */
const MAX_MS = 2_000;

/** When to look again at a job that is ready and that another session has locked: at first, and at last. */
const LOCKED_POLL_MS = { first: 5, last: 100 };

/**
 * How long to wait before a failed statement is sent again: doubles with each failure up to two seconds, less a random
 * part of up to a half, so that the workers of a fleet do not return all at once.
 *
 * @param failures Failures in a row; `1` after the first.
 * @param random From 0 to 1.
 */
export function reconnectDelayMs(failures: number, random: number = Math.random()): number {
  return Math.min(MAX_MS, INITIAL_MS * 2 ** (failures - 1)) * (1 - random / 2);
}

/**
 * How long to wait before a look at a locked job: longer each time, and never the same for two workers.
 *
 * @param looks Looks in a row that found it; `1` after the first.
 * @param random From 0 to 1.
 */
export function lockedPollMs(looks: number, random: number = Math.random()): number {
  return Math.min(LOCKED_POLL_MS.last, LOCKED_POLL_MS.first * 2 ** (looks - 1)) * (1 - random / 2);
}

/**
 * How long to wait before a failed worker is made again: doubles with each failure up to `maxMs`, less a random part of
 * up to a half.
 *
 * @param failures Failures in a row; `1` after the first.
 * @param initialMs Wait after the first failure.
 * @param maxMs Longest wait.
 * @param random From 0 to 1.
 */
export function restartDelayMs(
  failures: number,
  initialMs: number,
  maxMs: number,
  random: number = Math.random(),
): number {
  // Nothing doubles to nothing, and a worker that fails at once would keep a processor busy.
  const firstMs = failures === 1 ? initialMs : Math.max(initialMs, INITIAL_MS);
  return Math.min(maxMs, firstMs * 2 ** (failures - 1)) * (1 - random / 2);
}
