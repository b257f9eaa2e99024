/** How far back statements look. */

/** Longer than anything is there, in milliseconds. */
export const ANY_AGE_MS = 1e12;

/** In milliseconds: what is older is not looked at. */
export interface Ages {
  /** Heartbeats of jobs whose lease may run out. */
  readonly leaseMs: number;
  /** Heartbeats of jobs that have a seat. */
  readonly seatMs: number;
  /** Times at which deferred jobs became due. */
  readonly dueMs: number;
}

/** Everything is looked at. */
export const ANY_AGES: Ages = { leaseMs: ANY_AGE_MS, seatMs: ANY_AGE_MS, dueMs: ANY_AGE_MS };
