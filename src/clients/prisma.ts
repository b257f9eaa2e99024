import { type Client, hasMethods } from "./client.ts";

/** The client that an interactive transaction of [Prisma](https://www.prisma.io) gives to its callback. */
export interface PrismaTransaction {
  /** Runs a statement with numbered parameters. */
  $queryRawUnsafe(
    text: string,
    // deno-lint-ignore no-explicit-any -- the client's own types are these.
    ...parameters: any[]
  ): PromiseLike<unknown>;
  /** Another of its methods. */
  $executeRawUnsafe: unknown;
}

/** Recognizes clients of Prisma, extended ones too, and interactive transactions. */
export function prisma(handle: unknown): Client | undefined {
  if (!hasMethods(handle, "$queryRawUnsafe", "$executeRawUnsafe")) return undefined;
  const client = handle as unknown as PrismaTransaction & { _activeProvider?: string };
  const isTransaction = !hasMethods(handle, "$connect");
  const provider = client._activeProvider;
  return {
    what: isTransaction ? "a transaction of Prisma" : "the root client of Prisma",
    inside: "prisma.$transaction(async (tx) => { await getQueue(tx).enqueue(…) })",
    outside: "new Queries(fromClient(prisma))",
    foreign: provider === undefined || /^postgres/.test(provider) ? undefined : provider,
    isTransaction,
    standing: () => isTransaction ? "open" : "outside",
    // It refuses what comes after the end, and after the time-out that ends it.
    hasEnded: (error) => (error as { code?: unknown } | null)?.code === "P2028",
    query: async (text, parameters) =>
      await client.$queryRawUnsafe(text, ...parameters) as unknown[],
  };
}
