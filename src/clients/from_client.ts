import type { Executor, Parameter } from "../driver.ts";
import { shown } from "../validate.ts";
import { recognize } from "./recognize.ts";
import { withoutItsStatement } from "./server_error.ts";

/** A client that works outside transactions. Each statement is one. */
export interface ClientExecutor extends Executor {
  /** Runs several statements as one transaction. Only where the client can: {@linkcode Queries.install} needs it. */
  script?(text: string): Promise<void>;
}

/**
 * Uses any client that {@linkcode getQueue} knows for statements outside a transaction. The caller owns it and closes it.
 *
 * It is for producers and operators. A worker needs LISTEN, so it takes a driver: {@linkcode openWorkerDriver},
 * {@linkcode fromPostgresJs} or {@linkcode fromNodePostgres}.
 *
 * @example Usage
 * ```ts ignore
 * import { fromClient, Queries } from "pgqueuer";
 *
 * const queries = new Queries(fromClient(prisma));
 * await queries.enqueue("send_welcome", new TextEncoder().encode("42"));
 * ```
 *
 * @param client A pool, a root client or a connection, such as `db` of Drizzle or Kysely, `prisma`, `knex`, a
 * `DataSource` of TypeORM, `sequelize`, `Bun.sql`.
 * @returns An executor for {@linkcode Queries}.
 * @throws {TypeError} If `client` is not known, of another database, or a transaction.
 */
export function fromClient(client: object): ClientExecutor {
  const known = recognize(client);
  if (known === undefined) {
    throw new TypeError(
      `Cannot use the client as it must be one that getQueue() knows: current value is ${
        shown(client)
      }, write new Queries({ query: async (text, parameters) => rows })`,
    );
  }
  if (known.foreign !== undefined) {
    throw new TypeError(
      `Cannot use the client as it must be of PostgreSQL: current value is ${known.what} for ${known.foreign}`,
    );
  }
  if (known.isTransaction || known.standing() === "open") {
    throw new TypeError(
      `Cannot use the client as it must not be a transaction: current value is ${known.what}, write getQueue(tx)`,
    );
  }
  const { script } = known;
  return {
    inTransaction: false,
    async query<Row>(text: string, parameters: readonly Parameter[]): Promise<Row[]> {
      try {
        return Array.from(await known.query(text, parameters)) as Row[];
      } catch (error) {
        throw withoutItsStatement(error) ?? error;
      }
    },
    ...(script && { script: async (text: string) => void await script(text) }),
  };
}
