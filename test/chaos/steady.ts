/** A client for what has to be written or read whatever is done to the server. */
import postgres, { type Sql } from "postgres";

/** Longest wait for an answer. On some runtimes a statement on a connection that is just lost never gets one. */
const ANSWER_MS = 5_000;
const RETRY_MS = 50;

/** A client that is soon back after an outage. It sends no arrays: a list is the text of one. */
export function openClient(dsn: string, name: string, max: number): Sql {
  return postgres(dsn, {
    max,
    ssl: false,
    connect_timeout: 5,
    backoff: () => 0.1,
    // Nobody waits for the client's own question about types, and if that fails the process ends.
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: name },
  });
}

/** Whether the error is one of the connection or of a server that comes or goes, and not of the statement. */
export function isOutage(error: unknown): boolean {
  const code = String((error as { code?: unknown })?.code ?? "");
  return /^(08...|57P0.|53300|58000|CONNECTION?_\w+|CONNECT_TIMEOUT|NO_ANSWER|E[A-Z]+)$/.test(code);
}

/** Connections past the proxies. Whatever goes through here is sent until there is an answer, so it must be safe to repeat. */
export class SteadyClient {
  readonly #connect: () => Sql;
  #sql: Sql;
  #closed = false;

  /**
   * @param dsn Of a superuser, for whom the server keeps connections when it has no others.
   * @param name What `pg_stat_activity` shows.
   */
  constructor(dsn: string, name: string, max: number) {
    this.#connect = () => openClient(dsn, name, max);
    this.#sql = this.#connect();
  }

  /** Runs statements until they are answered, or until the client is closed. */
  async run<Result>(statements: (sql: Sql) => PromiseLike<Result>): Promise<Result> {
    while (true) {
      const sql = this.#sql;
      try {
        return await answered(statements(sql));
      } catch (error) {
        if (this.#closed || !isOutage(error)) throw error;
        if ((error as { code?: string }).code === "NO_ANSWER" && this.#sql === sql) {
          this.#sql = this.#connect();
          void sql.end({ timeout: 0 }).catch(() => {});
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#sql.end({ timeout: 1 });
  }
}

/** Waits for an answer, and fails when it takes too long. */
export async function answered<Result>(
  answer: PromiseLike<Result>,
  timeoutMs: number = ANSWER_MS,
): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = Object.assign(new Error(`No answer in ${timeoutMs} ms`), { code: "NO_ANSWER" });
    timer = setTimeout(() => reject(error), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
