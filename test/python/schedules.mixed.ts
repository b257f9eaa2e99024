/** Schedules that workers of both languages register. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { type Language, type Peer, startPeer } from "./peer.ts";

const LANGUAGES: readonly Language[] = ["Python", "Python", "TypeScript", "TypeScript"];

let queue: TestQueue;
let schedules: string;
let peers: Peer[] = [];
beforeAll(async () => {
  queue = await openTestQueue();
  schedules = `${queue.table}_schedules`;
  peers = await Promise.all(LANGUAGES.map((language) => startPeer(language, queue)));
});
afterAll(async () => {
  for (const peer of peers) peer.kill("SIGTERM");
  await Promise.all(peers.map(({ exited }) => exited));
  await queue.close();
});

function firesOf(of: readonly Peer[]): number {
  return of.flatMap((peer) => peer.events.filter(({ event }) => event === "fire")).length;
}

test("a schedule of both languages is one row, and each due time fires once", async () => {
  // Each claim of a fire, by the due time that it found.
  await queue.sql.unsafe(`
    create table ${queue.names.schema}.claims (due timestamptz, claimed timestamptz, moved boolean);
    create function ${queue.names.schema}.note() returns trigger language plpgsql as $$
    begin
      if new.status = 'picked' and old.status = 'queued' then
        insert into ${queue.names.schema}.claims
        values (old.next_run, clock_timestamp(), old.next_run <> new.next_run);
      end if;
      return new;
    end $$;
    create trigger note after update on ${schedules}
      for each row execute procedure ${queue.names.schema}.note()`);
  const [python, typescript] = [peers.slice(0, 2), peers.slice(2)];
  const options = { schedules: { tick: ["* * * * * */2"] }, entrypoints: {} };
  const claims = () =>
    queue.sql<{ due: Date; claimed: Date; moved: boolean }[]>`
      select * from ${queue.sql(`${queue.names.schema}.claims`)} order by claimed`;

  await Promise.all(peers.map((peer) => peer.ask("work", options)));
  await until("both have fired for a while", () => firesOf(typescript) >= 3);
  // Those of Python look a second after a due time: they come to fire when the others are gone.
  await Promise.all(typescript.map((peer) => peer.ask("stop", {})));
  const before = firesOf(python);
  await until("Python goes on with the same row", () => firesOf(python) >= before + 2);
  await Promise.all(python.map((peer) => peer.ask("stop", {})));

  const rows = await queue.sql`select expression, status::text from ${queue.sql(schedules)}`;
  expect(Array.from(rows)).toEqual([{ expression: "* * * * * */2", status: "queued" }]);
  const found = await claims();
  expect(firesOf(peers)).toBe(found.length);
  // Python computes the next due time before it claims. If it does in the last milliseconds before the due time, that is the
  // same one once more: it fires twice, in a fleet of Python alone, too (read in 1.6).
  const dues = found.filter(({ moved }) => moved).map(({ due }) => due.getTime());
  expect(new Set(dues).size).toBe(dues.length);
  expect(found.length - dues.length).toBeLessThanOrEqual(firesOf(python));
  for (const { due, claimed } of found) {
    expect(claimed.getTime()).toBeGreaterThanOrEqual(due.getTime());
  }
});

test("both languages write the same text for an expression", async () => {
  const expressions = [
    ...["@hourly", "@daily", "@weekly", "@monthly", "@yearly"],
    ...["0 9 * * MON", "0 0 * * 7", "0 0 1 JAN *", "0 0 * * SUN-TUE"],
    ...["*/5   *  * * *", "  15 3 * * *", "0 3 * * * 30", "1,2,3 4-5 * * *", "0 0 L * *"],
  ];
  const register = async (peer: Peer): Promise<string[]> => {
    await queue.sql`truncate ${queue.sql(schedules)}`;
    await peer.ask("work", { schedules: { report: expressions }, entrypoints: {} });
    const rows = await until("all are there", async () => {
      const rows = await queue.sql`select expression from ${
        queue.sql(schedules)
      } order by expression`;
      return rows.length >= expressions.length ? rows : undefined;
    });
    await peer.ask("stop", {});
    return Array.from(rows, ({ expression }) => expression);
  };

  const byPython = await register(peers[0]!);
  const byTypescript = await register(peers[2]!);

  expect(byTypescript).toEqual(byPython);
});
