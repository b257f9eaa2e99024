/** A TCP proxy before the database, to cut connections in ways that a server cannot. */
import { connect, createServer, type Socket } from "node:net";

/**
 * Where in a statement's way the connection is cut: it is not sent, nobody waits for it, its answer is not passed on, or
 * that is the last that is.
 */
export type CutMoment = "before" | "during" | "after" | "answered";

/** A running proxy. */
export interface TcpProxy {
  readonly port: number;
  /** Keeps every open connection and passes nothing on any more: half-open, without an error on either side. */
  freeze(): void;
  /** Takes new connections and passes nothing on, as a firewall that drops packets, until it is turned off. */
  swallow(on: boolean): void;
  /** Keeps each byte back for so long, in either direction; `0` ends it. */
  delay(ms: number): void;
  /** Ends one direction: the client hears the end while the server hears nothing, or the other way round. */
  halfClose(side: "client" | "server"): void;
  /** Cuts the first connection on which the client sends `text` from now on. Resolves when it has. */
  cutAt(text: string, moment: CutMoment): Promise<void>;
  /** Cuts every connection. */
  cut(): void;
  /** Ends the server's side of connections that pass nothing on, and leaves their clients in silence. */
  forget(): void;
  /** Connections that are open on the client's side. */
  connections(): number;
  close(): Promise<void>;
}

/** Passes what comes to one socket, in order, at once or after a while. */
class Outlet {
  readonly #socket: Socket;
  readonly #waiting: { readonly deliver: () => void; readonly dueAt: number }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(chunk: Uint8Array, delayMs: number): void {
    this.#later(() => this.#socket.writable && this.#socket.write(chunk), delayMs);
  }

  end(delayMs: number): void {
    this.#later(() => this.#socket.end(), delayMs);
  }

  #later(deliver: () => void, delayMs: number): void {
    if (delayMs === 0 && this.#waiting.length === 0) return deliver();
    this.#waiting.push({ deliver, dueAt: performance.now() + delayMs });
    this.#timer ??= setTimeout(() => this.#deliver(), delayMs);
  }

  #deliver(): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.dueAt <= performance.now() + 1) {
      this.#waiting.shift()!.deliver();
    }
    const next = this.#waiting[0];
    this.#timer = next && setTimeout(() => this.#deliver(), next.dueAt - performance.now());
  }
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Whether nothing is passed on any more, the end of either side included. */
  silent: boolean;
}

/**
 * Passes bytes to a TCP port of this machine.
 *
 * @param watch Is called for each connection, and what it gives for each chunk that the client sends.
 */
export async function startTcpProxy(
  target: { host: string; port: number },
  watch: () => (chunk: Uint8Array) => void = () => () => {},
): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  let delayMs = 0;
  let swallowing = false;
  let trap: { text: string; moment: CutMoment; sprung: () => void } | undefined;

  const cutPair = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  };

  /** Whether the connection is cut here, and the chunk not passed on. */
  const springs = (pair: Pair, chunk: Uint8Array): boolean => {
    if (!trap || !new TextDecoder("latin1").decode(chunk).includes(trap.text)) return false;
    const { moment, sprung } = trap;
    trap = undefined;
    if (moment === "before") {
      cutPair(pair);
    } else {
      pair.server.removeAllListeners("data");
      pair.server.write(chunk, () => moment === "during" && cutPair(pair));
      if (moment === "after") pair.server.once("data", () => cutPair(pair));
      if (moment === "answered") pair.server.once("data", (answer) => pair.client.end(answer));
    }
    sprung();
    return true;
  };

  const proxy = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ ...target, allowHalfOpen: true });
    const pair: Pair = { client, server, silent: swallowing };
    pairs.add(pair);
    const see = watch();
    const toClient = new Outlet(client);
    const toServer = new Outlet(server);
    client.on("data", (chunk: Uint8Array) => {
      see(chunk);
      if (!pair.silent && !springs(pair, chunk)) toServer.write(chunk, delayMs);
    });
    server.on("data", (chunk: Uint8Array) => pair.silent || toClient.write(chunk, delayMs));
    client.on("end", () => pair.silent ? client.end() : toServer.end(delayMs));
    server.on("end", () => pair.silent || toClient.end(delayMs));
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", () => pair.silent || cutPair(pair));
      socket.on("close", () => {
        if (client.destroyed && server.destroyed) pairs.delete(pair);
        // What is still kept back comes first.
        else if (!pair.silent) setTimeout(() => cutPair(pair), delayMs);
      });
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const cut = (): void => pairs.forEach(cutPair);

  return {
    port: (proxy.address() as { port: number }).port,
    freeze() {
      for (const pair of pairs) pair.silent = true;
    },
    swallow(on) {
      swallowing = on;
    },
    delay(ms) {
      delayMs = ms;
    },
    halfClose(side) {
      for (const pair of pairs) {
        // Not so the client: it may go on sending, and its own end is passed on.
        if (side === "server") pair.silent = true;
        pair[side].end();
      }
    },
    cutAt(text, moment) {
      return new Promise((sprung) => trap = { text, moment, sprung });
    },
    cut,
    forget() {
      for (const pair of pairs) {
        if (!pair.silent) continue;
        pair.server.destroy();
        if (pair.client.destroyed) pairs.delete(pair);
      }
    },
    connections: () => [...pairs].filter(({ client }) => !client.destroyed).length,
    async close() {
      cut();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
