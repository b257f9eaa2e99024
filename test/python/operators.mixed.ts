/** Operators of both languages look at one queue, on tables that the one or the other has installed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callPgq, type Finished } from "../cli/fixtures/pgq.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { runPythonPgq } from "./commands.ts";
import { environmentOf, type Peer, type Release, startPeer } from "./peer.ts";
import type { StatisticsRow } from "./protocol.ts";

/** What Python's dashboard sends first. */
const CLEAR_SCREEN = "\u001b[2J\u001b[H";

/** Ours, in this process. */
function pgq(queue: TestQueue, ...args: string[]): Promise<Finished> {
  return callPgq(args, { env: environmentOf(queue) });
}

/** A peer for as long as it is needed. */
async function withPeer<T>(starting: Promise<Peer>, use: (peer: Peer) => Promise<T>): Promise<T> {
  const peer = await starting;
  try {
    return await use(peer);
  } finally {
    peer.kill("SIGTERM");
    await peer.exited;
  }
}

async function withQueue(use: (queue: TestQueue) => Promise<void>): Promise<void> {
  const queue = await openTestQueue();
  try {
    await use(queue);
  } finally {
    await queue.close();
  }
}

/** The cells of a table of tabs, without the padding that Python's has. */
function cells(table: string): string[][] {
  return table.replace(CLEAR_SCREEN, "").trim().split("\n").slice(1)
    .map((line) => line.split("\t").map((cell) => cell.trim()));
}

describe("on tables that we have installed", () => {
  let queue: TestQueue;
  let held: number;
  beforeAll(async () => {
    queue = await openTestQueue();
    // Ended, failed, held and canceled jobs of both languages, with priorities.
    const peers = await Promise.all([
      startPeer("Python", queue),
      startPeer("TypeScript", queue),
    ]);
    for (const peer of peers) {
      await peer.ask("work", {
        entrypoints: {
          [`${peer.language}_ends`]: { does: "end" },
          [`${peer.language}_fails`]: { does: "fail" },
          [`${peer.language}_holds`]: { does: "fail", onFailure: "hold" },
        },
      });
    }
    for (const [at, peer] of peers.entries()) {
      const other = peers[1 - at]!.language;
      const jobs = Array.from({ length: 30 }, (_, number) => ({
        entrypoint: `${other}_${["ends", "fails", "ends"][number % 3]}`,
        priority: number % 4,
      }));
      const [canceled] = await peer.ask("enqueue", {
        jobs: [{ entrypoint: `${other}_ends`, delayMs: 600_000 }, ...jobs],
      });
      await peer.ask("cancel", { ids: [canceled!] });
      await peer.ask("enqueue", { jobs: [{ entrypoint: `${other}_holds`, payload: "AAEC" }] });
    }
    await until("all have ended", async () => {
      const rows = await queue.rows();
      return rows.length === 2 && rows.every(({ status }) => status === "failed");
    });
    held = (await queue.rows())[0]!.id;
    for (const peer of peers) peer.kill("SIGTERM");
    await Promise.all(peers.map(({ exited }) => exited));
  });
  afterAll(() => queue.close());

  test("the statistics of either agree to the row, before and after they are aggregated", async () => {
    const ours = async (): Promise<StatisticsRow[]> =>
      (await queue.queries.logStatistics())
        .map((row) => ({ ...row, created: row.created.getTime() }));
    const sorted = (rows: readonly StatisticsRow[]): string[] =>
      rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort();

    const before = await ours();
    const python = await withPeer(
      startPeer("Python", queue),
      (peer) => peer.ask("statistics", {}),
    );
    const after = await ours();

    expect(before.reduce((sum, { count }) => sum + count, 0)).toBe((await queue.log()).length);
    expect(sorted(python)).toEqual(sorted(before));
    expect(sorted(after)).toEqual(sorted(before));
  });

  test("pgq dashboard of either prints the same rows", async () => {
    const theirs = await runPythonPgq(["dashboard", "-n", "1000"], queue);
    const ours = await pgq(queue, "dashboard", "-n", "1000");

    const rows = (stdout: string) =>
      cells(stdout).map(([created, ...rest]) => [new Date(created!).toISOString(), ...rest].join())
        .sort();
    expect([theirs.code, ours.code]).toEqual([0, 0]);
    expect(rows(ours.stdout).length).toBeGreaterThan(10);
    expect(rows(theirs.stdout)).toEqual(rows(ours.stdout));
  });

  test("Python's verify and upgrade find all they need, and ours what Python's upgrade leaves", async () => {
    const verified = await runPythonPgq(["verify", "--expect", "present"], queue);
    const upgraded = await runPythonPgq(["upgrade"], queue);
    const again = await runPythonPgq(["upgrade"], queue);
    const ours = await pgq(queue, "verify");
    const ourUpgrade = await pgq(queue, "upgrade");
    const last = await runPythonPgq(["verify", "--expect", "present"], queue);

    expect(verified).toMatchObject({ code: 0 });
    expect(upgraded).toMatchObject({ code: 0 });
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining("up to date") });
    expect(ours).toMatchObject({ code: 0, stdout: "" });
    expect(ourUpgrade).toMatchObject({ code: 0 });
    expect(last).toMatchObject({ code: 0 });
  });

  test("pgq failed and requeue of either show and queue the same jobs", async () => {
    const [theirs, ours] = [
      await runPythonPgq(["failed", "--json"], queue),
      await pgq(queue, "failed", "--json"),
    ];
    const requeued = await runPythonPgq(["requeue", String(held)], queue);
    const row = (await queue.rows()).find(({ id }) => id === held);

    type Held = { id: number; entrypoint: string; attempts: number; payload_bytes: number };
    const shown = ({ stdout }: Finished) =>
      (JSON.parse(stdout) as Held[])
        .map(({ id, entrypoint, attempts, payload_bytes }) => ({
          id,
          entrypoint,
          attempts,
          payload_bytes,
        }));
    expect(shown(theirs)).toEqual(shown(ours));
    const [first] = JSON.parse(theirs.stdout);
    expect(JSON.parse(ours.stdout)[0]).toEqual(expect.objectContaining(
      // Times are in another form of ISO 8601.
      Object.fromEntries(
        Object.entries(first).map(([key, value]) =>
          typeof value === "string" && /^\d{4}-.*Z$/.test(value)
            ? [key, expect.stringMatching(/^\d{4}-.*Z$/)]
            : [key, value]
        ),
      ),
    ));
    expect(shown(ours)).toHaveLength(2);
    expect(shown(ours)[0]).toMatchObject({ payload_bytes: 3 });
    expect(requeued).toMatchObject({ code: 0 });
    expect(row).toMatchObject({ status: "queued", attempts: 0, queue_manager_id: null });
  });

  test("pgq schedules of either lists and removes the same rows", async () => {
    await withPeer(startPeer("TypeScript", queue), async (peer) => {
      await peer.ask("work", { schedules: { report: ["0 3 * * *"], sweep: ["@hourly"] } });
      await until("both are there", async () => {
        const rows = await queue.sql`select 1 from ${queue.sql(`${queue.table}_schedules`)}`;
        return rows.length === 2;
      });
    });

    const theirs = await runPythonPgq(["schedules"], queue);
    const removed = await runPythonPgq(["schedules", "-r", "sweep"], queue);
    const ours = await pgq(queue, "schedules");

    expect(cells(theirs.stdout).map((row) => [row[8], row[1], row[7]]).sort()).toEqual([
      ["report", "0 3 * * *", "queued"],
      ["sweep", "0 * * * *", "queued"],
    ]);
    expect(removed.code).toBe(0);
    expect(cells(ours.stdout).map((row) => row.slice(1, 4))).toEqual([
      ["report", "0 3 * * *", "queued"],
    ]);
  });
});

describe.each<[Release, string]>([
  ["1.3", "has no seats"],
  ["newest", "has seats"],
])("on tables that Python has installed (%s: %s)", (release) => {
  test("our worker says what to run, and after it both languages work", () =>
    withQueue(async (queue) => {
      await queue.queries.uninstall();
      const entrypoints = {
        job: { does: "end" },
        held: { does: "fail", onFailure: "hold" },
      } as const;
      const installed = await runPythonPgq(["install"], queue, release);
      const refused = await withPeer(startPeer("TypeScript", queue), async (peer) => {
        await peer.ask("work", { entrypoints });
        return await peer.heard("failed");
      });
      const verified = await pgq(queue, "verify");
      const upgraded = await pgq(queue, "upgrade");
      const again = await pgq(queue, "verify");

      expect(installed).toMatchObject({ code: 0 });
      expect(refused.error).toMatch(
        /^SchemaError: Cannot start as .*missing.*: run "pgq upgrade --schema \w+ --prefix \w+"/,
      );
      expect(verified).toMatchObject({ code: 1, stdout: expect.stringContaining("missing: ") });
      expect(upgraded).toMatchObject({ code: 0, stdout: expect.stringContaining("pgraded") });
      expect(again).toMatchObject({ code: 0, stdout: "" });

      await withPeer(
        startPeer("Python", queue, release),
        (python) =>
          withPeer(startPeer("TypeScript", queue), async (typescript) => {
            for (
              const [producer, worker] of [[python, typescript], [typescript, python]] as const
            ) {
              const ids = await producer.ask("enqueue", {
                jobs: [{ entrypoint: "job" }, { entrypoint: "held", payload: "AA==" }],
              });
              await worker.ask("work", { entrypoints, schedules: { report: ["@daily"] } });
              await until("one has ended and one is held", async () => {
                const row = (await queue.rows()).find(({ id }) => id === ids[1]);
                return row?.status === "failed" &&
                  (await queue.history(ids[0]!)).at(-1) === "successful";
              });
              await worker.ask("stop", {});
            }
          }),
      );
      const theirs = await runPythonPgq(["verify", "--expect", "present"], queue, release);
      const failed = await pgq(queue, "failed", "--json");
      const schedules = await pgq(queue, "schedules", "--json");

      expect(theirs).toMatchObject({ code: 0 });
      expect(JSON.parse(failed.stdout)).toHaveLength(2);
      expect(JSON.parse(schedules.stdout)).toMatchObject([
        { entrypoint: "report", expression: "0 0 * * *" },
      ]);
      // Theirs may come after ours, and ours again.
      expect(await runPythonPgq(["upgrade"], queue, release)).toMatchObject({ code: 0 });
      expect(await pgq(queue, "verify")).toMatchObject({ code: 0 });
    }));
});
