/** `pgq run --health-port`, asked as an orchestrator asks: by HTTP, of the real process. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deleteEmbeddedPostgres, startEmbeddedPostgres } from "../../src/cli/embedded_postgres.ts";
import { until } from "../support/queue.ts";
import { callPgq, PgqProcess, runPgq, TestQueue } from "./fixtures/pgq.ts";

const WORKER = fileURLToPath(new URL("./fixtures/factories/worker.ts", import.meta.url));
const TIMEOUT_MS = 90_000;

/** What the port says. */
interface Answer {
  readonly code: number;
  // deno-lint-ignore no-explicit-any -- JSON of a process.
  readonly body: any;
}

const queue = new TestQueue();

beforeAll(async () => {
  await callPgq(["install"], { env: queue.env });
}, TIMEOUT_MS);
afterAll(() => queue.drop());

/** Starts a worker with a free port, and waits until it is open. */
async function start(
  factory: string,
  env: Record<string, string>,
  ...flags: string[]
): Promise<{ worker: PgqProcess; origin: string; ask: (path: string) => Promise<Answer> }> {
  const args = ["run", `${WORKER}:${factory}`, "--health-port", "0", ...flags];
  const worker = new PgqProcess(args, { env });
  await worker.waitFor("Answering health checks on");
  const { port } = /:(?<port>\d+)\/livez/.exec(worker.stderr)!.groups!;
  const origin = `http://127.0.0.1:${port}`;
  const ask = async (path: string): Promise<Answer> => {
    const response = await fetch(origin + path, { signal: AbortSignal.timeout(10_000) });
    return { code: response.status, body: await response.json() };
  };
  return { worker, origin, ask };
}

/** Waits until a path gives a code, and gives that answer. */
function untilCode(
  ask: (path: string) => Promise<Answer>,
  path: string,
  code: number,
): Promise<Answer> {
  return until(`${path} gives ${code}`, async () => {
    const answer = await ask(path);
    return answer.code === code ? answer : undefined;
  });
}

describe("pgq run --health-port", () => {
  test("says what is known, is not ready while the database is away, and is again", async () => {
    const directory = await mkdtemp(join(tmpdir(), "pgq-health-"));
    let server = await startEmbeddedPostgres({ directory });
    const env = { PGQUEUER_DSN: server.dsn };
    let process: PgqProcess | undefined;
    try {
      await callPgq(["install"], { env });
      const { worker, ask } = await start("generator", env);
      process = worker;

      const ready = await untilCode(ask, "/readyz", 200);
      expect(ready.body).toEqual({
        state: "running",
        live: true,
        ready: true,
        problems: [],
        connected: true,
        listening: true,
        running_jobs: 0,
        last_claim_at: expect.stringMatching(/^\d{4}-.*Z$/),
        queue_manager_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        entrypoints: ["echo"],
      });

      await server.stop("fast");
      // It is asked once in a while, and the listener knows first: not ready for that reason, too.
      const away = await until("it is known that the database is away", async () => {
        const answer = await ask("/readyz");
        return answer.body.connected ? undefined : answer;
      });
      expect(away.code).toBe(503);
      expect(away.body).toMatchObject({ live: true, ready: false });
      expect(away.body.problems.join()).toContain("the database gives no answer: ");
      expect((await ask("/livez")).code).toBe(200);

      server = await startEmbeddedPostgres({ directory, port: server.port });
      const back = await untilCode(ask, "/readyz", 200);
      expect(back.body).toMatchObject({ connected: true, listening: true, problems: [] });
      expect(worker.stderr).not.toContain(new URL(server.dsn).password);
    } finally {
      process?.signal("SIGTERM");
      await process?.ended;
      await server.stop("immediate");
      await deleteEmbeddedPostgres(directory);
      await rm(directory, { recursive: true, force: true });
    }
  }, TIMEOUT_MS);

  test("is alive and not ready from the first signal on, until the job has ended", async () => {
    await queue.sql.unsafe(`TRUNCATE ${queue.table}`);
    await callPgq(["queue", "obeys"], { env: queue.env });
    const { worker, origin, ask } = await start("slow", queue.env);
    await worker.waitFor("handler runs");
    const running = await untilCode(ask, "/readyz", 200);
    expect(running.body.running_jobs).toBe(1);

    worker.signal("SIGTERM");
    const stopping = await untilCode(ask, "/readyz", 503);
    const alive = await ask("/livez");
    worker.signal("SIGTERM");
    const { code } = await worker.ended;

    expect(stopping.body).toMatchObject({ state: "stopping", running_jobs: 1, connected: true });
    expect(stopping.body.problems).toContain("it is stopping");
    expect(alive).toMatchObject({ code: 200, body: { live: true, ready: false } });
    expect(code).toBe(0);
    await expect(fetch(`${origin}/livez`)).rejects.toThrow();
  }, TIMEOUT_MS);

  test("gives no answer while a handler blocks the event loop", async () => {
    await queue.sql.unsafe(`TRUNCATE ${queue.table}`);
    const { worker, origin, ask } = await start("blocking", queue.env);
    await untilCode(ask, "/readyz", 200);

    await callPgq(["queue", "block"], { env: queue.env });
    await worker.waitFor("handler blocks");
    const asked = fetch(`${origin}/livez`, { signal: AbortSignal.timeout(1_500) });
    await expect(asked).rejects.toThrow();
    worker.signal("SIGKILL");
    await worker.ended;
  }, TIMEOUT_MS);

  test("is alive while the factory is at work and while a restart is waited for", async () => {
    const stuck = await start("stuck", queue.env);
    const unlucky = await start(
      ...["unlucky", queue.env, "--restart-on-failure", "--restart-delay", "3600"] as const,
    );
    await Promise.all([
      stuck.worker.waitFor("factory runs"),
      unlucky.worker.waitFor("Starting the worker again"),
    ]);

    const [starting, waiting] = await Promise.all([stuck.ask("/readyz"), unlucky.ask("/readyz")]);
    const alive = await Promise.all([stuck.ask("/livez"), unlucky.ask("/livez")]);
    stuck.worker.signal("SIGKILL");
    unlucky.worker.signal("SIGTERM");
    await Promise.all([stuck.worker.ended, unlucky.worker.ended]);

    expect(starting).toMatchObject({ code: 503, body: { state: "starting", connected: null } });
    expect(waiting).toMatchObject({ code: 503, body: { state: "restarting" } });
    expect(waiting.body.problems.join()).toContain("it has failed and waits to start again");
    expect(alive.map(({ code }) => code)).toEqual([200, 200]);
  }, TIMEOUT_MS);

  test("answers on one address if it is told to, and knows two paths", async () => {
    const { worker, origin } = await start("stuck", queue.env, "--health-host", "127.0.0.1");

    const answers = await Promise.all([
      fetch(`${origin}/livez?verbose`, { method: "HEAD" }),
      fetch(`${origin}/metrics`),
      fetch(`${origin}/livez`, { method: "POST" }),
      fetch(`${origin}/constructor`),
    ]);
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    worker.signal("SIGKILL");
    await worker.ended;

    expect(worker.stderr).toContain("health checks on http://127.0.0.1:");
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 405, 404]);
    expect(answers[0]!.headers.get("content-type")).toContain("application/json");
    expect(texts[0]).toBe("");
    expect(JSON.parse(texts[1]!).error).toContain("/livez and /readyz");
  }, TIMEOUT_MS);

  test("ends with a message where the port is not to be had", async () => {
    const taken = await listen();
    const { port } = taken.address() as { port: number };

    const [inUse, elsewhere] = await Promise.all([
      runPgq(["run", `${WORKER}:stuck`, "--health-port", String(port)], { env: queue.env }),
      runPgq(["run", `${WORKER}:stuck`, "--health-port", "0", "--health-host", "192.0.2.1"], {
        env: queue.env,
      }),
    ]);
    taken.close();

    expect(inUse).toMatchObject({ code: 1, stdout: "" });
    expect(inUse.stderr).toBe(
      `Cannot answer health checks on all interfaces, port ${port}, as the port is in use: give another --health-port, or 0 for a free one\n`,
    );
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.stderr).toContain("the host is none of this machine");
  }, TIMEOUT_MS);

  test("closes with the worker, though a client keeps its connection", async () => {
    await queue.sql.unsafe(`TRUNCATE ${queue.table}`);
    const { worker, ask } = await start("generator", queue.env);
    await untilCode(ask, "/readyz", 200);

    worker.signal("SIGTERM");
    const { code, stdout } = await worker.ended;

    expect({ code, stdout }).toEqual({ code: 0, stdout: "cleaned up\n" });
  }, TIMEOUT_MS);

  test.each([
    [["--health-port", "65536"], '"--health-port" as it must be a port from 0 to 65535'],
    [["--health-port", "x"], "must be a port from 0 to 65535"],
    [["--health-host", "::1"], 'Cannot use "--health-host" as there is no port to open'],
  ])("%j is a wrong command line", async (flags, message) => {
    const { code, stderr } = await callPgq(["run", "./main.ts", ...flags], { env: queue.env });

    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

/** Takes a port on all interfaces. */
function listen(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, () => resolve(server));
  });
}
