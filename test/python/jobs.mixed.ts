/** What one language enqueues or does to a job, the other runs and sees, both ways round. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { BOTH_WAYS, type Language, type Peer, startPeer } from "./peer.ts";
import type { PeerJob, WorkOptions } from "./protocol.ts";

/** Far away: nothing but a notification explains a start before. */
const NEVER_MS = 600_000;

let queue: TestQueue;
let peers: Record<string, Peer>;
beforeAll(async () => {
  queue = await openTestQueue();
  const started = await Promise.all([startPeer("Python", queue), startPeer("TypeScript", queue)]);
  peers = Object.fromEntries(started.map((peer) => [peer.language, peer]));
});
afterAll(async () => {
  for (const peer of Object.values(peers ?? {})) peer.kill("SIGTERM");
  await Promise.all(Object.values(peers ?? {}).map(({ exited }) => exited));
  await queue.close();
});

/** A name of a test's own: the queue is shared, the entrypoints are not. */
function aName(): string {
  return `e${crypto.randomUUID().slice(0, 8)}`;
}

async function working<T>(peer: Peer, options: WorkOptions, run: () => Promise<T>): Promise<T> {
  await peer.ask("work", { dequeueTimeoutMs: NEVER_MS, ...options });
  try {
    return await run();
  } finally {
    await peer.ask("stop", {});
  }
}

/** Waits until a job has left the queue, and gives the statuses of its log. */
async function gone(id: number): Promise<string[]> {
  await until(`job ${id} is gone`, async () => !(await queue.rows()).some((row) => row.id === id));
  return await queue.history(id);
}

function base64(bytes: Uint8Array | string): string {
  return Buffer.from(bytes).toString("base64");
}

describe.each(BOTH_WAYS)("%s → %s", (from: Language, to: Language) => {
  let producer: Peer;
  let worker: Peer;
  beforeAll(() => {
    producer = peers[from]!;
    worker = peers[to]!;
  });

  /** Hands jobs over and gives what the worker saw of them. */
  async function seen(jobs: readonly PeerJob[], entrypoint: string) {
    const ids = await producer.ask("enqueue", { jobs });
    await working(
      worker,
      { entrypoints: { [entrypoint]: { does: "end" } }, batchSize: 50 },
      async () => {
        for (const id of ids) await worker.heard("end", (event) => event.id === id);
      },
    );
    const starts = worker.events.flatMap((event) =>
      event.event === "start" && event.job.entrypoint === entrypoint ? [event.job] : []
    );
    return { ids, starts };
  }

  test("payloads arrive byte by byte, null stays null and empty stays empty", async () => {
    const entrypoint = aName();
    const all = base64(Uint8Array.from({ length: 256 }, (_, byte) => byte));
    const payloads = [
      all,
      base64(new Uint8Array(100_000).fill(0xff)),
      base64('{"a":"é"}'),
      "",
      null,
    ];

    const { starts } = await seen(payloads.map((payload) => ({ entrypoint, payload })), entrypoint);

    expect(starts.map(({ payload }) => payload)).toEqual(payloads);
    expect(starts.map(({ attempts }) => attempts)).toEqual([0, 0, 0, 0, 0]);
  });

  test("headers arrive as they are, and none as none", async () => {
    const entrypoint = aName();
    const headers = [
      { trace: "é\u0001", nested: { list: [1, null, "a"], on: true } },
      { otel: { traceparent: "00-1-2-01" } },
      null,
      {},
    ];

    const { starts } = await seen(
      headers.map((one) => ({ entrypoint, payload: null, headers: one })),
      entrypoint,
    );

    expect(starts.map((job) => job.headers)).toEqual(headers);
  });

  test("the highest priority starts first, then the lowest id", async () => {
    const entrypoint = aName();
    const priorities = [0, 5, -3, 5, 2_147_483_647, -2_147_483_648];

    const { ids, starts } = await seen(
      priorities.map((priority) => ({ entrypoint, priority })),
      entrypoint,
    );

    expect(starts.map(({ id }) => ids.indexOf(id))).toEqual([4, 1, 3, 0, 2, 5]);
    expect(starts.map(({ priority }) => priority)).toEqual([
      2_147_483_647,
      5,
      5,
      0,
      -3,
      -2_147_483_648,
    ]);
  });

  test("a batch of 1,000 runs once each, with three log rows each unless it is put back", async () => {
    const entrypoint = aName();
    const jobs = Array.from(
      { length: 1_000 },
      (_, at) => ({ entrypoint, payload: base64(`${at}`) }),
    );

    const { ids, starts } = await seen(jobs, entrypoint);

    expect(new Set(ids).size).toBe(1_000);
    // A slow machine makes the worker look at the front beside its claims: then some start a little later than others.
    const byId = starts.toSorted((one, other) => one.id - other.id);
    expect(byId.map(({ id }) => id)).toEqual(ids);
    expect(byId.map(({ payload }) => payload)).toEqual(jobs.map(({ payload }) => payload));
    await until("all are gone", async () => (await queue.rows()).length === 0);
    const histories = new Map(ids.map((id) => [id!, [] as string[]]));
    for (const { job_id, status } of await queue.log()) histories.get(job_id)?.push(status);
    // What a worker of ours cannot start for a quarter of a second goes back, and is claimed again. Python's puts nothing back.
    const history = to === "TypeScript"
      ? /^(queued picked )+successful$/
      : /^queued picked successful$/;
    const others = [...histories.values()].filter((one) => !history.test(one.join(" ")));
    expect(others).toEqual([]);
  });

  test("a deferred job starts when it is due, without a poll", async () => {
    const entrypoint = aName();
    await working(worker, { entrypoints: { [entrypoint]: { does: "end" } } }, async () => {
      const before = Date.now();
      const [id] = await producer.ask("enqueue", { jobs: [{ entrypoint, delayMs: 700 }] });

      const { at } = await worker.heard("start", ({ job }) => job.id === id);

      expect(at - before).toBeGreaterThanOrEqual(700);
      expect(at - before).toBeLessThan(NEVER_MS);
    });
  });

  test("a committed job starts within 200 ms, and not before the commit", async () => {
    const entrypoint = aName();
    const delays: number[] = [];

    await working(worker, { entrypoints: { [entrypoint]: { does: "end" } } }, async () => {
      for (let round = 0; round < 9; round++) {
        const [id] = await producer.ask("begin", { jobs: [{ entrypoint }] });
        // Another one that is committed: the worker looks at the queue meanwhile, and is idle again.
        const [other] = await queue.queries.enqueue(entrypoint, [null]);
        await worker.heard("end", (event) => event.id === other);
        await gone(other!);
        const early = worker.events.some((event) => event.event === "start" && event.job.id === id);
        const committed = await producer.ask("commit", {});
        const { at } = await worker.heard("start", ({ job }) => job.id === id);

        expect(early).toBe(false);
        delays.push(at - committed);
      }
    });

    console.log(`${from} → ${to}: from commit to start ${delays.map(Math.round).join(", ")} ms`);
    expect(delays.every((delay) => delay >= 0)).toBe(true);
    expect(delays.sort((one, other) => one - other)[4]).toBeLessThan(200);
  });

  test("RetryRequested hands over to the other language, which reads attempt and traceback", async () => {
    const entrypoint = aName();
    const [id] = await worker.ask("enqueue", { jobs: [{ entrypoint, payload: base64("kept") }] });
    // The first attempt here, then this worker is gone.
    await working(
      producer,
      { entrypoints: { [entrypoint]: { does: "retry", ms: 500 } } },
      async () => {
        await until("the retry is stored", async () => (await queue.rows())[0]?.attempts === 1);
      },
    );

    const starts = worker.events.length;
    await working(worker, { entrypoints: { [entrypoint]: { does: "retry" } } }, async () => {
      await worker.heard("end", (event) => event.id === id);
    });

    expect(worker.events.slice(starts).find(({ event }) => event === "start")).toMatchObject({
      job: { id, attempts: 1, payload: base64("kept") },
    });
    expect(await gone(id!)).toEqual(["queued", "picked", "queued", "picked", "successful"]);
    const tracebacks = await worker.ask("tracebacks", { job: id! });
    expect(tracebacks).toMatchObject([{
      type: "RetryRequested",
      message: "handed over",
      context: { entrypoint, attempt: 0, retry_delay: "0:00:00.500000", reason: "handed over" },
    }]);
    expect(tracebacks[0]!.text).toContain(from === "Python" ? "peer_main.py" : "peer_main.ts");
  });

  test("a held job is listed, read and requeued by the other language", async () => {
    const entrypoint = aName();
    const [id] = await producer.ask("enqueue", { jobs: [{ entrypoint }] });
    await working(
      producer,
      { entrypoints: { [entrypoint]: { does: "fail", onFailure: "hold" } } },
      () => until("it is held", async () => (await queue.rows())[0]?.status === "failed"),
    );

    const held = await worker.ask("failed", {});
    const [traceback] = await worker.ask("tracebacks", { job: id! });
    await worker.ask("requeue", { ids: [id!] });
    const [requeued] = await queue.rows();
    await working(producer, { entrypoints: { [entrypoint]: { does: "end" } } }, () => gone(id!));

    expect(held).toEqual([{ id, attempts: 0 }]);
    expect(traceback).toMatchObject({
      type: from === "Python" ? "LookupError" : "RangeError",
      message: "no such article",
      context: { entrypoint, queue_manager_id: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    });
    expect(requeued).toMatchObject({ status: "queued", queue_manager_id: null, attempts: 0 });
    expect(await queue.history(id!)).toEqual([
      ...["queued", "picked", "failed"],
      ...["queued", "picked", "successful"],
    ]);
  });

  test("a running job is canceled from the other language, and a queued one too", async () => {
    const entrypoint = aName();
    const [running, queued] = await producer.ask("enqueue", {
      jobs: [{ entrypoint }, { entrypoint, delayMs: NEVER_MS }],
    });

    const end = await working(
      worker,
      { entrypoints: { [entrypoint]: { does: "wait" } } },
      async () => {
        await worker.heard("start", ({ job }) => job.id === running);
        await producer.ask("cancel", { ids: [running!, queued!] });
        return await worker.heard("end", ({ id }) => id === running);
      },
    );

    expect(end.canceled).toBe(true);
    expect(await gone(running!)).toEqual(["queued", "picked", "canceled"]);
    expect(await gone(queued!)).toEqual(["queued", "canceled"]);
  });
});
