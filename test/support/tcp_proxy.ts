/** A TCP proxy before the database, to cut connections in ways that a server cannot. */
import { connect, createServer, type Socket } from "node:net";

/** A running proxy. */
export interface TcpProxy {
  readonly port: number;
  /** Keeps every open connection and passes nothing on any more: half-open, without an error on either side. */
  freeze(): void;
  close(): Promise<void>;
}

/** Passes bytes to a TCP port of this machine. */
export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const pairs = new Set<{ client: Socket; server: Socket; frozen: boolean }>();
  const proxy = createServer((client) => {
    const server = connect(target.port, target.host);
    const pair = { client, server, frozen: false };
    pairs.add(pair);
    client.on("data", (chunk) => pair.frozen || server.write(chunk));
    server.on("data", (chunk) => pair.frozen || client.write(chunk));
    const drop = (): void => {
      if (pair.frozen) return;
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on("close", drop).on("error", drop);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const pair of pairs) {
      pair.client.destroy();
      pair.server.destroy();
    }
    pairs.clear();
  };
  return {
    port: (proxy.address() as { port: number }).port,
    freeze() {
      for (const pair of pairs) pair.frozen = true;
    },
    async close() {
      cut();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
