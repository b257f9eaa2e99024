/** The clients that the conformance suite runs over, and where. */
import type { OpenClientAt } from "./open_client.ts";

/** A runtime that tests run on. */
export type Runtime = "node" | "deno" | "bun";

/** This one. */
export const RUNTIME: Runtime = "Deno" in globalThis
  ? "deno"
  : "Bun" in globalThis
  ? "bun"
  : "node";

/** One client. */
export interface ClientEntry {
  readonly name: string;
  /** The client whose other way of beginning a transaction this is. It sends statements in the same way. */
  readonly variantOf?: string;
  /** Loads the library and gives what opens it: one that another runtime cannot load is not looked at. */
  readonly load: () => Promise<OpenClientAt>;
  /** Runtimes that it does not run on, and why. docs/transactions.md says the same. */
  readonly except?: Readonly<Partial<Record<Runtime, string>>>;
  /** Its example in docs/transactions.md, where that cannot run either. */
  readonly example?: string;
}

const CLIENTS: readonly ClientEntry[] = [
  { name: "postgres.js", load: async () => (await import("./postgres_js.ts")).open },
  {
    name: "postgres.js, reserve()",
    variantOf: "postgres.js",
    load: async () => (await import("./postgres_js.ts")).openReserved,
  },
  { name: "pg, Pool", load: async () => (await import("./node_postgres.ts")).openPool },
  {
    name: "pg, Client",
    variantOf: "pg, Pool",
    load: async () => (await import("./node_postgres.ts")).openClient,
  },
  { name: "Drizzle on pg", load: async () => (await import("./drizzle.ts")).openOnPg },
  {
    name: "Drizzle on postgres.js",
    load: async () => (await import("./drizzle.ts")).openOnPostgresJs,
  },
  { name: "Kysely", load: async () => (await import("./kysely.ts")).open },
  {
    name: "Kysely, controlled",
    variantOf: "Kysely",
    load: async () => (await import("./kysely.ts")).openControlled,
  },
  { name: "Knex", load: async () => (await import("./knex.ts")).open },
  { name: "Prisma", load: async () => (await import("./prisma.ts")).open },
  {
    name: "Prisma, nested",
    variantOf: "Prisma",
    load: async () => (await import("./prisma.ts")).openNested,
  },
  { name: "TypeORM", load: async () => (await import("./typeorm.ts")).open },
  {
    name: "TypeORM, QueryRunner",
    variantOf: "TypeORM",
    load: async () => (await import("./typeorm.ts")).openRunner,
  },
  { name: "MikroORM", load: async () => (await import("./mikro_orm.ts")).open },
  {
    name: "MikroORM, begin()",
    variantOf: "MikroORM",
    load: async () => (await import("./mikro_orm.ts")).openExplicit,
  },
  { name: "Sequelize", load: async () => (await import("./sequelize.ts")).open },
  {
    name: "Sequelize, unmanaged",
    variantOf: "Sequelize",
    load: async () => (await import("./sequelize.ts")).openUnmanaged,
  },
  { name: "PGlite", load: async () => (await import("./pglite.ts")).open },
  {
    name: "Bun.sql",
    load: async () => (await import("./bun_sql.ts")).open,
    except: { node: "it is part of Bun", deno: "it is part of Bun" },
    example: "bun_sql.ts",
  },
  { name: "query()", load: async () => (await import("./node_postgres.ts")).openFunction },
];

/** Those that run on this runtime. */
export const CLIENTS_HERE: readonly ClientEntry[] = CLIENTS.filter(({ except }) =>
  except?.[RUNTIME] === undefined
);

/** Those that do not, and why. */
export const UNAVAILABLE: readonly { name: string; reason: string; example: string | undefined }[] =
  CLIENTS.flatMap(({ name, except, example }) => {
    const reason = except?.[RUNTIME];
    return reason === undefined ? [] : [{ name, reason, example }];
  });
