/** Workers of both languages on one queue at the same time. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { BOTH_WAYS, type Language, type Peer, startPeer } from "./peer.ts";
import type { WorkOptions } from "./protocol.ts";

const LANGUAGES: readonly Language[] = [
  ...["Python", "Python", "Python"] as const,
  ...["TypeScript", "TypeScript", "TypeScript"] as const,
];
const HEARTBEAT_TIMEOUT_MS = 4_000;
const SAMPLE_MS = 10;

let queue: TestQueue;
/** Three of each language. */
let peers: Peer[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  peers = await Promise.all(LANGUAGES.map((language) => startPeer(language, queue)));
});
afterAll(async () => {
  for (const peer of peers) peer.kill("SIGTERM");
  await Promise.all(peers.map(({ exited }) => exited));
  await queue.close();
});

function aName(): string {
  return `e${crypto.randomUUID().slice(0, 8)}`;
}

function of(language: Language): Peer[] {
  return peers.filter((peer) => peer.language === language);
}

/** Runs while each of these peers works. */
async function working<T>(
  workers: readonly Peer[],
  options: WorkOptions,
  run: () => Promise<T>,
): Promise<T> {
  await Promise.all(workers.map((worker) => worker.ask("work", options)));
  try {
    return await run();
  } finally {
    await Promise.all(workers.map((worker) => worker.ask("stop", {})));
  }
}

/** Ids of the jobs of an entrypoint that a peer has started. */
function startsOf(peer: Peer, entrypoint: string): number[] {
  return peer.events.flatMap((event) =>
    event.event === "start" && event.job.entrypoint === entrypoint ? [event.job.id] : []
  );
}

function queueIsEmpty(): Promise<boolean> {
  return until("the queue is empty", async () => {
    const [row] = await queue.sql`select not exists (select from ${
      queue.sql(queue.table)
    }) as empty`;
    return row!["empty"];
  });
}

/** Ten sessions of each language: the pools of the peers have room for six. */
const ENQUEUERS = (["Python", "TypeScript"] as const).flatMap((language) =>
  Array.from({ length: 10 }, (_, at) => ({ language, at: at % 3 }))
);

/**
 * 20 sessions offer a job with the same key at the same instant: a transaction that has inserted the key goes away once all of
 * them wait for it. Gives what each was answered.
 */
async function offerAtOnce(
  entrypoint: string,
  dedupeKey: string,
  onConflict: string,
): Promise<PromiseSettledResult<(number | null)[]>[]> {
  const rival = await queue.sql.reserve();
  const [row] = await rival`select pg_backend_pid() as pid`;
  await rival`begin`;
  await rival`
    insert into ${queue.sql(queue.table)} (priority, status, entrypoint, dedupe_key)
    values (0, 'queued', ${entrypoint}, ${dedupeKey})`;
  const answers = Promise.allSettled(ENQUEUERS.map(({ language, at }, priority) => {
    const job = { entrypoint, dedupeKey, delayMs: 600_000, priority };
    return of(language)[at]!.ask("enqueue", { jobs: [job], onConflict });
  }));
  await until("all of them wait for the key", async () => {
    const waiting = await queue.sql`
      select from pg_stat_activity where ${row!["pid"]}::int = any (pg_blocking_pids(pid))`;
    return waiting.length === ENQUEUERS.length;
  });
  await rival`rollback`;
  rival.release();
  return await answers;
}

test.each(["skip", "raise", "update_priority"])(
  "20 enqueuers of both languages meet at a dedupe key: one job for each (%s)",
  async (onConflict) => {
    const entrypoint = aName();
    const winners: Language[] = [];
    for (let round = 0; round < 10; round++) {
      const answers = await offerAtOnce(entrypoint, `${entrypoint} ${round}`, onConflict);

      const ids = answers.map((one) => one.status === "fulfilled" ? one.value[0]! : null);
      const refused = answers.flatMap((one) =>
        one.status === "rejected" ? [String(one.reason)] : []
      );
      const winner = ids.findIndex((id) => id !== null);
      winners.push(ENQUEUERS[winner]!.language);
      const count = ENQUEUERS.length;
      expect(ids.filter((id) => id !== null)).toHaveLength(
        onConflict === "update_priority" ? count : 1,
      );
      expect(new Set(ids.filter((id) => id !== null)).size).toBe(1);
      expect(refused).toHaveLength(onConflict === "raise" ? count - 1 : 0);
      for (const reason of refused) expect(reason).toContain("DuplicateJobError");
      const rows = await queue.sql`
        select id::int, priority from ${queue.sql(queue.table)}
        where dedupe_key = ${`${entrypoint} ${round}`}`;
      expect(rows.map(({ id }) => id)).toEqual([ids[winner]]);
      if (onConflict === "update_priority") expect(rows[0]!["priority"]).toBe(count - 1);
      expect(await queue.history(ids[winner]!)).toEqual(["queued"]);
    }
    if (onConflict !== "update_priority") console.log(`winners: ${winners.join(", ")}`);
    // None of a batch is in where one of its keys is.
    for (const peer of [of("Python")[0]!, of("TypeScript")[0]!]) {
      const jobs = ["new", "0"].map((key) => ({ entrypoint, dedupeKey: `${entrypoint} ${key}` }));
      await expect(peer.ask("enqueue", { jobs })).rejects.toThrow("DuplicateJobError");
    }
    expect(await queue.rows()).toHaveLength(10);
    await queue.clear();
  },
);

test("3 + 3 workers share 5,000 jobs: each job runs once, and each worker has its share", async () => {
  const entrypoint = aName();
  const count = 5_000;
  const options = {
    // As much at a time for each of them.
    ...{ maxConcurrentTasks: 10, batchSize: 5 },
    entrypoints: { [entrypoint]: { does: "sleep", ms: 10 } },
  } as const;
  const jobs = Array.from({ length: count }, () => ({ entrypoint }));
  await of("Python")[0]!.ask("enqueue", { jobs: jobs.slice(0, count / 2) });
  await of("TypeScript")[0]!.ask("enqueue", { jobs: jobs.slice(count / 2) });

  await working(peers, options, queueIsEmpty);

  const shares = peers.map((peer) => startsOf(peer, entrypoint));
  console.log(
    `jobs of each worker: ${shares.map((ids, at) => `${LANGUAGES[at]} ${ids.length}`).join(", ")}`,
  );
  expect(shares.flat()).toHaveLength(count);
  expect(new Set(shares.flat()).size).toBe(count);
  expect(Math.min(...shares.map((ids) => ids.length))).toBeGreaterThan(count / peers.length / 10);
  const log = await queue.sql`
    select status::text, count(*)::int as rows from ${queue.sql(queue.logTable)}
    where entrypoint = ${entrypoint} group by status order by status::text`;
  expect(Array.from(log, ({ status, rows }) => [status, rows])).toEqual([
    ["picked", count],
    ["queued", count],
    ["successful", count],
  ]);
});

test("no more than 2 jobs of a limited entrypoint are picked, whoever claims", async () => {
  const entrypoint = aName();
  const samples: number[] = [];
  const jobs = Array.from({ length: 60 }, () => ({ entrypoint }));
  await of("Python")[0]!.ask("enqueue", { jobs });
  let sampling = true;
  const sampler = (async () => {
    while (sampling) {
      const [row] = await queue.sql`select count(*)::int as picked from ${queue.sql(queue.table)}
        where status = 'picked' and entrypoint = ${entrypoint}`;
      samples.push(row!["picked"]);
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  })();

  const entrypoints = { [entrypoint]: { does: "sleep", ms: 20, concurrencyLimit: 2 } } as const;
  await working(peers, { entrypoints, dequeueTimeoutMs: 500 }, queueIsEmpty);
  sampling = false;
  await sampler;

  expect(Math.max(...samples)).toBe(2);
  expect(peers.flatMap((peer) => startsOf(peer, entrypoint))).toHaveLength(60);
  // What handlers saw themselves: starts and ends of all of them, by time.
  const ids = new Set(peers.flatMap((peer) => startsOf(peer, entrypoint)));
  const steps = peers.flatMap((peer) =>
    peer.events.flatMap((event) => {
      if (event.event === "start" && ids.has(event.job.id)) return [{ at: event.at, step: 1 }];
      return event.event === "end" && ids.has(event.id) ? [{ at: event.at, step: -1 }] : [];
    })
  ).sort((one, other) => one.at - other.at || one.step - other.step);
  let running = 0;
  expect(Math.max(...steps.map(({ step }) => running += step))).toBeLessThanOrEqual(2);
  expect(running).toBe(0);
  for (const language of new Set(LANGUAGES)) {
    const share = of(language).flatMap((peer) => startsOf(peer, entrypoint)).length;
    expect(share, `${language} took part`).toBeGreaterThan(0);
  }
});

test("live work that takes 3 times the heartbeat timeout is not taken over", async () => {
  const name = { Python: aName(), TypeScript: aName() } as const;
  const takes = (language: keyof typeof name, ms: number): WorkOptions => ({
    entrypoints: { [name[language]]: { does: "sleep", ms } },
    heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
    dequeueTimeoutMs: 300,
  });
  const [python, rivalPython] = of("Python");
  const [typescript, rivalTypescript] = of("TypeScript");
  const long = 3 * HEARTBEAT_TIMEOUT_MS;
  await python!.ask("work", takes("Python", long));
  await typescript!.ask("work", takes("TypeScript", long));
  const ids = await typescript!.ask("enqueue", {
    jobs: [{ entrypoint: name.Python }, { entrypoint: name.TypeScript }],
  });
  await python!.heard("start", ({ job }) => job.id === ids[0]);
  await typescript!.heard("start", ({ job }) => job.id === ids[1]);
  // Each has a rival of the other language, which looks three times a second.
  await rivalTypescript!.ask("work", takes("Python", 0));
  await rivalPython!.ask("work", takes("TypeScript", 0));

  await queueIsEmpty();
  await Promise.all(peers.map((peer) => peer.ask("stop", {})));

  const starts = peers.flatMap((peer) => [
    ...startsOf(peer, name.Python),
    ...startsOf(peer, name.TypeScript),
  ]);
  expect(starts.sort()).toEqual([...ids].sort());
  expect(await queue.history(ids[0]!)).toEqual(["queued", "picked", "successful"]);
  expect(await queue.history(ids[1]!)).toEqual(["queued", "picked", "successful"]);
});

describe.each(BOTH_WAYS)("a crash of %s", (victim, heir) => {
  test(`is taken over by ${heir}, with the attempts that the job had`, async () => {
    const entrypoint = aName();
    const dying = await startPeer(victim, queue);
    const options = (does: "wait" | "end"): WorkOptions => ({
      entrypoints: { [entrypoint]: { does, concurrencyLimit: 1 } },
      heartbeatTimeoutMs: 2_000,
      dequeueTimeoutMs: 500,
    });
    await dying.ask("work", options("wait"));
    const [id] = await dying.ask("enqueue", { jobs: [{ entrypoint, payload: "AP8=" }] });
    await dying.heard("start", ({ job }) => job.id === id);
    dying.kill("SIGKILL");
    await dying.exited;

    const survivor = of(heir)[0]!;
    await working([survivor], options("end"), queueIsEmpty);

    expect(survivor.events).toContainEqual(
      expect.objectContaining({
        event: "start",
        job: expect.objectContaining({ id, attempts: 0, payload: "AP8=" }),
      }),
    );
    const history = await queue.history(id!);
    expect(history.filter((status) => status === "picked")).toHaveLength(2);
    expect(history.at(-1)).toBe("successful");
  });
});

test("a shutdown of a mixed fleet leaves no picked row, and ends with code 0", async () => {
  const entrypoint = aName();
  const leaving = await Promise.all(
    (["Python", "TypeScript"] as const).map((language) => startPeer(language, queue)),
  );
  for (const peer of leaving) {
    await peer.ask("work", {
      entrypoints: { [entrypoint]: { does: "sleep", ms: 300 } },
      maxConcurrentTasks: 10,
      batchSize: 5,
    });
  }
  const jobs = Array.from({ length: 500 }, () => ({ entrypoint }));
  await of("Python")[0]!.ask("enqueue", { jobs });
  for (const peer of leaving) await peer.heard("end");

  for (const peer of leaving) peer.kill("SIGTERM");
  const codes = await Promise.all(leaving.map(({ exited }) => exited));

  const rows = await queue.rows();
  expect(codes).toEqual([0, 0]);
  expect(rows.length).toBeGreaterThan(0);
  expect(rows.filter(({ status }) => status !== "queued")).toEqual([]);
  expect(rows.filter((row) => row.queue_manager_id !== null)).toEqual([]);
  // What has run is gone, once each.
  const ends = leaving.flatMap((peer) => peer.events.filter(({ event }) => event === "end"));
  expect(rows.length + ends.length).toBe(500);
  await queue.clear();
});

test("a worker on Deno and one on Bun work beside one of Python", async () => {
  const entrypoint = aName();
  const beside = await Promise.all(
    (["Deno", "Bun"] as const).map((runtime) => startPeer(runtime, queue)),
  );
  const fleet = [...beside, of("Python")[0]!];
  try {
    const payload = Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte))
      .toString("base64");
    const jobs = Array.from({ length: 300 }, () => ({ entrypoint, payload }));
    for (const peer of fleet) await peer.ask("enqueue", { jobs: jobs.slice(0, 100) });
    const options = {
      ...{ maxConcurrentTasks: 10, batchSize: 5 },
      entrypoints: { [entrypoint]: { does: "sleep", ms: 20, concurrencyLimit: 25 } },
    } as const;

    await working(fleet, options, queueIsEmpty);

    const shares = fleet.map((peer) => startsOf(peer, entrypoint));
    expect(new Set(shares.flat()).size).toBe(300);
    expect(shares.flat()).toHaveLength(300);
    for (const share of shares) expect(share.length).toBeGreaterThan(0);
    const seen = fleet.flatMap((peer) =>
      peer.events.flatMap((event) =>
        event.event === "start" && event.job.entrypoint === entrypoint ? [event.job.payload] : []
      )
    );
    expect(new Set(seen)).toEqual(new Set([payload]));
  } finally {
    for (const peer of beside) peer.kill("SIGTERM");
    await Promise.all(beside.map(({ exited }) => exited));
  }
});
