/** G12: after a restart, a killed backend or a half-open socket the worker reconnects, listens again and polls once. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Duration, fromPostgresJs, PgQueuer, Queries } from "../../mod.ts";
import { deleteEmbeddedPostgres, startEmbeddedPostgres } from "../../src/cli/embedded_postgres.ts";
import { WATCHFUL_DRIVERS } from "../support/drivers.ts";
import { NO_POLL, POOLED_DSN } from "../support/pooler.ts";
import { openTestQueue, type TestQueue, until } from "../support/queue.ts";
import { startTcpProxy } from "../support/tcp_proxy.ts";

interface Load {
  readonly started: number[];
  readonly pgq: PgQueuer;
  /** Stops the worker and fails if its run did. */
  end(): Promise<void>;
}

/** What it hears is heard by notification, or by the poll after a reconnect. */
function work(pgq: PgQueuer, dequeueTimeout: Duration = NO_POLL): Load {
  const started: number[] = [];
  pgq.entrypoint("work", async (job) => {
    started.push(job.id);
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
  const run = pgq.run({ dequeueTimeout, maxConcurrentTasks: 10 });
  return {
    started,
    pgq,
    async end(): Promise<void> {
      await pgq.stop();
      await run;
    },
  };
}

/** Kills every connection of the worker; ours of the test stay. */
async function killBackends(queue: TestQueue): Promise<void> {
  await queue.sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = ${queue.names.prefix} and pid <> pg_backend_pid()`;
}

const ended = async (queue: TestQueue): Promise<number> =>
  (await queue.log()).filter((row) => row.status === "successful").length;

test.each(WATCHFUL_DRIVERS)(
  "%s: killing every connection of the worker again and again under load loses nothing",
  async (_, open) => {
    const queue = await openTestQueue();
    // On Bun a statement that is sent just as its connection is killed sometimes gets neither answer nor error.
    const { driver, end } = await open(queue.dsn, {
      applicationName: queue.names.prefix,
      statementTimeout: { seconds: 2 },
    });
    const load = work(new PgQueuer(driver, queue.names));
    // Past a pooler, whose sessions go by the name of the worker that had them last.
    const producer = new Queries(fromPostgresJs(queue.sql), queue.names);
    const ids = await producer.enqueue("work", Array(1_000).fill(null)) as number[];

    for (let kill = 1; kill <= 8; kill++) {
      await until("it goes on", async () => await ended(queue) >= kill * 100);
      await killBackends(queue);
    }
    await until("all are done", async () => await ended(queue) === ids.length);

    // Idle now, with the listening connection killed too: it must hear the next job all the same.
    await killBackends(queue);
    const next = await producer.enqueue("work", null);
    await until("the worker has heard it", () => load.started.includes(next!));
    await load.end();
    expect((await queue.rows()).length).toBe(0);
    await end();
    await queue.close();
  },
  60_000,
);

// A server of its own, which no pooler is in front of.
(POOLED_DSN === undefined ? test : test.skip).each(WATCHFUL_DRIVERS)(
  "%s: a restart of the server under load, fast and immediate, ends neither the worker nor a job",
  async (_, open) => {
    const directory = await mkdtemp(join(tmpdir(), "pgqueuer-g12-"));
    try {
      let server = await startEmbeddedPostgres({ directory });
      const queue = await openTestQueue(server.dsn);
      const { driver, end } = await open(server.dsn, { statementTimeout: { seconds: 2 } });
      const load = work(new PgQueuer(driver, queue.names));
      const ids = await queue.queries.enqueue("work", Array(1_000).fill(null)) as number[];

      for (const mode of ["fast", "immediate"] as const) {
        const before = load.started.length;
        await until("it goes on", () => load.started.length > before + 100);
        await server.stop(mode);
        server = await startEmbeddedPostgres({ directory, port: server.port });
        expect(server.dsn).toBe(queue.dsn);
      }
      await until("all are done", async () => await ended(queue).catch(() => 0) === ids.length);

      expect(await queue.rows()).toEqual([]);
      // Restarted while the worker is idle: nothing but its own reconnect can tell it of the next job.
      await server.stop("fast");
      server = await startEmbeddedPostgres({ directory, port: server.port });
      const next = await until(
        "the server answers",
        () => queue.queries.enqueue("work", null).catch(() => 0),
      );
      await until("the worker has heard it", () => load.started.includes(next));
      await load.end();
      await end();
      await queue.close();
      await server.stop();
    } finally {
      await deleteEmbeddedPostgres(directory);
      await rm(directory, { recursive: true, force: true });
    }
  },
  90_000,
);

/** The old session listens too, as the server knows no better. Only its own health check can have made the new one. */
async function listensAnew(queue: TestQueue): Promise<void> {
  await until("it listens anew", async () =>
    (await queue.sql`
      select 1 from pg_stat_activity where query ilike ${`listen%${queue.names.prefix}%`}`)
      .length === 2);
}

test.each(WATCHFUL_DRIVERS)(
  "%s: half-open sockets are noticed and replaced, and jobs enqueued meanwhile run",
  async (_, open) => {
    const queue = await openTestQueue();
    const url = new URL(queue.dsn);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port || 5432) });
    url.hostname = "127.0.0.1";
    url.port = String(proxy.port);
    const { driver, end } = await open(url.href, { statementTimeout: 500 });
    const load = work(new PgQueuer(driver, queue.names), { milliseconds: 500 });
    const first = await queue.queries.enqueue("work", null);
    await until("it works", () => load.started.includes(first!));

    proxy.freeze();
    const second = await queue.queries.enqueue("work", null);

    await until("the statement connections are replaced", () => load.started.includes(second!));
    // Past a pooler there is another network, which is as it was.
    if (POOLED_DSN === undefined) await listensAnew(queue);
    await load.end();
    await end();
    await proxy.close();
    await queue.close();
  },
  60_000,
);
