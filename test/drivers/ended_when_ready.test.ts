/** A server that ends a connection in the very packet that makes it ready, as one does that is killed just then. */
import { type AddressInfo, createServer } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import pg from "pg";
import postgres from "postgres";
import { fromNodePostgres, fromPostgresJs, openWorkerDriver } from "../../mod.ts";

/** One message of the protocol: a letter, the length with its own four bytes, what it says. */
function message(letter: string, ...body: readonly (string | number)[]): Buffer {
  const said = Buffer.concat(
    body.map((part) => typeof part === "number" ? Buffer.from([0, 0, 0, part]) : Buffer.from(part)),
  );
  const length = Buffer.alloc(4);
  length.writeInt32BE(said.length + 4);
  return Buffer.concat([Buffer.from(letter), length, said]);
}

const READY_AND_ENDED = Buffer.concat([
  message("R", 0),
  message("Z", "I"),
  message("E", "SFATAL\0VFATAL\0C57P01\0Mended just as it was ready\0\0"),
]);

/** How often it has told that. */
interface EndingServer {
  readonly dsn: string;
  readonly ended: number;
  close(): Promise<void>;
}

async function startEndingServer(): Promise<EndingServer> {
  let ended = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      ended++;
      socket.end(READY_AND_ENDED);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    dsn: `postgres://user@127.0.0.1:${port}/db?sslmode=disable`,
    get ended() {
      return ended;
    },
    async close() {
      server.close();
      await once(server, "close");
    },
  };
}

let server: EndingServer;
beforeEach(async () => {
  server = await startEndingServer();
});
afterEach(() => server.close());

// An error that nobody hears ends the process, and fails the run of these tests.
async function failsTwice(ask: () => Promise<unknown>): Promise<void> {
  await expect(ask()).rejects.toThrow();
  await expect(ask()).rejects.toThrow();
  expect(server.ended).toBeGreaterThanOrEqual(2);
}

test("openWorkerDriver() fails", async () => {
  await failsTwice(() => openWorkerDriver(`${server.dsn}&connect_timeout=1`));
});

test("a statement and a transaction of a pool of pg fail", async () => {
  const pool = new pg.Pool({ connectionString: server.dsn });
  const driver = fromNodePostgres(pool);

  await failsTwice(() => driver.query("select 1", []));
  await failsTwice(() => driver.transactions!.run(() => Promise.resolve(true), () => {}));

  await driver.close();
  await pool.end();
});

test("a transaction of postgres.js fails", async () => {
  // Asks nothing by itself, as the client is not used.
  const sql = postgres(server.dsn);
  const driver = fromPostgresJs(sql);

  await failsTwice(() => driver.transactions!.run(() => Promise.resolve(true), () => {}));

  await driver.close();
  await sql.end();
});
