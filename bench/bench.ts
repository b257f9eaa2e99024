/** What a workload works with: databases that are filled once and copied for each measurement. */
import type { Sql } from "postgres";
import { type Contender, type Holdings, OURS, type Verdict } from "./peers.ts";
import type { Part, ProducerReport } from "./peers/task.ts";
import { type GivenTask, PeerProcess } from "./process.ts";
import type { BenchRedis } from "./redis.ts";
import type { BenchDatabase, BenchServer } from "./server.ts";

/** Named numbers of one measurement, such as `jobsPerSecond`. */
export type Figures = Record<string, number>;

/** One measurement of one contender. */
export interface Sample {
  readonly figures: Figures;
  /** What was not as it must be. Empty if all was right. */
  readonly problems: readonly string[];
  /** Values over time, for those workloads that look at it. */
  readonly series?: readonly Figures[];
}

/** One kind of work, measured for each contender in turn. */
export interface Workload {
  readonly name: string;
  /** As the table shows it. */
  readonly title: string;
  /** The figure that the table shows, and whether more of it is better. */
  readonly figure: string;
  readonly unit: string;
  readonly better: "more" | "less";
  /** "only": measured with `--soak`, or when it is asked for by name. */
  readonly soak?: "only";
  /** Whether `--quick` measures it without being asked. @default true */
  readonly inQuick?: boolean;
  /** Most rounds, for what takes long and is not compared. */
  readonly rounds?: number;
  /** What it does, for a reader of the figures: counts, after scaling. */
  parameters(bench: Bench): Readonly<Record<string, number | string>>;
  /** Who takes part. */
  contenders(bench: Bench): readonly Contender[];
  measure(bench: Bench, contender: Contender): Promise<Sample>;
}

/** What the command line asks for. */
export interface BenchOptions {
  readonly quick: boolean;
  readonly soak: boolean;
  readonly rounds: number;
  /** Share of the full number of jobs. */
  readonly scale: number;
}

/** How a database is filled. */
export interface Filling {
  readonly parts: readonly Part[];
  readonly payloadBytes?: number;
  readonly entrypoints?: number;
  readonly batch?: number;
  readonly variant?: string;
}

const EMPTY: Filling = { parts: [] };
/** Where the jobs of one measurement are. */
export interface Place {
  readonly dsn: string;
  /** `undefined` for what is not on PostgreSQL. */
  readonly sql: Sql | undefined;
  /** Time that its server has used so far. */
  cpuMs(): number | undefined;
  drop(): Promise<void>;
}

/** Longest time to fill a database. */
const FILL_MS = 30 * 60_000;
const INSPECT_MS = 30_000;

/** What a run has at hand. */
export interface BenchParts {
  readonly server: BenchServer;
  readonly redis: BenchRedis | undefined;
  readonly options: BenchOptions;
  /** All that can be measured here. */
  readonly contenders: readonly Contender[];
  readonly say: (line: string) => void;
}

/** The surroundings of a run. */
export class Bench {
  readonly server: BenchServer;
  readonly options: BenchOptions;
  readonly contenders: readonly Contender[];
  readonly #redis: BenchRedis | undefined;
  readonly #say: (line: string) => void;
  /** Filled databases, by what is in them. */
  readonly #templates = new Map<string, BenchDatabase>();

  constructor({ server, redis, options, contenders, say }: BenchParts) {
    this.server = server;
    this.options = options;
    this.contenders = contenders;
    this.#redis = redis;
    this.#say = say;
  }

  get ours(): Contender {
    return this.contenders.find(({ name }) => name === OURS)!;
  }

  /**
   * Ours, and each peer at its best settings, or those of them that are on PostgreSQL: of the latter, a quick run leaves
   * out the Python project.
   */
  best(only: "all" | "postgres" = "all"): Contender[] {
    const best = this.contenders.filter(({ name, tuned }) => tuned || name === OURS);
    if (only === "all") return best;
    return best.filter(({ peer, runtime }) =>
      peer.tables !== undefined && !(this.options.quick && runtime === "python")
    );
  }

  /** A number of jobs, as small as the run is quick. */
  scaled(count: number, least = 1): number {
    return Math.max(least, Math.round(count * this.options.scale));
  }

  /** A place with the contender's tables and these jobs. On PostgreSQL they are enqueued only once, then copied. */
  async open(contender: Contender, filling: Filling = EMPTY): Promise<Place> {
    if (contender.peer.tables === undefined) return await this.#openRedis(contender, filling);

    const key = JSON.stringify([contender.peer.name, filling]);
    let template = this.#templates.get(key);
    if (template === undefined) {
      template = await this.server.create();
      await this.#fill(contender, template.dsn, filling);
      await this.server.freeze(template);
      this.#templates.set(key, template);
    }
    const { dsn, sql, drop } = await this.server.create(template.name);
    return { dsn, sql, drop, cpuMs: () => this.server.cpuMs() };
  }

  async #openRedis(contender: Contender, filling: Filling): Promise<Place> {
    const redis = this.#redis!;
    await this.#fill(contender, redis.dsn, filling);
    return {
      dsn: redis.dsn,
      sql: undefined,
      cpuMs: () => redis.cpuMs(),
      drop: () => Promise.resolve(),
    };
  }

  async #fill(contender: Contender, dsn: string, filling: Filling): Promise<void> {
    const { peer, tuned } = contender;
    const task = { dsn, tuned, ...filling };
    await PeerProcess.run(contender.runtime, peer.file, { ...task, role: "install" });
    const count = filling.parts.reduce((sum, part) => sum + part.count, 0);
    if (count === 0) return;
    this.#say(`filling a database of ${peer.name} with ${count} jobs`);
    await this.produce(contender, { ...task, role: "fill" });
  }

  /** Runs a producer to its end. */
  async produce(
    contender: Contender,
    task: GivenTask,
    timeoutMs: number = FILL_MS,
  ): Promise<ProducerReport> {
    const { peer } = contender;
    const producer = await PeerProcess.start(contender.runtime, peer.file, task);
    producer.go();
    return await producer.report<ProducerReport>(timeoutMs);
  }
}

/** Compares what a contender's tables hold with what they must. */
export async function checkHoldings(
  contender: Contender,
  place: Place,
  wanted: Holdings & { readonly total: number },
): Promise<Verdict> {
  const found = await holdingsOf(contender, place);
  const problems: string[] = [];
  for (const name of ["ready", "deferred", "running", "done"] as const) {
    if (found[name] === null || wanted[name] === null || found[name] === wanted[name]) continue;
    problems.push(`${found[name]} jobs are ${name}, not ${wanted[name]}`);
  }
  const { done, total } = wanted;
  const more = await contender.peer.tables?.check?.(
    place.sql!,
    done ?? 0,
    total,
    contender.variant,
  );
  return {
    problems: problems.concat(more?.problems ?? []),
    figures: more?.figures ?? {},
  };
}

async function holdingsOf({ peer, runtime, tuned }: Contender, place: Place): Promise<Holdings> {
  if (peer.tables !== undefined) return await peer.tables.holdings(place.sql!);
  const inspector = await PeerProcess.start(runtime, peer.file, {
    role: "inspect",
    dsn: place.dsn,
    tuned,
  });
  inspector.go();
  return await inspector.report<Holdings>(INSPECT_MS);
}

/** `count` jobs that are ready at once, numbered from 1. */
export function ready(count: number, first = 1): Part {
  return { first, count, delayMs: 0 };
}

/** Sum of the numbers of jobs. */
export function sumOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { first, count }) => sum + count * first + count * (count - 1) / 2, 0);
}
