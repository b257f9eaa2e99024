import { type Limit, limitOfDrain, limitOfLatency, ms } from "./bench_limits.ts";
import { type BenchResult, type Percentiles, runBench } from "./bench_run.ts";
import { CliError, type Command, type Input, UsageError } from "./command.ts";
import { requireDsn } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { createLog } from "./log.ts";
import { printJson, wantsJson } from "./output.ts";
import { ProgressBar } from "./progress_bar.ts";
import { StopSignals } from "./stop_signals.ts";

const DEFAULT_JOBS = 20_000;

/** `pgq bench` */
export const bench: Command = {
  name: "bench",
  summary: "Measure how fast a queue is on this database, and what limits it",
  args: [],
  flags: [{
    flags: "--jobs <number>",
    summary: `how many jobs to enqueue and to drain (default: ${DEFAULT_JOBS})`,
  }],
  notes:
    `It works in a schema of its own, which it drops at the end and on Ctrl-C, too. The jobs do nothing; one worker runs
them, in this process. It keeps the server busy: do not run it where others need that server now.

Example:
  pgq bench --pg-dsn postgresql://app@localhost/shop --jobs 100000`,

  async run(input, surroundings) {
    refuseNames(input);
    const { jobs = DEFAULT_JOBS } = readFlags(input.flags, ["jobs"]);
    const { dsn, dropped } = requireDsn(input.flags, surroundings.env);
    for (const line of dropped) surroundings.say(line);

    const json = wantsJson(input);
    const bar = new ProgressBar(json ? undefined : surroundings.terminal);
    const stop = new AbortController();
    const abort = (reason: string): void =>
      stop.abort(new CliError(`Stopped on ${reason}, and dropped the schema of the measurement`));
    const signals = new StopSignals({ stop: abort, hurry: () => {} });
    try {
      const result = await runBench({
        dsn,
        jobs,
        signal: stop.signal,
        logger: createLog("warning", surroundings.say),
        onProgress: (share, what) => bar.show(share, what),
      });
      bar.clear();
      const limits = limitsOf(result);
      if (json) printJson(surroundings, jsonOf(result, jobs, limits));
      else for (const line of linesOf(result, jobs, limits)) surroundings.print(line);
      return 0;
    } finally {
      bar.clear();
      signals.close();
    }
  },
};

/** What limited each part. */
interface Limits {
  readonly drain: Limit;
  readonly latency: Limit;
}

function refuseNames({ flags }: Input): void {
  for (const name of ["schema", "prefix"]) {
    if (flags[name] === undefined) continue;
    throw new UsageError(
      `Cannot use "--${name}" as pgq bench makes a schema of its own: leave it out`,
    );
  }
}

function limitsOf(result: BenchResult): Limits {
  const { load, roundTripMs, commitMs, fromCall } = result;
  return {
    drain: limitOfDrain(load, roundTripMs),
    latency: limitOfLatency({ totalMs: fromCall.p50, roundTripMs, commitMs }),
  };
}

function linesOf(result: BenchResult, jobs: number, limits: Limits): string[] {
  const { version, roundTripMs, commitMs, fromCall, fromCommit } = result;
  return [
    `PostgreSQL ${version}: round trip ${ms(roundTripMs)}, commit ${ms(commitMs)}`,
    `Enqueue: ${whole(result.enqueuePerSecond)} jobs/s (${whole(jobs)} jobs, 1,000 at a time)`,
    `Drain:   ${whole(result.drainPerSecond)} jobs/s (one worker, handlers that do nothing)`,
    `         limited by ${limits.drain.text}`,
    `Latency: ${spread(fromCall)} from the call of enqueue to the handler`,
    `         ${spread(fromCommit)} from its commit`,
    `         limited by ${limits.latency.text}`,
  ];
}

function jsonOf(result: BenchResult, jobs: number, limits: Limits): unknown {
  const { load, fromCall, fromCommit } = result;
  return {
    postgres: result.version,
    jobs,
    round_trip_ms: digits(result.roundTripMs),
    commit_ms: digits(result.commitMs),
    enqueue: { jobs_per_second: digits(result.enqueuePerSecond) },
    drain: {
      jobs_per_second: digits(result.drainPerSecond),
      seconds: digits(result.drainMs / 1_000),
      worker_cpu: digits(load.workerCpu),
      sessions: {
        computing: digits(load.sessions.computing),
        committing: digits(load.sessions.committing),
        locked: digits(load.sessions.locked),
        reading: digits(load.sessions.reading),
      },
      limited_by: limits.drain.by,
    },
    latency: {
      samples: result.samples,
      from_call_ms: rounded(fromCall),
      from_commit_ms: rounded(fromCommit),
      limited_by: limits.latency.by,
    },
  };
}

function spread({ p50, p95, p99 }: Percentiles): string {
  return `p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}`;
}

function rounded({ p50, p95, p99 }: Percentiles): Percentiles {
  return { p50: digits(p50), p95: digits(p95), p99: digits(p99) };
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Four digits: more would be noise. */
function digits(value: number): number {
  return Number(value.toPrecision(4));
}
