import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import {
  CompletionWatcher,
  type CompletionWatcherOptions,
  type Driver,
  fromPostgresJs,
  JobNotFoundError,
  openWorkerDriver,
  SchemaError,
  WaitTimeoutError,
} from "../../mod.ts";
import { deferred, openTestQueue, type TestQueue, until } from "../support/queue.ts";

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(() => queue.clear());
afterAll(() => queue.close());

/** A poll that no test waits for: what ends sooner was woken. */
const NO_POLL = { hours: 1 };

/** A watcher on connections of its own, and the statements that it sent. */
async function openWatcher(options: CompletionWatcherOptions = {}): Promise<{
  watcher: CompletionWatcher;
  driver: Driver;
  looks: () => number;
  close: () => Promise<void>;
}> {
  const driver = await openWorkerDriver(queue.dsn, { applicationName: queue.names.prefix });
  const { query } = driver;
  let looks = 0;
  driver.query = (text, parameters) => {
    looks++;
    return query.call(driver, text, parameters) as Promise<never>;
  };
  const watcher = new CompletionWatcher(driver, {
    ...queue.names,
    pollInterval: NO_POLL,
    ...options,
  });
  return {
    watcher,
    driver,
    looks: () => looks,
    async close(): Promise<void> {
      await watcher.close();
      await driver.close();
    },
  };
}

async function enqueue(count: number): Promise<number[]> {
  const ids = await queue.queries.enqueue("work", Array.from({ length: count }, () => null));
  return ids as number[];
}

/** Ends jobs as a worker does. */
async function end(ids: readonly number[], status = "successful"): Promise<void> {
  await queue.sql.unsafe(
    `with gone as (delete from ${queue.table} where id = any ($1::text::bigint[]) returning id)
    insert into ${queue.logTable} (job_id, status, priority, entrypoint)
    select id, $2::text::${queue.table}_status, 0, 'work' from gone`,
    [`{${ids.join(",")}}`, status],
  );
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until nothing was sent for a while, and gives how often it was. A watcher that goes on and on never rests. */
async function restingAt(looks: () => number): Promise<number> {
  let seen = -1;
  await until("the watcher rests", async () => {
    const before = seen;
    seen = looks();
    if (seen !== before) return false;
    await pause(300);
    return looks() === seen;
  });
  return seen;
}

test("waitFor() gives how a job ended: before, while and after it looked", async () => {
  const { watcher, looks, close } = await openWatcher();
  const [before, during, after] = await enqueue(3) as [number, number, number];
  await end([before], "exception");

  const first = await watcher.waitFor(before);
  const racing = watcher.waitFor(during);
  const [, second] = await Promise.all([end([during], "canceled"), racing]);
  const waiting = watcher.waitFor(after);
  const lookedBefore = looks();
  await until("it has looked", () => looks() > lookedBefore);
  await pause(100);
  await end([after]);

  expect([first, second, await waiting]).toEqual(["exception", "canceled", "successful"]);
  await close();
});

test("no end is missed, whenever it comes: 200 jobs end at any time around the wait", async () => {
  const { watcher, close } = await openWatcher();
  const ids = await enqueue(200);

  const waits = await Promise.all(ids.map(async (id, index) => {
    const delay = (n: number): Promise<void> => pause((index * n) % 120);
    const [, status] = await Promise.all([
      delay(7).then(() => end([id])),
      delay(11).then(() => watcher.waitFor(id, { timeout: { seconds: 15 } })),
    ]);
    return status;
  }));

  expect(new Set(waits)).toEqual(new Set(["successful"]));
  await close();
});

test("an end between LISTEN and the first look is not missed, nor one between the look and its answer", async () => {
  const { driver, close } = await openWatcher();
  const [early, late] = await enqueue(2) as [number, number];
  // The database does what it does between two statements of the watcher.
  const listen: Driver["listen"] = async (channel, listener) => {
    const subscription = await driver.listen(channel, listener);
    await end([early]);
    return subscription;
  };
  let answered = 0;
  const query: Driver["query"] = async <Row>(text: string, parameters: never[]) => {
    const rows = await driver.query<Row>(text, parameters);
    if (answered++ === 0) {
      await end([late]);
      // Time for its notification to come first.
      await pause(100);
    }
    return rows;
  };
  const watcher = new CompletionWatcher(
    { ...driver, listen, query } as Driver,
    { ...queue.names, pollInterval: NO_POLL },
  );

  const ended = await watcher.waitForAll([early, late], { timeout: { seconds: 10 } });

  expect([...ended.values()]).toEqual(["successful", "successful"]);
  await watcher.close();
  await close();
});

test("a thousand ids are one query a look, and an idle watcher sends none", async () => {
  const { watcher, looks, close } = await openWatcher();
  const ids = await enqueue(1_000);
  const single = ids.slice(0, 300).map((id) => watcher.waitFor(id));
  const all = watcher.waitForAll(ids);
  const idle = await restingAt(looks);

  for (let at = 0; at < 1_000; at += 100) await end(ids.slice(at, at + 100));
  const ended = await all;
  await Promise.all(single);

  expect(idle).toBeLessThanOrEqual(3);
  expect(ended.size).toBe(1_000);
  expect(await restingAt(looks)).toBeLessThan(40);
  await close();
});

test("waitForFirst() gives the first that ended", async () => {
  const { watcher, close } = await openWatcher();
  const [one, two, three] = await enqueue(3) as [number, number, number];

  const first = watcher.waitForFirst([one, two, three]);
  await pause(100);
  await end([two], "exception");

  expect(await first).toEqual({ id: two, status: "exception" });
  await end([one, three]);
  expect(await watcher.waitForFirst([three, one])).toEqual({ id: three, status: "successful" });
  await expect(watcher.waitForFirst([])).rejects.toThrow(RangeError);
  await close();
});

test("a held job has ended, and so has one whose rows were removed by TRUNCATE", async () => {
  const { watcher, looks, close } = await openWatcher({ pollInterval: 50 });
  const [id] = await enqueue(1) as [number];
  const pgq = await queue.worker();
  pgq.entrypoint("work", { onFailure: "hold" }, () => Promise.reject(new Error("no")));
  const waiting = watcher.waitFor(id);
  await pgq.run({ mode: "drain" });
  const [other] = await enqueue(1) as [number];
  const truncated = watcher.waitFor(other);
  // One may have been under way before the wait began.
  const before = looks();
  await until("it has looked for it", () => looks() > before + 1);
  await queue.sql`truncate ${queue.sql(queue.table)}`;

  expect([await waiting, await truncated]).toEqual(["failed", "deleted"]);
  await close();
});

test("jobs that a worker runs end without the poll", async () => {
  const { watcher, close } = await openWatcher();
  const pgq = await queue.worker();
  pgq.entrypoint("work", () => pause(5));
  const run = pgq.run();
  const ids = await enqueue(50);

  const ended = await watcher.waitForAll(ids, { timeout: { seconds: 20 } });

  expect(new Set(ended.values())).toEqual(new Set(["successful"]));
  await pgq.stop();
  await run;
  await close();
});

test("an end while the connections are dead is seen once they are back", async () => {
  const { watcher, looks, close } = await openWatcher();
  const [id] = await enqueue(1) as [number];
  const waiting = watcher.waitFor(id, { timeout: { seconds: 20 } });
  await until("it has looked", () => looks() > 0);
  await pause(150);

  // One statement: the end is committed only when the listener is gone.
  const killed = await queue.sql.begin(async (tx) => {
    const rows = await tx`
      select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${queue.names.prefix}`;
    await tx`delete from ${tx(queue.table)} where id = ${id}`;
    return rows.length;
  });

  expect(killed).toBeGreaterThan(1);
  expect(await waiting).toBe("deleted");
  await close();
});

test("a lost notification costs the poll's interval", async () => {
  const { driver, close } = await openWatcher();
  const deaf = {
    ...driver,
    query: driver.query,
    listen: () => Promise.resolve({ close: () => Promise.resolve() }),
  };
  const watcher = new CompletionWatcher(deaf as Driver, { ...queue.names, pollInterval: 100 });
  const [id] = await enqueue(1) as [number];
  const waiting = watcher.waitFor(id, { timeout: { seconds: 10 } });
  await pause(200);

  await end([id]);

  expect(await waiting).toBe("successful");
  await watcher.close();
  await close();
});

test("an id that never existed rejects after the first look, and so does one that is not committed", async () => {
  const { watcher, close } = await openWatcher();
  const [id] = await enqueue(1) as [number];

  const unknown = watcher.waitForAll([id, 123_456_789]);

  await expect(unknown).rejects.toThrow(JobNotFoundError);
  await expect(unknown).rejects.toThrow("job 123456789");
  await expect(watcher.waitFor(null as unknown as number)).rejects.toThrow(RangeError);
  expect(await watcher.waitForAll([])).toEqual(new Map());
  await close();
});

test("a job that was enqueued while a look was under way is not judged by that look", async () => {
  const { driver, close } = await openWatcher();
  const [first] = await enqueue(1) as [number];
  const gate = deferred();
  const looked = deferred();
  let looks = 0;
  const query: Driver["query"] = async <Row>(text: string, parameters: never[]) => {
    const rows = await driver.query<Row>(text, parameters);
    if (looks++ === 0) {
      looked.resolve();
      await gate.promise;
    }
    return rows;
  };
  const watcher = new CompletionWatcher(
    { ...driver, listen: driver.listen.bind(driver), query } as Driver,
    { ...queue.names, pollInterval: NO_POLL },
  );
  const waits = [watcher.waitFor(first)];
  await looked.promise;
  const [second] = await enqueue(1) as [number];

  waits.push(watcher.waitFor(second));
  gate.resolve();
  await pause(20);
  await end([first, second]);

  expect(await Promise.all(waits)).toEqual(["successful", "successful"]);
  await watcher.close();
  await close();
});

test("a signal and a time-out end the wait and leave nothing behind", async () => {
  const { watcher, looks, close } = await openWatcher({ pollInterval: 50 });
  const [id] = await enqueue(1) as [number];
  const controller = new AbortController();

  const aborted = watcher.waitFor(id, { signal: controller.signal });
  const late = watcher.waitFor(id, { timeout: 150 });
  setTimeout(() => controller.abort(new Error("enough")), 50);

  await expect(aborted).rejects.toThrow("enough");
  await expect(late).rejects.toThrow(WaitTimeoutError);
  await expect(late).rejects.toThrow(`Cannot wait longer than 150 ms: job ${id} had not ended`);
  await expect(watcher.waitFor(id, { signal: controller.signal })).rejects.toThrow("enough");
  await restingAt(looks);
  await expect(watcher.waitFor(id, { timeout: 0 })).rejects.toThrow(RangeError);
  await close();
});

test("no timer is left when nobody waits any more, so that a process can end", async () => {
  const { watcher, close } = await openWatcher();
  const [id] = await enqueue(1) as [number];
  const set = vi.spyOn(globalThis, "setTimeout");
  const clear = vi.spyOn(globalThis, "clearTimeout");
  const polls = (): unknown[] => {
    const cleared = new Set<unknown>(clear.mock.calls.map(([timer]) => timer));
    const made = set.mock.results.filter((_, index) => set.mock.calls[index]![1] === 3_600_000);
    return made.map(({ value }) => value).filter((timer) => !cleared.has(timer));
  };

  const controller = new AbortController();
  const waiting = watcher.waitFor(id, { signal: controller.signal });
  await until("it waits for the poll", () => polls().length === 1);
  controller.abort(new Error("enough"));

  await expect(waiting).rejects.toThrow("enough");
  await until("the poll is given up", () => polls().length === 0);
  set.mockRestore();
  clear.mockRestore();
  await close();
});

test("close() rejects what waits, stops listening and leaves the driver open", async () => {
  const { watcher, driver, close } = await openWatcher();
  const [id] = await enqueue(1) as [number];
  const waiting = watcher.waitFor(id);
  const listeners = async (): Promise<number> =>
    (await queue.sql`
      select 1 from pg_stat_activity
      where application_name = ${queue.names.prefix} and query ilike 'listen%'`).length;
  await until("it listens", async () => await listeners() === 1);

  await Promise.all([watcher.close(), expect(waiting).rejects.toThrow("the watcher was closed")]);

  await until("it has stopped listening", async () => await listeners() === 0);
  await expect(watcher.waitFor(id)).rejects.toThrow("the watcher was closed");
  expect(await driver.query("select 1 as one", [])).toEqual([{ one: 1 }]);
  await close();
});

test("tables that are missing end the wait with an error that says what to do", async () => {
  const watcher = new CompletionWatcher(fromPostgresJs(queue.sql), {
    schema: queue.names.schema,
    prefix: "absent_",
  });

  await expect(watcher.waitFor(1)).rejects.toThrow(SchemaError);
  await watcher.close();
  expect(() => new CompletionWatcher({} as Driver)).toThrow(TypeError);
});
