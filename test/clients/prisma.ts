import { PrismaPg } from "@prisma/adapter-pg";
import type { OpenClient, OpenTransaction, Place } from "./open_client.ts";
import { type Prisma, PrismaClient } from "./prisma/generated/client.js";

const INSIDE =
  /Write prisma\.\$transaction\(async \(tx\) => \{ await getQueue\(tx\)\.enqueue\(…\) \}\)/;
/** The default of five seconds is short for a machine that runs all of these tests. */
const TIMES = { timeout: 60_000, maxWait: 60_000 };

export async function open({ dsn, names }: Place): Promise<OpenClient> {
  const adapter = new PrismaPg({ connectionString: dsn, max: 2 }, { schema: names.schema });
  const prisma = new PrismaClient({ adapter });
  // Extensions wrap the client and its transactions.
  const extended = prisma.$extends({ model: { article: { mine: () => "mine" } } });
  const opened = (tx: Prisma.TransactionClient): OpenTransaction => ({
    handle: tx,
    insert: (id) => tx.article.create({ data: { id, status: "new" } }),
    async savepoint<T>(run: (inner: OpenTransaction) => Promise<T>) {
      await tx.$executeRaw`savepoint by_hand`;
      try {
        return await run(opened(tx));
      } catch (error) {
        await tx.$executeRaw`rollback to savepoint by_hand`;
        throw error;
      }
    },
  });
  let calls = 0;
  return await Promise.resolve({
    root: prisma,
    transaction: <T>(run: (tx: OpenTransaction) => Promise<T>) =>
      // Both, in turn.
      calls++ % 2
        ? extended.$transaction(
          (tx) => run(opened(tx as unknown as Prisma.TransactionClient)),
          TIMES,
        )
        : prisma.$transaction((tx) => run(opened(tx)), TIMES),
    wrong: [
      { what: "the root", handle: prisma, says: /is the root client of Prisma, so/ },
      { what: "the root", handle: prisma, says: INSIDE },
      { what: "an extended root", handle: extended, says: /is the root client of Prisma, so/ },
      {
        what: "MySQL",
        // What differs on MySQL, whose client is generated for it.
        handle: { $queryRawUnsafe() {}, $executeRawUnsafe() {}, _activeProvider: "mysql" },
        says: /is a transaction of Prisma for mysql\. Use the client of the database that holds/,
      },
    ],
    close: () => prisma.$disconnect(),
  });
}

/** A transaction within a transaction, which Prisma makes a savepoint. */
export async function openNested(place: Place): Promise<OpenClient> {
  const client = await open(place);
  const nested = ({ handle, insert }: OpenTransaction): OpenTransaction => ({
    handle,
    insert,
    savepoint: <T>(run: (inner: OpenTransaction) => Promise<T>) =>
      (handle as Prisma.TransactionClient & { $transaction: PrismaClient["$transaction"] })
        .$transaction((inner) =>
          run(nested({
            handle: inner,
            insert: (id) => inner.article.create({ data: { id, status: "new" } }),
            savepoint: () => Promise.reject(new Error("Not needed")),
          }))
        ),
  });
  return {
    ...client,
    transaction: (run) => client.transaction((tx) => run(nested(tx))),
    wrong: [],
  };
}
