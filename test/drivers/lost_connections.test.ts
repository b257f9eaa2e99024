/** The connections of a worker that break at the worst moment. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import postgres from "postgres";
import { openWorkerDriver, type WorkerDriver } from "../../mod.ts";
import { testDsn, until } from "../support/queue.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp_proxy.ts";

let proxy: TcpProxy;
let driver: WorkerDriver;
beforeAll(async () => {
  const url = new URL(testDsn());
  proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port || 5432) });
  url.hostname = "127.0.0.1";
  url.port = String(proxy.port);
  driver = await openWorkerDriver(url.href, { maxConnections: 1 });
});
afterAll(async () => {
  await driver.close();
  await proxy.close();
});

const ask = (text: string): Promise<unknown> => driver.query("select $1::text as said", [text]);

test(
  "a statement that is sent to a connection as it ends does not spoil those that follow",
  async () => {
    for (let round = 0; round < 30; round++) {
      await ask("first");
      const cut = proxy.cutAt(`last ${round}`, "answered");
      await ask(`last ${round}`);
      // Sent in the moment between the answer and the end of the connection.
      await ask("too late").catch(() => {});
      await cut;

      const begun = performance.now();
      expect(await ask("next")).toEqual([{ said: "next" }]);
      // Much less than the time-out of a connection that is never made.
      expect(performance.now() - begun).toBeLessThan(3_000);
    }
  },
  60_000,
);

test("where there is no other connection to be had, the ones that are left go on", async () => {
  const sql = postgres(testDsn(), { max: 1, onnotice: () => {} });
  const role = `pgq_limited_${randomBytes(4).toString("hex")}`;
  await sql.unsafe(`create role ${role} login password 'secret' connection limit 2`);
  const url = new URL(testDsn());
  url.username = role;
  url.password = "secret";
  const limited = await openWorkerDriver(url.href, { maxConnections: 2 });
  const sleep = async (seconds: number): Promise<number> => {
    const [row] = await limited.query<{ pid: number }>(
      "select pg_backend_pid() as pid from pg_sleep($1::int)",
      [seconds],
    );
    return row!.pid;
  };
  const long = sleep(600).catch((error) => error);
  const kept = await sleep(0);
  const lost = await until("the other connection is in use", async () => {
    const [row] = await sql`
      select pid from pg_stat_activity where usename = ${role} and state = 'active'`;
    return row?.["pid"] as number | undefined;
  });

  await sql.unsafe(`alter role ${role} connection limit 1`);
  await sql`select pg_terminate_backend(${lost})`;
  await long;

  await until("it goes on", () => sleep(0).then((pid) => pid === kept, () => false));
  await limited.close();
  await sql.unsafe(`drop role ${role}`);
  await sql.end();
}, 60_000);

test("a transaction whose connection is lost fails, and the process goes on", async () => {
  for (const moment of ["before", "after", "answered"] as const) {
    const cut = proxy.cutAt("in a transaction", moment);

    const transaction = driver.transaction(async (executor) => {
      await executor.query("select $1::text", ["in a transaction"]);
      await executor.query("select $1::text", ["and another statement"]);
    });

    await expect(transaction).rejects.toThrow();
    await cut;
    expect(await ask("next")).toEqual([{ said: "next" }]);
  }
}, 60_000);
