/** Checks of leases: only who holds one writes, only for the attempt that it is for, and none is left when its worker is gone. */
import type { AuditRow, RowState } from "./audit.ts";
import type { Check } from "./check_jobs.ts";
import { type Evidence, isClaim, type LogEntry, type Story, tell } from "./evidence.ts";
import { HEARTBEAT_TIMEOUT_MS, runs } from "./kinds.ts";
import { RECOVERY_MS } from "./recovery.ts";

/** Whether the write was made by the process that held the lease. A process has several connections. */
function isOwner({ owners }: Evidence, { actor, before }: AuditRow): boolean {
  const owner = owners.get(before!.manager!);
  return actor === owner || actor.startsWith(`${owner} `);
}

/** Whether somebody who does not hold the lease may write so: it has run out, and the write says that it was taken over. */
function isTakeOver({ at, before, after }: AuditRow): boolean {
  return at - before!.heartbeat >= HEARTBEAT_TIMEOUT_MS &&
    after?.takeOvers === before!.takeOvers + 1;
}

/** G3: nobody but its holder writes to a picked job, other than to take it over when the lease has run out. */
export const fenced: Check = (evidence) =>
  evidence.stories.flatMap((story) =>
    [...story.changes, ...story.touches]
      .filter((write) => write.before?.status === "picked" && !isOwner(evidence, write))
      .filter((write) => isChanged(write) && !isTakeOver(write))
      .map((write) => `${write.actor} wrote to job ${story.id} without its lease: ${tell(story)}`)
  );

/** A cancel marks a picked job: it neither renews nor ends. */
function isChanged({ before, after }: AuditRow): boolean {
  return !after ||
    (Object.keys(before!) as (keyof RowState)[]).some((key) => before![key] !== after[key]);
}

/** What the handler of the very attempt must have said before its outcome may be stored. */
const SAID: Readonly<Partial<Record<LogEntry["status"], readonly string[]>>> = {
  successful: ["done"],
  exception: ["failed", "aborted"],
  failed: ["failed"],
  queued: ["failed"],
};

/** G3 within a process: an outcome is that of the attempt for which the lease was claimed, not of an older one. */
export const outcomesAreOwn: Check = (evidence) =>
  evidence.stories.flatMap((story) =>
    story.changes.flatMap((change, index) => {
      const said = SAID[story.log[index]?.status ?? "deleted"];
      const { before, after } = change;
      if (before?.status !== "picked" || !said || !isOwner(evidence, change)) return [];
      // Put back as it was: no outcome.
      if (after?.status === "queued" && after.attempts === before.attempts) return [];
      const claimedAt = story.changes.slice(0, index).findLast(isClaim)?.at ?? Infinity;
      return attemptsOf(story).some(({ manager, begunAt, end, endedAt }) =>
          manager === before.manager && begunAt >= claimedAt && said.includes(end) &&
          endedAt <= change.at
        )
        ? []
        : [`Job ${story.id} got an outcome that is not of its own attempt: ${tell(story)}`];
    })
  );

/** One run of a handler. */
export interface AttemptStory {
  readonly manager: string;
  readonly begunAt: number;
  /** What it said last. `begun`: it never came to its end. */
  readonly end: string;
  readonly endedAt: number;
}

/** The runs of a job's handler. */
export function attemptsOf({ effects }: Story): AttemptStory[] {
  return effects.filter(({ phase }) => phase === "begun").map((begun) => {
    const end = effects.find(({ attempt, phase }) =>
      attempt === begun.attempt && phase !== "begun"
    );
    return {
      manager: begun.manager,
      begunAt: begun.at,
      end: end?.phase ?? "begun",
      endedAt: end?.at ?? Infinity,
    };
  });
}

/** How long after its lease ran out a job was dealt with, of every job whose worker went silent. */
export function silences({ stories }: Evidence): { story: Story; from: number; to: number }[] {
  return stories.flatMap((story) =>
    story.changes.filter(({ before, after }) =>
      before?.status === "picked" && after?.takeOvers === before.takeOvers + 1
    ).map(({ before, at }) => ({ story, from: before!.heartbeat + HEARTBEAT_TIMEOUT_MS, to: at }))
  );
}

/** G9: a job whose worker went silent is dealt with soon, by any that has its handler and is left alone for long enough. */
export const recovered: Check = (evidence) =>
  silences(evidence).flatMap((silence) => {
    const { story, from, to } = silence;
    const idle = idleWorker(evidence, silence);
    return idle === null ? [] : [
      `Job ${story.id} waited ${((to - from) / 1_000).toFixed(1)} s after its lease had run out, ` +
      `as worker ${idle + 1} left it: ${tell(story)}`,
    ];
  });

function idleWorker(
  { disturbances, workers }: Evidence,
  { story, from, to }: { story: Story; from: number; to: number },
): number | null {
  for (let worker = 0; worker < workers; worker++) {
    const isIdle = disturbances.longestCalm(worker, from, to) > RECOVERY_MS;
    if (isIdle && runs(worker, workers, story.entrypoint)) return worker;
  }
  return null;
}

/** For so long a worker was left alone, and did not renew its leases: less than they last. */
const LEFT_ALONE_MS = 2_500;
/** Claims of which that may be so, as a busy machine leaves a worker no time. */
const MAX_LET_GO = 2;

/**
 * No worker that is there and left alone lets a lease run out: it renews those of jobs that run, puts back the jobs of
 * claims that it got no answer to, and stores outcomes when it can again.
 */
export const leasesKept: Check = (evidence) => {
  const letGo = evidence.stories.flatMap((story) =>
    story.changes.filter((change) =>
      change.before?.status === "picked" && isTakeOver(change) && wasThere(evidence, change)
    ).map(({ before, at }) => ({ story, before: before!, at }))
  );
  const claims = new Set(letGo.map(({ before }) => `${before.manager} ${before.heartbeat}`));
  return claims.size <= MAX_LET_GO
    ? []
    : letGo.map(({ story, before, at }) =>
      `The lease of job ${story.id} ran out ${
        ((at - before.heartbeat) / 1_000).toFixed(1)
      } s after it was renewed, and its worker was there: ${tell(story)}`
    );
};

/** Whether the process that held the lease was there, and had been left alone for long enough. */
function wasThere({ owners, endedAt, disturbances }: Evidence, { before, at }: AuditRow): boolean {
  const owner = owners.get(before!.manager!)!;
  const worker = parseInt(owner.slice("worker".length)) - 1;
  return (endedAt.get(owner) ?? Infinity) > at &&
    disturbances.calmBefore(worker, at) > LEFT_ALONE_MS;
}

/** G12: each worker takes jobs again soon after something was done to it. */
export const pinged: Check = (evidence) => {
  const stories = new Map(evidence.stories.map((story) => [story.id, story]));
  return evidence.pings.flatMap(({ worker, jobId, sentAt, after }) => {
    const story = stories.get(jobId);
    const takenAt = story?.changes.find(isClaim)?.at ?? Infinity;
    const calm = evidence.disturbances.longestCalm(worker, sentAt, Math.min(takenAt, Date.now()));
    return calm <= RECOVERY_MS && takenAt < Infinity ? [] : [
      `Worker ${worker + 1} left a job for ${(calm / 1_000).toFixed(1)} s ` +
      `with nothing done to it, after ${after}: ${story ? tell(story) : `job ${jobId} is gone`}`,
    ];
  });
};
