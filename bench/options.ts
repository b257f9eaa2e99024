/** The command line of the bench. */
import { parseArgs } from "node:util";
import type { BenchOptions } from "./bench.ts";
import { CONTENDERS, OURS } from "./peers.ts";
import { TARGET_CONTENDERS, TARGET_WORKLOADS } from "./targets.ts";

/** What a run is asked for. */
export interface RunOptions extends BenchOptions {
  readonly json: boolean;
  /** Only the workloads that have a target, at their full size. */
  readonly targets: boolean;
  /** What is measured takes its place in the last complete result, and in the document. */
  readonly merge: boolean;
  /** Workloads, by the beginning of their names; empty: all. */
  readonly only: readonly string[];
  /** Contenders, by the beginning of their names; empty: all. */
  readonly peers: readonly string[];
}

export const USAGE = `npm run bench -- [options]

  --quick          small numbers, one round: under two minutes
  --targets        what has a target, beside the peers of those, and the drain on each runtime: 20 minutes
  --soak           the pressure workloads at full length, and the soak
  --only NAME      workloads whose name begins so; may be repeated
  --peers NAME     contenders whose name begins so; may be repeated
  --merge          what is measured takes the place of its former figures in docs/performance.md
  --rounds N       interleaved rounds (default: 3, quick 1)
  --scale X        share of the full number of jobs (default: 1, quick 0.025)
  --json           print one JSON object on stdout, and nothing else
  --list           print the names of the workloads
`;

/** Thrown for a wrong command line. */
export class BenchUsageError extends Error {
  override readonly name = "BenchUsageError";
}

/** Reads the command line; gives the word for a run that only prints something. */
export function readOptions(argv: readonly string[]): RunOptions | "help" | "list" {
  const { values } = parse(argv);
  if (values.help) return "help";
  if (values.list) return "list";
  const quick = values.quick ?? false;
  const targets = values.targets ?? false;
  const merge = values.merge ?? false;
  if (merge && (quick || values.scale)) {
    throw new BenchUsageError(
      "Cannot use --merge as figures of the full size must stay apart from others: leave out --quick and --scale",
    );
  }
  if (targets && (quick || values.soak || values.only || values.peers)) {
    throw new BenchUsageError(
      "Cannot use --targets as it says what to measure by itself: leave out --quick, --soak, --only and --peers",
    );
  }
  for (const name of values.peers ?? []) {
    // Ours has more of them, such as "pgqueuer on Deno": those of one workload.
    if (name.startsWith(OURS) || CONTENDERS.some((one) => one.name.startsWith(name))) continue;
    const names = CONTENDERS.map((one) => one.name).join(", ");
    throw new BenchUsageError(
      `Cannot use --peers as it must name one of ${names}, or several if it is given again: current value is "${name}"`,
    );
  }
  return {
    quick,
    soak: values.soak ?? false,
    json: values.json ?? false,
    targets,
    merge,
    only: values.only ?? (targets ? TARGET_WORKLOADS : []),
    peers: values.peers ?? (targets ? TARGET_CONTENDERS : []),
    rounds: positive("--rounds", values.rounds, quick ? 1 : 3, true),
    scale: positive("--scale", values.scale, quick ? 0.025 : 1, false),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        quick: { type: "boolean" },
        soak: { type: "boolean" },
        targets: { type: "boolean" },
        merge: { type: "boolean" },
        json: { type: "boolean" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        only: { type: "string", multiple: true },
        peers: { type: "string", multiple: true },
        rounds: { type: "string" },
        scale: { type: "string" },
      },
    });
  } catch (cause) {
    throw new BenchUsageError((cause as Error).message, { cause });
  }
}

function positive(
  name: string,
  text: string | undefined,
  fallback: number,
  whole: boolean,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (value > 0 && (!whole || Number.isInteger(value))) return value;
  throw new BenchUsageError(
    `Cannot use ${name} as it must be a ${
      whole ? "whole number >= 1" : "number > 0"
    }: current value is "${text}"`,
  );
}
