/** The connections of a worker. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { openWorkerDriver } from "../../mod.ts";
import { openTestQueue, until } from "../support/queue.ts";

test("an answer that came while the event loop was blocked is not late", async () => {
  const queue = await openTestQueue();
  const warnings: string[] = [];
  const ignore = (): void => {};
  await using driver = await openWorkerDriver(queue.dsn, {
    statementTimeout: 500,
    logger: {
      debug: ignore,
      info: ignore,
      warn: (line) => void warnings.push(line),
      error: ignore,
    },
  });
  const token = queue.names.schema;
  const answer = driver.query(`select '${token}' as token from pg_sleep(0.2)`, []);
  await until("it is sent", async () =>
    (await queue.sql`select 1 from pg_stat_activity
      where query like ${`select '${token}'%`} and state = 'active'`).length === 1);

  const end = performance.now() + 800;
  while (performance.now() < end);

  expect(await answer).toEqual([{ token }]);
  expect(warnings).toEqual([]);
  await queue.close();
});

/** Answers a start as a server does that is told to end. */
const ENDING = new TextEncoder().encode("SFATAL\0C57P01\0Mgone\0\0");

test("a database that ends, and then answers no more, is soon given up", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    const first = connections++ === 0;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      if (!first) return;
      // It asks for TLS, eight bytes, before it says who it is.
      if (chunk.length === 8) socket.write("N");
      else socket.end(new Uint8Array([0x45, 0, 0, 0, ENDING.length + 4, ...ENDING]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const begun = performance.now();

  const opening = openWorkerDriver(`postgresql://app@127.0.0.1:${port}/app`);
  await expect(opening).rejects.toThrow("gone");

  // A second connection is not waited for: who keeps leases has no five seconds for that.
  expect(performance.now() - begun).toBeLessThan(4_000);
  server.close();
});

test.each([
  ["says nothing", () => {}],
  ["closes each connection", (socket: Socket) => void socket.destroy()],
  ["speaks HTTP", (socket: Socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
])("a server that %s is given up after the connect_timeout of the DSN", async (_, onConnection) => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };

  const opening = openWorkerDriver(
    `postgresql://app:hunter2@127.0.0.1:${port}/shop?connect_timeout=1`,
  );
  const error = await opening.then(() => undefined, (error) => String(error));
  server.close();

  expect(error).toMatch(
    /CONNECT_TIMEOUT|Cannot connect as PostgreSQL must answer( within 3000 ms)?: /,
  );
  expect(error).not.toContain("hunter2");
});
