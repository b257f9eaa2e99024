/** What must be reached, as ratios of one run. */
import { OURS } from "./peers.ts";
import type { WorkloadResult } from "./results.ts";

/** One figure of a run. */
interface Place {
  readonly workload: string;
  /** The table's name of who reached it. @default ours */
  readonly contender?: string;
  /** @default `jobsPerSecond` */
  readonly figure?: string;
}

interface Target {
  readonly what: Place;
  readonly against: Place;
  /** The ratio must be at least, or at most, this. */
  readonly least?: number;
  readonly most?: number;
  /** What would be better still. */
  readonly goal?: number;
  readonly title: string;
}

const GRAPHILE = "graphile-worker tuned";
const BOSS = "pg-boss tuned";

function atLeast(
  workload: string,
  contender: string,
  least: number,
  more: { goal?: number; variant?: string; title?: string } = {},
): Target {
  const { variant, title = workload, ...goal } = more;
  return {
    what: variant === undefined ? { workload } : { workload, contender: variant },
    against: { workload, contender },
    least,
    ...goal,
    title: `${title}: ${least} × ${contender}`,
  };
}

/** The cost is flat: no more than a tenth below the plain drain of as many jobs. */
function flat(workload: string, plain: string): Target {
  return {
    what: { workload },
    against: { workload: plain },
    least: 0.9,
    title: `${workload}: within 10 % of the plain drain`,
  };
}

const TARGETS: readonly Target[] = [
  atLeast("bulk-enqueue", GRAPHILE, 1.6, { goal: 2 }),
  atLeast("single-enqueue", GRAPHILE, 8),
  atLeast("single-enqueue", GRAPHILE, 2, {
    variant: "pgqueuer, coalesce: false",
    title: "single-enqueue, not coalesced",
  }),
  atLeast("drain-1", GRAPHILE, 1.7, { goal: 2 }),
  atLeast("drain-1", BOSS, 2.6, { goal: 3 }),
  atLeast("drain-2", GRAPHILE, 1.4),
  flat("backlog", "drain-50k"),
  flat("deferred", "drain-50k"),
  flat("snapshot", "drain-1"),
  atLeast("snapshot", GRAPHILE, 3),
  {
    what: { workload: "latency", figure: "callP50" },
    against: { workload: "latency", contender: GRAPHILE, figure: "callP50" },
    most: 0.8,
    title: `latency p50: at most 0.8 × ${GRAPHILE}`,
  },
  {
    what: { workload: "latency", figure: "callP99" },
    against: { workload: "latency", contender: GRAPHILE, figure: "callP99" },
    most: 1,
    title: `latency p99: at most that of ${GRAPHILE}`,
  },
  {
    what: { workload: "drain-1" },
    against: { workload: "sql-floor" },
    least: 0.9,
    title: "drain-1: 0.9 × the SQL floor",
  },
];

/** What to measure to judge all of them; the drain on each runtime besides, which has none. */
export const TARGET_WORKLOADS: readonly string[] = [
  ...new Set(TARGETS.flatMap(({ what, against }) => [what.workload, against.workload])),
  "runtimes",
];

/** Who is in them. */
export const TARGET_CONTENDERS: readonly string[] = [
  ...new Set([OURS, ...TARGETS.flatMap(({ against }) => against.contender ?? [])]),
];

/** How a target stands in one run. */
export interface Reached {
  readonly title: string;
  readonly ratio: number;
  readonly wanted: string;
  readonly reached: boolean;
}

/** Compares a run with the targets. Those whose figures it does not have, or has of two runs, are left out. */
export function judge(workloads: readonly WorkloadResult[]): Reached[] {
  const find = ({ workload, contender = OURS, figure = "jobsPerSecond" }: Place) => {
    const found = workloads.find(({ name }) => name === workload);
    const result = found?.results.find((result) => result.contender === contender);
    return [result?.figures[figure]?.median, found?.measured] as const;
  };
  return TARGETS.flatMap(({ what, against, least, most, goal, title }) => {
    const [[ours, measured], [theirs, then]] = [find(what), find(against)];
    if (ours === undefined || theirs === undefined || measured !== then) return [];
    const ratio = Number((ours / theirs).toPrecision(3));
    const wanted = (least === undefined ? `≤ ${most}` : `≥ ${least}`) +
      (goal === undefined ? "" : `, goal ${goal}`);
    return [{
      title,
      ratio,
      wanted,
      reached: least === undefined ? ratio <= most! : ratio >= least,
    }];
  });
}
