/** Checks of what became of the jobs: none lost, none invented, each ended once and as it had to, and the log says so. */
import type { AuditRow } from "./audit.ts";
import { type Evidence, type LogEntry, type Story, tell } from "./evidence.ts";
import { type End, endOf } from "./kinds.ts";

/** Something to look at. Gives a line for each breach, and none if all is well. */
export type Check = (evidence: Evidence) => string[];

const ENDS: readonly string[] = ["successful", "exception", "canceled", "deleted", "failed"];

/** G1: the jobs of a transaction are there if and only if it committed, whatever its caller was told. */
export const outbox: Check = ({ stories, markers, ledger }) => {
  const found = new Map<string, number[]>();
  for (const { id, task } of stories) found.set(task.tag, [...found.get(task.tag) ?? [], id]);

  return ledger.flatMap((entry) => {
    const { tag, told, transaction } = entry;
    const jobs = found.get(tag) ?? [];
    const marked = markers.get(tag);
    const ids = entry.ids.filter((id) => id !== null);
    const breaches: string[] = [];
    if (transaction && String(jobs) !== String([...marked ?? []].sort((a, b) => a - b))) {
      breaches.push(
        marked
          ? `Transaction ${tag} committed with jobs ${marked}: found ${jobs}`
          : `Transaction ${tag} did not commit: found jobs ${jobs}`,
      );
    }
    if (transaction && told === "rolled back" && marked) breaches.push(`${tag} was rolled back`);
    if (told === "enqueued" && String(jobs) !== String([...ids].sort((a, b) => a - b))) {
      breaches.push(`Call ${tag} was told of jobs ${ids}: found ${jobs}`);
    }
    return breaches;
  });
};

/** G2: every job has ended, in the way it had to, and has run where that is needed. */
export const ended: Check = ({ stories }) =>
  stories.flatMap((story) => {
    const end = endOf(story.entrypoint, story.task);
    const last = story.log.at(-1)?.status;
    const wrong = last !== end
      ? `ended as ${last} and not as ${end}`
      : end !== "canceled" && story.effects.length === 0
      ? "never ran"
      : story.row !== (end === "failed" ? "failed" : null)
      ? `has a row that is ${story.row}`
      : null;
    return wrong ? [`Job ${story.id} ${wrong}: ${tell(story)}`] : [];
  });

/** What the log has to say of a change. For a delete it says how the job ended, which only the log knows. */
function logged({ before, after }: AuditRow): (status: LogEntry["status"]) => boolean {
  if (after) return (status) => status === after.status;
  return (status) => ENDS.includes(status) && (status !== "failed" || before?.status === "failed");
}

/** The log has one row for each change of a job's row, in the same order: so no end is told twice, or by one too late. */
export const logAgrees: Check = ({ stories }) =>
  stories.flatMap((story) => {
    const agrees = story.log.length === story.changes.length &&
      story.changes.every((change, index) => logged(change)(story.log[index]!.status));
    return agrees ? [] : [`The log of job ${story.id} tells otherwise: ${tell(story)}`];
  });

/** A job ends once. */
export const endsOnce: Check = ({ stories }) =>
  stories.flatMap((story) => {
    const ends = story.log.filter(({ status }) => ENDS.includes(status));
    return ends.length <= 1 ? [] : [`Job ${story.id} ended ${ends.length} times: ${tell(story)}`];
  });

/** An attempt is charged for a handler that failed, and for nothing else: no kill, no release, no take-over. */
export const attemptsCharged: Check = ({ stories }) =>
  stories.flatMap((story) => {
    let charged = 0;
    for (const change of story.changes) {
      const more = (change.after?.attempts ?? charged) - charged;
      if (more === 0) continue;
      const failed = story.effects.some(({ phase, attempts, at }) =>
        phase === "failed" && attempts === charged && at <= change.at
      );
      if (more !== 1 || change.after!.status !== "queued" || !failed) {
        return [`Job ${story.id} was charged an attempt for nothing: ${tell(story)}`];
      }
      charged++;
    }
    const rightly = story.effects.every(({ attempts }) => attempts <= charged) &&
      charged === expectedRetries(story);
    return rightly ? [] : [`Job ${story.id} had ${charged} retries: ${tell(story)}`];
  });

function expectedRetries(story: Story): number {
  const { fails = 0 } = story.task;
  const last: End = endOf(story.entrypoint, story.task);
  return story.entrypoint === "flaky" ? (last === "successful" ? fails : fails - 1) : 0;
}
