/** A moment on both clocks: the monotonic one may stand still while the machine sleeps, and the other one may be set. */
export interface Moment {
  /** Milliseconds of `performance.now()`. */
  readonly monotonic: number;
  /** Milliseconds of `Date.now()`. */
  readonly wall: number;
}

/** This moment. */
export function momentNow(): Moment {
  return { monotonic: performance.now(), wall: Date.now() };
}

/** Milliseconds since a moment, by the clock that says more: whoever asks would rather look once too often. */
export function msSince(moment: Moment): number {
  return Math.max(performance.now() - moment.monotonic, Date.now() - moment.wall);
}
