/**
 * Runs the tests of one runtime against a real PostgreSQL and cleans up after them:
 *
 *     tsx test/run.ts [--runtime node|deno|bun|bun-vitest|python] [arguments of the runner…]
 *
 * `python` is Node with processes of the Python project beside it: `test/python/run.ts` prepares them.
 *
 * A wrapper and no `globalSetup`, as `bun test` reads no vitest configuration:
 * so each runner gets its database the same way, by `PGQ_TEST_DSN`.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { availableParallelism, constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { deleteEmbeddedPostgres, startEmbeddedPostgres } from "../src/cli/embedded_postgres.ts";
import { deleteLeftovers } from "./support/leftovers.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Longest time a test may take. The runners' own 5 s are too short for a restart of the server on a busy machine. */
const TEST_TIMEOUT_MS = 60_000;
/** An engine on this machine answers in a few milliseconds. */
const DOCKER_PING_MS = 1_000;
/** A pull that takes longer than this is not worth its wait, as there is another way. */
const CONTAINER_START_MS = 120_000;
/** Test files that run at the same time. Most tests wait for something, so there may be more than processors. */
const PARALLEL_FILES = Math.max(3, availableParallelism() - 1);
const TEMP_PREFIX = "pgqueuer-test-";

/** A database for the tests. */
interface TestDatabase {
  readonly dsn: string;
  /** Where it is from, for the line that is printed. */
  readonly kind: string;
  close(): Promise<void>;
}

/** A command line, and what to call it. */
interface Runner {
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** Signals that came before the runner was there to get them. */
let interrupted: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => interrupted = signal);
}
process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const named = argv[0] === "--runtime" ? argv[1] : argv[0]?.match(/^--runtime=(.*)/)?.[1];
  const rest = argv.slice(argv[0] === "--runtime" ? 2 : named === undefined ? 0 : 1);
  const runner = runnerOf(named ?? "node", rest);
  if (runner === undefined) {
    console.error(
      `Cannot test on "${named}" as it must be one of node, deno, bun, bun-vitest, python`,
    );
    return 2;
  }

  const database = await openDatabase();
  let pooler: Pooler | undefined;
  try {
    const version = await serverVersion(database.dsn);
    console.error(`Testing on PostgreSQL ${version} (${database.kind}) with ${runner.title}`);
    pooler = await openPooler(database.dsn);
    return await run(runner, { PGQ_TEST_DSN: database.dsn, ...pooler?.env });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  } finally {
    await pooler?.close();
    await database.close();
  }
}

/** A pooler in front of the database, as `test/pgbouncer/run.ts` asks for it. */
interface Pooler {
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

async function openPooler(dsn: string): Promise<Pooler | undefined> {
  const listen = process.env.PGQ_TEST_POOLER;
  if (!listen) return undefined;
  const { findPgBouncer, startPgBouncer } = await import("./pgbouncer/pgbouncer.ts");
  const program = findPgBouncer();
  if (program === undefined) throw new Error("Cannot test as there is no PgBouncer");
  const { dsn: pooled, plainDsn, close } = await startPgBouncer(program, dsn);
  const env = {
    PGQ_TEST_POOLED_DSN: pooled,
    PGQ_TEST_PLAIN_POOLED_DSN: plainDsn,
    PGQUEUER_LISTEN_DSN: listen === "direct" ? dsn : listen,
  };
  return { env, close };
}

function runnerOf(runtime: string, args: readonly string[]): Runner | undefined {
  const bin = (name: string) => join(ROOT, "node_modules", ".bin", name);
  const script = join(ROOT, "node_modules", "vitest", "vitest.mjs");
  const timeouts = [`--testTimeout=${TEST_TIMEOUT_MS}`, `--hookTimeout=${TEST_TIMEOUT_MS}`];
  // Without --dir, compiled copies of the tests in dist/ would run too.
  const parallel = `--maxWorkers=${PARALLEL_FILES}`;
  const dir = runtime === "python" ? "test/python" : "test";
  const where = [`--config=${dir}/vitest.config.ts`, `--dir=${dir}`];
  const vitest = ["run", ...where, parallel, ...timeouts, ...args];

  switch (runtime) {
    case "node":
    case "python": {
      const beside = runtime === "python" ? " and the Python project" : "";
      const title = `Node ${process.version}${beside}`;
      return { title, command: process.execPath, args: [script, ...vitest] };
    }
    case "deno": {
      const command = bin("deno");
      const title = versionOf(command, "Deno");
      return { title, command, args: ["run", "-A", "npm:vitest", ...vitest] };
    }
    case "bun-vitest": {
      const command = bin("bun");
      const title = `${versionOf(command, "Bun")} and vitest`;
      return { title, command, args: ["--bun", script, ...vitest] };
    }
    case "bun": {
      const command = bin("bun");
      // Without the dot it is a substring of a path, and would match dist/test too.
      const paths = args.map((arg) =>
        !arg.startsWith("-") && !arg.startsWith(".") && existsSync(join(ROOT, arg))
          ? `./${arg}`
          : arg
      );
      const filters = paths.some((path) => !path.startsWith("-")) ? [] : ["./test/"];
      const parallel = `--parallel=${PARALLEL_FILES}`;
      const all = ["test", `--timeout=${TEST_TIMEOUT_MS}`, parallel, ...filters, ...paths];
      return { title: versionOf(command, "Bun"), command, args: all };
    }
  }
  return undefined;
}

function versionOf(command: string, name: string): string {
  const line = execFileSync(command, ["--version"], { encoding: "utf8" });
  return `${name} ${line.match(/\d+\.\d+\.\d+/)?.[0] ?? "of unknown version"}`;
}

/** Runs the runner to its end. Returns its exit code, as a shell would for a signal. */
function run({ command, args }: Runner, env: Readonly<Record<string, string>>): Promise<number> {
  if (interrupted !== undefined) return Promise.resolve(128 + constants.signals[interrupted]);

  return new Promise((resolve, reject) => {
    // A group of its own, so that Ctrl-C reaches it once and through us, whoever sent it.
    const isGroup = process.platform !== "win32";
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
      detached: isGroup,
    });
    const forward = (signal: NodeJS.Signals) => {
      try {
        // A second signal means that the first one was not enough.
        const sent = interrupted === undefined ? signal : "SIGKILL";
        if (child.pid !== undefined) process.kill(isGroup ? -child.pid : child.pid, sent);
      } catch {
        // It has just ended.
      }
      interrupted ??= signal;
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.removeAllListeners(signal);
      process.on(signal, forward);
    }
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
  });
}

async function openDatabase(): Promise<TestDatabase> {
  const dsn = process.env.PGQ_TEST_DSN;
  if (dsn) return { dsn, kind: "PGQ_TEST_DSN", close: () => Promise.resolve() };

  if (await dockerAnswers()) {
    try {
      return await openContainer();
    } catch (error) {
      const reason = String(error instanceof Error ? error.message : error).split("\n")[0];
      console.error(`Testing on the embedded PostgreSQL as no container could start: ${reason}`);
    }
  }
  return await openEmbedded();
}

async function openContainer(): Promise<TestDatabase> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const version = process.env.PGQ_TEST_POSTGRES_VERSION ?? "17";
  const password = crypto.randomUUID();
  const starting = new GenericContainer(`postgres:${version}-alpine`)
    .withEnvironment({ POSTGRES_PASSWORD: password, POSTGRES_DB: "pgq" })
    .withCommand(["postgres", "-c", "max_connections=200", "-c", "fsync=off"])
    .withExposedPorts(5432)
    // Its init scripts start a first server, that stops again. The default wait is for a health
    // check, which hangs under podman without systemd.
    .withWaitStrategy(
      Wait.forAll([
        Wait.forListeningPorts(),
        Wait.forLogMessage(/database system is ready to accept connections/, 2),
      ]),
    )
    .withStartupTimeout(CONTAINER_START_MS)
    .start();

  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const error = new Error(`it took longer than ${CONTAINER_START_MS / 1000} s`);
    timer = setTimeout(() => reject(error), CONTAINER_START_MS);
  });
  // One that starts after all is not needed any more.
  let isLate = false;
  starting.then(async (container) => {
    if (isLate) await container.stop();
  }).catch(() => {});
  try {
    const container = await Promise.race([starting, timeout]);
    const address = `${container.getHost()}:${container.getMappedPort(5432)}`;
    return {
      dsn: `postgresql://postgres:${password}@${address}/pgq`,
      kind: `container postgres:${version}-alpine`,
      close: async () => void await container.stop(),
    };
  } catch (error) {
    isLate = true;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Whether a Docker engine is there. The library is slow to load, and says so only after seconds. */
function dockerAnswers(): Promise<boolean> {
  const host = process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock";
  const url = URL.canParse(host) ? new URL(host) : undefined;

  return new Promise((resolve) => {
    if (url?.protocol === "unix:" && existsSync(url.pathname)) {
      const ping = request({ socketPath: url.pathname, path: "/_ping", timeout: DOCKER_PING_MS });
      ping.on("response", (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      ping.on("error", () => resolve(false));
      ping.on("timeout", () => ping.destroy(new Error("No answer")));
      ping.end();
    } else if (url !== undefined && /^(tcp|https?):$/.test(url.protocol)) {
      // It may want TLS: that the port is open has to do.
      const port = Number(url.port) || 2375;
      const socket = connect({ host: url.hostname, port, timeout: DOCKER_PING_MS });
      const answer = (isThere: boolean) => {
        socket.destroy();
        resolve(isThere);
      };
      socket.on("connect", () => answer(true));
      socket.on("error", () => answer(false));
      socket.on("timeout", () => answer(false));
    } else {
      resolve(false);
    }
  });
}

async function openEmbedded(): Promise<TestDatabase> {
  await deleteLeftovers(TEMP_PREFIX);
  const directory = await mkdtemp(join(tmpdir(), `${TEMP_PREFIX}${process.pid}-`));
  // Else the server's user may not enter, and the data of a test run started by root ends up elsewhere.
  await chmod(directory, 0o711);
  const close = async () => {
    await deleteEmbeddedPostgres(directory);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const server = await startEmbeddedPostgres({
      directory,
      // The data does not outlive the run. Everything else is as in production.
      settings: { max_connections: "200", fsync: "off" },
    });
    return {
      dsn: server.dsn,
      kind: "embedded",
      close: async () => {
        await server.stop("immediate");
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function serverVersion(dsn: string): Promise<string> {
  const sql = postgres(dsn, { max: 1, connect_timeout: 10, onnotice: () => {} });
  try {
    const [row] = await sql`SHOW server_version`;
    return String(row?.server_version).split(" ")[0]!;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot test as PostgreSQL does not answer: ${reason}`, { cause: error });
  } finally {
    await sql.end({ timeout: 1 });
  }
}
