import type { BusySessions } from "../queries/bench.ts";

/** What a drain was busy with. Sessions are averages over the time that it took. */
export interface DrainLoad {
  /** Share of one processor that this process used, server apart. */
  readonly workerCpu: number;
  readonly sessions: BusySessions;
}

/** What one job of the latency measurement waited for, in milliseconds. */
export interface LatencyParts {
  readonly totalMs: number;
  readonly roundTripMs: number;
  readonly commitMs: number;
}

/** What held something up, and what would help. */
export interface Limit {
  readonly by:
    | "worker"
    | "postgres"
    | "commits"
    | "locks"
    | "disk"
    | "network"
    | "scheduling";
  readonly text: string;
}

/** Below this share nothing was busy: the rest of the time went into waiting for answers. */
const BUSY_SHARE = 0.5;

/** From the call of `enqueue` to the handler there are two commits, each a round trip: the job's and the claim's. */
const STEPS = 2;

/** Says what a drain waited for most. */
export function limitOfDrain({ workerCpu, sessions }: DrainLoad, roundTripMs: number): Limit {
  const { computing, committing, locked, reading } = sessions;
  const shares: [share: number, limit: Limit][] = [
    [workerCpu, {
      by: "worker",
      text: `the worker's processor, ${percent(workerCpu)} of one: run more worker processes`,
    }],
    [computing, {
      by: "postgres",
      text: `PostgreSQL's processor: ${
        computing.toFixed(1)
      } sessions computed at a time, so faster or more cores would help`,
    }],
    [committing, {
      by: "commits",
      text: `commits: ${
        committing.toFixed(1)
      } sessions waited for the server's log at a time, so a faster disk for it would help`,
    }],
    [locked, {
      by: "locks",
      text: `locks: ${locked.toFixed(1)} sessions waited for one another at a time`,
    }],
    [reading, {
      by: "disk",
      text: `the disk: ${
        reading.toFixed(1)
      } sessions waited for data at a time, so more memory for the server would help`,
    }],
  ];
  const [share, limit] = shares.reduce((most, one) => one[0] > most[0] ? one : most);
  if (share >= BUSY_SHARE) return limit;
  return {
    by: "network",
    text:
      `round trips of ${ms(roundTripMs)}: neither the worker nor PostgreSQL was busy for half of ` +
      "the time, so bring them closer together, or run more worker processes",
  };
}

/** Says what took most of the time from a call of `enqueue` to its handler. */
export function limitOfLatency({ totalMs, roundTripMs, commitMs }: LatencyParts): Limit {
  const [commits, trips] = [STEPS * commitMs, STEPS * roundTripMs];
  const rest = totalMs - commits - trips;
  if (commits >= trips && commits >= rest) {
    return {
      by: "commits",
      text: `two commits of ${ms(commitMs)}: a faster disk for the server's log would help`,
    };
  }
  if (trips >= rest) {
    return {
      by: "network",
      text: `two round trips of ${ms(roundTripMs)}: bring worker and database closer together`,
    };
  }
  return {
    by: "scheduling",
    text:
      `${ms(rest)} of work in PostgreSQL and in this process, beside commits and round trips: ` +
      "faster processors would help, or less else that runs on them",
  };
}

/** Such as `0.42 ms`. */
export function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
