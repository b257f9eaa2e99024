import type { Job } from "../job.ts";
import { checkJob } from "../new_job.ts";
import { knownOptions } from "../validate.ts";

/** What a claimed job has where the test gives nothing. */
function defaults(): Job {
  const now = new Date();
  return {
    id: 1,
    priority: 0,
    created: now,
    updated: now,
    heartbeat: now,
    executeAfter: now,
    status: "picked",
    entrypoint: "test",
    dedupeKey: null,
    payload: null,
    headers: null,
    attempts: 0,
    queueManagerId: "00000000-0000-4000-8000-000000000001",
    slot: null,
  };
}

/**
 * Makes a job as a handler gets it, without a database: claimed a moment ago, in its first attempt.
 *
 * @example A job with what the test is about
 * ```ts
 * import { fakeJob } from "pgqueuer/testing";
 * import assert from "node:assert/strict";
 *
 * const job = fakeJob({ entrypoint: "send_welcome", payload: new TextEncoder().encode("42") });
 *
 * assert.equal(job.attempts, 0);
 * assert.equal(job.status, "picked");
 * ```
 *
 * @param fields What differs from the defaults: id 1, entrypoint `test`, priority 0, no payload, no headers, no dedupe key.
 * @returns A job with every field.
 * @throws {TypeError} If a field is unknown, or of a kind that no job of the queue has, such as a payload that is a string.
 * @throws {RangeError} If a value is out of range.
 */
export function fakeJob(
  fields: { readonly [Field in keyof Job]?: Job[Field] | undefined } = {},
): Job {
  const filled = defaults();
  knownOptions("fields", fields, Object.keys(filled));
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const job: Job = { ...filled, ...Object.fromEntries(given) };
  // What enqueue() refuses cannot come out of the queue.
  const { entrypoint, payload, priority, dedupeKey, headers } = job;
  checkJob({ entrypoint, payload, priority, dedupeKey, headers });
  return job;
}
