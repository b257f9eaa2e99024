/** A server that ends a connection in the very packet that makes it ready, as one does that is killed just then. */
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { WATCHFUL_DRIVERS } from "../support/drivers.ts";

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

/** Counts whom it has told that. */
async function startEndingServer(): Promise<Server & { ended: number; port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      state.ended++;
      socket.end(READY_AND_ENDED);
    });
  });
  const state = Object.assign(server, { ended: 0, port: 0 });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  state.port = (server.address() as { port: number }).port;
  return state;
}

// That of `fromPostgresJs` is of the caller, and ends the process while it asks for the types of arrays.
test.each(WATCHFUL_DRIVERS)(
  "%s: a connection that ends as it gets ready fails its statement, and not the process",
  async (_, open) => {
    const server = await startEndingServer();
    const dsn = `postgres://user@127.0.0.1:${server.port}/db?sslmode=disable`;
    const { driver, end } = await open(dsn, { statementTimeout: { seconds: 5 } });

    await expect(driver.query("select 1", [])).rejects.toThrow();
    await expect(driver.query("select 1", [])).rejects.toThrow();

    expect(server.ended).toBeGreaterThanOrEqual(2);
    await end();
    server.close();
  },
  60_000,
);
