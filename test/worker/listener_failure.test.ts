/** What becomes of a worker that hears nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Driver, openWorkerDriver, PgQueuer } from "../../mod.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue.close());

/** A driver whose subscriptions say nothing, as one on a half-open connection or behind a pool. */
async function deafDriver(): Promise<Driver & { subscriptions: number }> {
  const driver = await openWorkerDriver(queue.dsn);
  const deaf: Driver & { subscriptions: number } = {
    subscriptions: 0,
    query: (text, parameters) => driver.query(text, parameters),
    script: (text) => driver.script(text),
    close: () => driver.close(),
    listen(_, listener) {
      deaf.subscriptions++;
      listener.onListening();
      return Promise.resolve({ close: () => Promise.resolve() });
    },
  };
  return deaf;
}

test(
  "with shutdownOnListenerFailure a run that hears nothing stops cleanly and rejects, else it goes on",
  async () => {
    const finish = deferred();
    const [driver, patient] = await Promise.all([deafDriver(), deafDriver()]);
    const pgq = new PgQueuer(driver, queue.names);
    pgq.entrypoint("work", () => finish.promise);
    const other = new PgQueuer(patient, queue.names);
    other.entrypoint("other", () => {});
    await queue.queries.enqueue("work", null);

    let end: unknown;
    const run = pgq.run({ dequeueTimeout: 50, shutdownOnListenerFailure: true })
      .then(() => end = "resolved", (error) => end = error);
    const otherRun = other.run({ dequeueTimeout: 50 });
    await until("it has found out", () => driver.subscriptions > 1);
    await queue.queries.enqueue("work", null);
    // It waits for its job, and claims no other.
    expect(end).toBe(undefined);
    finish.resolve();
    await run;

    expect(String(end)).toMatch(
      /^Error: Cannot go on listening as our own health check must be heard/,
    );
    expect((await queue.rows()).map(({ status }) => status)).toEqual(["queued"]);
    await until("the other has listened anew too", () => patient.subscriptions > 1);
    const id = await queue.queries.enqueue("other", null);
    await until(
      "its poll has found a job",
      async () => (await queue.history(id!)).includes("successful"),
    );
    await other.stop();
    await otherRun;
  },
  30_000,
);
