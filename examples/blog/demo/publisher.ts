/** Publishes the drafts in many transactions at once. Some of them fail after they have enqueued. */
import type { JobId } from "pgqueuer";
import type { Sql } from "postgres";
import { publish, signUp } from "../publish.ts";

/** Articles that are published at the same time. */
const LANES = 8;
/** Each such transaction is rolled back. */
const ROLL_BACK_EACH = 10;
/** On a very slow disk the rest stays unpublished: the demo is over within a minute everywhere. */
const BUDGET_MS = 30_000;

/** What has become of a draft. */
export interface Publication {
  readonly jobId: JobId;
  /** Id of the transaction, by which the server knows when it has committed. */
  readonly transaction: string;
}

/** What the producers know, to be compared with the database in the end. */
export class Ledger {
  /** Of each article whose transaction has committed. */
  readonly published: Map<string, Publication> = new Map();
  /** Job that each article would have had, whose transaction was rolled back. */
  readonly rolledBack: Map<string, JobId> = new Map();
  /** Jobs of the users who have signed up. */
  readonly welcomes: JobId[] = [];
  /** Whether the last transaction has ended. */
  isClosed = false;

  /** Jobs that must run. */
  get jobs(): readonly JobId[] {
    return [...this.published.values()].map(({ jobId }) => jobId).concat(this.welcomes);
  }
}

/** What a transaction throws to be rolled back. */
class SecondThoughts extends Error {
  override readonly name = "SecondThoughts";
}

/** Signs up the users and publishes the drafts, and writes down in `ledger` what has become of each. */
export async function produce(
  sql: Sql,
  work: { readonly drafts: readonly string[]; readonly emails: readonly string[] },
  ledger: Ledger,
): Promise<void> {
  const signUps = work.emails.map((email) => async () => {
    ledger.welcomes.push((await sql.begin((tx) => signUp(tx, email)))!);
  });
  const publications = work.drafts.map((id, index) => () =>
    publishOrNot(sql, id, index % ROLL_BACK_EACH === ROLL_BACK_EACH - 1, ledger)
  );
  await inLanes(mixed(publications, signUps));
  ledger.isClosed = true;
}

async function publishOrNot(sql: Sql, id: string, fails: boolean, ledger: Ledger): Promise<void> {
  let jobId: JobId | null = null;
  try {
    const transaction = await sql.begin(async (tx) => {
      jobId = await publish(tx, id);
      if (fails) throw new SecondThoughts();
      const [row] = await tx<{ id: string }[]>`SELECT pg_current_xact_id()::xid::text AS id`;
      return row!.id;
    });
    ledger.published.set(id, { jobId: jobId!, transaction });
  } catch (error) {
    if (!(error instanceof SecondThoughts)) throw error;
    ledger.rolledBack.set(id, jobId!);
  }
}

/** Spreads the items of `few` evenly among those of `many`. */
function mixed<Item>(many: readonly Item[], few: readonly Item[]): Item[] {
  const step = Math.max(1, Math.floor(many.length / Math.max(1, few.length)));
  const rest = [...few];
  const all = many.flatMap((item, index) =>
    index % step === 0 && rest.length > 0 ? [item, rest.shift()!] : [item]
  );
  return [...all, ...rest];
}

/** Runs tasks in their order, a few at a time. The first that fails ends it. */
async function inLanes(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const deadline = performance.now() + BUDGET_MS;
  const queue = tasks.values();
  const lane = async (): Promise<void> => {
    // All lanes share one iterator: each task is taken once.
    for (const task of queue) {
      if (performance.now() > deadline) return;
      await task();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
