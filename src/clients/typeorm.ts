import { type Client, hasMethods } from "./client.ts";

/** A `QueryRunner` of [TypeORM](https://typeorm.io), after its `startTransaction()`. */
export interface TypeOrmQueryRunner {
  /** Whether it is in a transaction. */
  readonly isTransactionActive: boolean;
  /** Whether its connection is back in the pool. */
  readonly isReleased: boolean;
}

/** An `EntityManager` of TypeORM: what `dataSource.transaction()` gives to its callback, or `queryRunner.manager`. */
export interface TypeOrmEntityManager {
  /** The connection that it stands on, where that is not any of the pool. */
  readonly queryRunner?: TypeOrmQueryRunner | undefined;
  /** One of its methods. */
  getRepository: unknown;
}

/** What runs a statement. A runner gives pairs for an UPDATE or DELETE, unless the result is structured. */
interface Runner extends TypeOrmQueryRunner {
  query(text: string, parameters: unknown[], structured: true): Promise<{ records: unknown[] }>;
}

/** What the three kinds have, each a part. Before release 1 a data source was called a connection. */
interface Parts {
  readonly queryRunner?: Runner;
  readonly dataSource?: Parts;
  readonly connection?: Parts;
  readonly options?: { readonly type?: string };
  query(text: string, parameters: unknown[]): Promise<unknown[]>;
}

/** Recognizes data sources, entity managers and query runners of TypeORM. */
export function typeOrm(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "query")) return undefined;
  const isSource = hasMethods(handle, "createQueryRunner", "getRepository");
  const isManager = !isSource && hasMethods(handle, "createQueryBuilder", "getRepository");
  const isRunner = hasMethods(handle, "startTransaction", "createTable");
  if (!isSource && !isManager && !isRunner) return undefined;
  const parts = handle as unknown as Parts;
  const runner = isRunner ? handle as unknown as Runner : isManager ? parts.queryRunner : undefined;
  const { options } = isSource ? parts : parts.dataSource ?? parts.connection ?? {} as Parts;
  const isOpen = (): boolean => runner?.isTransactionActive === true && !runner.isReleased;
  return {
    what: `${
      isSource ? "a DataSource" : isRunner ? "a QueryRunner" : "an EntityManager"
    } of TypeORM`,
    inside: "dataSource.transaction(async (manager) => { await getQueue(manager).enqueue(…) })",
    outside: "new Queries(fromClient(dataSource))",
    foreign: options?.type === "postgres" ? undefined : options?.type ?? "another database",
    isTransaction: false,
    standing: () => isSource ? "outside" : isOpen() ? "open" : "ended",
    query: async (text, parameters) =>
      runner === undefined
        ? await parts.query(text, [...parameters])
        : (await runner.query(text, [...parameters], true)).records,
  };
}
