import { reconnectDelayMs } from "../backoff.ts";
import type { ChannelListener, Subscription } from "../driver.ts";
import type { Logger } from "../logger.ts";
import { statements } from "../sql/generated.ts";
import { render } from "../sql/render.ts";

/** The part of a `Client` of [pg](https://www.npmjs.com/package/pg) that listening needs. */
export interface NodePostgresClient {
  /** Connects, once. */
  connect(): Promise<unknown>;
  /** Runs a statement. */
  query(text: string): Promise<unknown>;
  /** Closes the connection. */
  end(): Promise<void>;
  /** Hears what happens to the connection. */
  on(event: "end", listener: () => void): unknown;
  /** Hears of its errors. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Hears notifications. */
  on(
    event: "notification",
    listener: (message: { channel: string; payload?: string | undefined }) => void,
  ): unknown;
}

/** What a subscription is made with. */
interface ListenOptions {
  /** Longest wait for a connection that listens. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** Listens on a connection of its own until it is closed. Rejects if the first connection cannot be made. */
export async function listenWith(
  makeClient: () => NodePostgresClient,
  channel: string,
  listener: ChannelListener,
  options: ListenOptions,
): Promise<Subscription> {
  const subscription = new NodePostgresSubscription(makeClient, channel, listener, options);
  await subscription.open();
  return subscription;
}

/** LISTEN on one connection after another: a lost one is replaced until `close`. */
class NodePostgresSubscription implements Subscription {
  readonly #makeClient: () => NodePostgresClient;
  readonly #channel: string;
  readonly #listener: ChannelListener;
  readonly #options: ListenOptions;
  /** The connection that listens, or is about to. An event of any other is of no interest. */
  #client: NodePostgresClient | undefined;
  #closed = false;

  constructor(
    makeClient: () => NodePostgresClient,
    channel: string,
    listener: ChannelListener,
    options: ListenOptions,
  ) {
    this.#makeClient = makeClient;
    this.#channel = channel;
    this.#listener = listener;
    this.#options = options;
  }

  /** Connects and listens. */
  async open(): Promise<void> {
    const client = this.#makeClient();
    this.#client = client;
    let listens = false;
    const lost = (error?: Error): void => {
      // While it is opened, the error reaches who opens it.
      if (!listens || this.#client !== client) return;
      this.#client = undefined;
      this.#options.logger.warn(`Lost the connection that listens: ${error ?? "it was closed"}`);
      discard(client);
      void this.#reopen();
    };
    client.on("error", lost);
    client.on("end", lost);
    client.on("notification", ({ channel, payload = "" }) => {
      if (this.#client === client && channel === this.#channel) this.#listener.onPayload(payload);
    });
    try {
      await this.#inTime(
        client.connect().then(() =>
          client.query(render(statements.listen, { channel: this.#channel }))
        ),
      );
    } catch (error) {
      this.#client = undefined;
      discard(client);
      throw error;
    }
    if (this.#closed) {
      discard(client);
      return;
    }
    listens = true;
    this.#listener.onListening();
  }

  /** Does not wait: on a half-open connection the server's answer never comes. */
  close(): Promise<void> {
    this.#closed = true;
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) discard(client);
    return Promise.resolve();
  }

  async #reopen(): Promise<void> {
    for (let failures = 1; !this.#closed; failures++) {
      try {
        await this.open();
        return;
      } catch (error) {
        this.#options.logger.warn(`Cannot listen, trying again: ${error}`);
        await new Promise((resolve) => setTimeout(resolve, reconnectDelayMs(failures)));
      }
    }
  }

  async #inTime(listening: Promise<unknown>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      const { timeoutMs } = this.#options;
      timer = setTimeout(
        () => reject(new Error(`Cannot listen as there was no answer in ${timeoutMs} ms`)),
        timeoutMs,
      );
    });
    try {
      await Promise.race([listening, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Closes a connection, dead or alive: a polite end waits for the server, so the socket is closed too. */
function discard(client: NodePostgresClient): void {
  client.end().catch(() => {});
  const { connection } = client as { connection?: { stream?: { destroy?(): void } } };
  connection?.stream?.destroy?.();
}
