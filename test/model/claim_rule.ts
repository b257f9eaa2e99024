/** Which jobs may start: the rule of a claim (G4, G5, G6, G8 and `serializedDispatch`), and what a worker waits for. */
import type { Gate } from "../../src/queries/gate.ts";
import type { Outlook } from "../../src/queries/queue.ts";

/** A job that has not ended. */
export interface ModelJob {
  readonly id: number;
  readonly entrypoint: string;
  readonly dedupeKey: string | null;
  readonly payload: string | null;
  readonly headers: { readonly [key: string]: number } | null;
  readonly created: number;
  priority: number;
  status: "queued" | "picked" | "failed";
  /** Queue manager that holds the lease. */
  manager: string | null;
  slot: number | null;
  attempts: number;
  /** Workers in a row that died while they ran it. */
  takeOvers: number;
  cancelRequested: boolean;
  updated: number;
  heartbeat: number;
  due: number;
}

/** What the rule looks at. */
export interface Fleet {
  readonly jobs: ReadonlyMap<number, ModelJob>;
  readonly buckets: TokenBuckets;
}

/** The order of a claim. */
export function byOrder(one: ModelJob, other: ModelJob): number {
  return other.priority - one.priority || one.id - other.id;
}

/** Tokens of rated entrypoints: as many come in a second as jobs may start, up to the burst. */
export class TokenBuckets {
  readonly #left = new Map<string, { tokens: number; at: number }>();

  /** A bucket that nobody has taken from is full. */
  tokens({ entrypoint, requestsPerSecond: rate }: Gate, at: number): number {
    if (rate === Infinity) return Infinity;
    const burst = Math.max(1, rate);
    const left = this.#left.get(entrypoint);
    return left ? Math.min(burst, left.tokens + (at - left.at) / 1_000 * rate) : burst;
  }

  take(gate: Gate, at: number): void {
    const tokens = this.tokens(gate, at) - 1;
    if (tokens < Infinity) this.#left.set(gate.entrypoint, { tokens, at });
  }

  /** When there is a token. */
  nextAt(gate: Gate, now: number): number {
    const missing = 1 - this.tokens(gate, now);
    return missing <= 0 ? now : now + missing / gate.requestsPerSecond * 1_000;
  }
}

function dueJobs({ jobs }: Fleet, { entrypoint }: Gate, at: number): ModelJob[] {
  return [...jobs.values()].filter((job) =>
    job.entrypoint === entrypoint && job.status === "queued" && job.due <= at
  );
}

function pickedJobs({ jobs }: Fleet, { entrypoint }: Gate): ModelJob[] {
  return [...jobs.values()].filter((job) =>
    job.entrypoint === entrypoint && job.status === "picked"
  );
}

function freeSeats(fleet: Fleet, gate: Gate): number {
  return gate.concurrencyLimit > 0
    ? Math.max(0, gate.concurrencyLimit - pickedJobs(fleet, gate).length)
    : Infinity;
}

/** Jobs without a key are one group; that jobs with one key do not meet is G7. */
function isGroupBusy(fleet: Fleet, gate: Gate): boolean {
  return gate.serializedDispatch &&
    pickedJobs(fleet, gate).some(({ dedupeKey }) => dedupeKey === null);
}

/** Whether claims of an entrypoint have to count. */
export function isCounted(gate: Gate): boolean {
  return gate.concurrencyLimit > 0 || gate.requestsPerSecond < Infinity || gate.serializedDispatch;
}

/**
 * The jobs that a claim gets at an instant: the first in order, each as far as its entrypoint lets it start.
 *
 * @param most Most jobs, and most of those whose entrypoints count.
 */
export function startable(
  fleet: Fleet,
  gates: readonly Gate[],
  most: { readonly limit: number; readonly counted: number },
  at: number,
): ModelJob[] {
  const allowed = gates.flatMap((gate) => {
    const room = Math.min(freeSeats(fleet, gate), Math.floor(fleet.buckets.tokens(gate, at)));
    let busy = isGroupBusy(fleet, gate);
    return dueJobs(fleet, gate, at).sort(byOrder).filter(({ dedupeKey }) => {
      if (!gate.serializedDispatch || dedupeKey !== null) return true;
      const first = !busy;
      busy = true;
      return first;
    }).slice(0, room);
  });
  const counted = gates.filter(isCounted).map(({ entrypoint }) => entrypoint);
  let left = most.counted;
  return allowed.sort(byOrder).filter(({ entrypoint }) =>
    !counted.includes(entrypoint) || left-- > 0
  ).slice(0, most.limit);
}

/** Whether a job that is due waits for the end of another. */
function isBlocked(fleet: Fleet, gate: Gate, now: number): boolean {
  const due = dueJobs(fleet, gate, now);
  if (due.length === 0) return false;
  // Where one with a key waits for a token only, those without a key are no reason to listen for ends: they need it too.
  return freeSeats(fleet, gate) === 0 ||
    isGroupBusy(fleet, gate) && due.every(({ dedupeKey }) => dedupeKey === null);
}

/** What is wrong with what a worker was told to wait for. Whoever obeys it must never start a job late, nor spin. */
export function faultsOf(
  outlook: Outlook,
  fleet: Fleet,
  gates: readonly Gate[],
  now: number,
): string[] {
  const jobs = [...fleet.jobs.values()];
  const deferredAt = jobs.flatMap(({ entrypoint, status, due }) =>
    status === "queued" && due > now && gates.some((gate) => gate.entrypoint === entrypoint)
      ? [due]
      : []
  );
  const tokensAt = gates.filter((gate) => gate.requestsPerSecond < Infinity)
    .map((gate) => fleet.buckets.nextAt(gate, now)).filter((at) => at > now);
  // All that happens by itself. After each of these there may be work.
  const instants = [...deferredAt, ...tokensAt];
  const canStart = (at: number): boolean =>
    startable(fleet, gates, { limit: 1, counted: 1 }, at).length > 0;
  const firstAt = Math.min(Infinity, ...instants.filter(canStart));
  const staleAt = gates.filter(({ leaseMs }) => leaseMs > 0).flatMap((gate) =>
    pickedJobs(fleet, gate).map(({ heartbeat }) => heartbeat + gate.leaseMs)
  );

  const { ready, blocked, dueMs, tokenMs, staleMs } = outlook;
  const faults: string[] = [];
  const must = (holds: boolean, fault: string): void => void (holds || faults.push(fault));
  must(staleMs === Math.min(Infinity, ...staleAt) - now, "the next lease runs out at another time");
  must(ready === canStart(now), `ready is ${ready}, a claim would say ${!ready}`);
  if (ready) return faults;
  must(
    blocked === gates.some((gate) => isBlocked(fleet, gate, now)),
    `blocked is ${blocked}, but the queue says ${!blocked}`,
  );
  must(dueMs === Infinity || deferredAt.includes(now + dueMs), "nothing is due then");
  must(tokenMs === Infinity || tokensAt.includes(now + tokenMs), "no token comes then");
  must(Math.min(dueMs, tokenMs) <= firstAt - now, `late: a job may start in ${firstAt - now} ms`);
  return faults;
}
