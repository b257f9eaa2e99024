import { createServer, type Server } from "node:http";
import type { WorkerHealth } from "../worker/health.ts";
import { CliError } from "./command.ts";
import { hidePasswords } from "./explain_error.ts";

/** What each path asks. */
const PATHS: Readonly<Record<string, "live" | "ready">> = { "/livez": "live", "/readyz": "ready" };

/** Where to answer. */
export interface HealthAddress {
  /** `0`: a free one. */
  readonly port: number;
  /** Name or address. All interfaces without it: the kubelet asks from outside of the pod. */
  readonly host?: string | undefined;
}

/** Answers the probes of an orchestrator. */
export class HealthServer {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Opens the port.
   *
   * @param health Says how the worker is.
   * @throws {CliError} If the port is not to be had.
   */
  static async open(
    address: HealthAddress,
    health: () => Promise<WorkerHealth>,
  ): Promise<HealthServer> {
    const server = createServer({ keepAliveTimeout: 5_000 }, (request, response) => {
      answer(request, health).then(({ code, body }) => {
        const text = `${JSON.stringify(body)}\n`;
        response.writeHead(code, {
          "cache-control": "no-store",
          "content-type": "application/json; charset=utf-8",
          "content-length": String(new TextEncoder().encode(text).length),
        });
        response.end(request.method === "HEAD" ? undefined : text);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once(
        "error",
        (error) => reject(new CliError(refusal(error, address), { cause: error })),
      );
      server.listen({ port: address.port, host: address.host }, () => resolve());
    });
    server.removeAllListeners("error");
    // A client that goes away is nothing to end the worker for.
    server.on("error", () => {});
    return new HealthServer(server);
  }

  /** Where it answers, such as `http://127.0.0.1:8080`. All interfaces are shown as `0.0.0.0` or `[::]`. */
  get origin(): string {
    const { address, port } = this.#server.address() as { address: string; port: number };
    return `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
  }

  /** Closes the port and what is connected to it. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // Else a client that keeps its connection would keep the process.
    this.#server.closeAllConnections();
    await closed;
  }
}

interface Answer {
  readonly code: number;
  readonly body: object;
}

async function answer(
  { method, url }: { method?: string | undefined; url?: string | undefined },
  health: () => Promise<WorkerHealth>,
): Promise<Answer> {
  const path = url?.split("?")[0] ?? "";
  const asked = Object.hasOwn(PATHS, path) ? PATHS[path] : undefined;
  if (asked === undefined) {
    return { code: 404, body: { error: `there are ${Object.keys(PATHS).join(" and ")} only` } };
  }
  if (method !== "GET" && method !== "HEAD") {
    return { code: 405, body: { error: "GET and HEAD only" } };
  }
  try {
    const found = await health();
    return { code: found[asked] ? 200 : 503, body: bodyOf(found) };
  } catch (error) {
    return { code: 500, body: { error: hidePasswords(String(error)) } };
  }
}

/** With the names that all JSON of the command line has. */
function bodyOf(health: WorkerHealth): object {
  const { state, live, ready, problems, connected, listening, entrypoints } = health;
  return {
    state,
    live,
    ready,
    // The words of an error may hold anything.
    problems: problems.map(hidePasswords),
    connected,
    listening,
    running_jobs: health.runningJobs,
    last_claim_at: health.lastClaimAt,
    queue_manager_id: health.queueManagerId,
    entrypoints,
  };
}

/** In the words of our messages. */
function refusal(error: Error, { port, host }: HealthAddress): string {
  const { code } = error as { code?: unknown };
  const what = `Cannot answer health checks on ${host ?? "all interfaces"}, port ${port}, as`;
  if (code === "EADDRINUSE") {
    return `${what} the port is in use: give another --health-port, or 0 for a free one`;
  }
  if (code === "EACCES" || code === "EPERM") {
    return `${what} this user may not open it: give a --health-port above 1023`;
  }
  if (["EADDRNOTAVAIL", "EAI_AGAIN", "EINVAL", "ENOTFOUND"].includes(String(code))) {
    return `${what} the host is none of this machine: give another --health-host`;
  }
  return `${what} the system refuses: ${error.message}`;
}
