/** What is stored of attempts, as the statements take it. */
import { numberArray, textArray } from "../sql/array_literal.ts";
import type { Traceback } from "../traceback.ts";
import type { ClaimedJob } from "./job_row.ts";

/** What a claim is known by. */
export type Claimed = Pick<ClaimedJob, "id" | "lease">;

/** An outcome that puts a job back for another attempt. */
export interface Retry {
  readonly job: Claimed;
  readonly delayMs: number;
  readonly traceback: Traceback | null;
}

/** An outcome of a job that has failed, for good or to be held. */
export interface Failure {
  readonly job: Claimed;
  readonly traceback: Traceback | null;
}

/** Their ids, as a statement takes them. */
export function idsOf(jobs: readonly Claimed[]): string {
  return numberArray(jobs.map((job) => job.id));
}

/** Their leases, likewise. */
export function leasesOf(jobs: readonly Claimed[]): string {
  return `{${jobs.map((job) => job.lease).join(",")}}`;
}

/** Parameters of a statement that stores failures. */
export function encodeFailures(failures: readonly Failure[], queueManagerId: string): string[] {
  return [
    idsOf(failures.map(({ job }) => job)),
    textArray(failures.map((failure) => encodeTraceback(failure.traceback))),
    queueManagerId,
    leasesOf(failures.map(({ job }) => job)),
  ];
}

/** A traceback as JSON. */
export function encodeTraceback(traceback: Traceback | null): string | null {
  return traceback === null ? null : JSON.stringify(traceback);
}
