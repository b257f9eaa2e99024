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
  /** Loads the library and gives what opens it: one that another runtime cannot load is not looked at. */
  readonly load: () => Promise<OpenClientAt>;
  /** Runtimes that it does not run on, and why. docs/transactions.md says the same. */
  readonly except?: Readonly<Partial<Record<Runtime, string>>>;
}

const CLIENTS: readonly ClientEntry[] = [
  { name: "postgres.js", load: async () => (await import("./postgres_js.ts")).open },
  {
    name: "postgres.js, reserve()",
    load: async () => (await import("./postgres_js.ts")).openReserved,
  },
  { name: "pg, Pool", load: async () => (await import("./node_postgres.ts")).openPool },
  { name: "pg, Client", load: async () => (await import("./node_postgres.ts")).openClient },
  { name: "Drizzle on pg", load: async () => (await import("./drizzle.ts")).openOnPg },
  {
    name: "Drizzle on postgres.js",
    load: async () => (await import("./drizzle.ts")).openOnPostgresJs,
  },
  { name: "Kysely", load: async () => (await import("./kysely.ts")).open },
  { name: "Kysely, controlled", load: async () => (await import("./kysely.ts")).openControlled },
  { name: "Knex", load: async () => (await import("./knex.ts")).open },
  { name: "query()", load: async () => (await import("./node_postgres.ts")).openFunction },
];

/** Those that run on this runtime. */
export const CLIENTS_HERE: readonly ClientEntry[] = CLIENTS.filter(({ except }) =>
  except?.[RUNTIME] === undefined
);
