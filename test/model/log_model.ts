/** The log and the statistics, in memory. */

/** A row of the log. */
export interface ModelLogRow {
  readonly jobId: number;
  readonly status: string;
  readonly entrypoint: string;
  readonly priority: number;
  readonly created: number;
  /** Type of the exception in its traceback. */
  readonly exception: string | null;
  /** Whether the statistics have it. */
  counted: boolean;
}

/** Log rows of one kind within one second. */
export interface ModelCount {
  readonly second: number;
  readonly entrypoint: string;
  readonly priority: number;
  readonly status: string;
  count: number;
}

const ENDINGS = ["successful", "exception", "canceled"];

export class LogModel {
  /** What is left of it. */
  rows: ModelLogRow[] = [];
  /** All that was ever written. */
  readonly written: ModelLogRow[] = [];
  /** What an aggregation has counted. */
  #counts: ModelCount[] = [];

  write(row: Omit<ModelLogRow, "counted">): void {
    const written = { ...row, counted: false };
    this.rows.push(written);
    this.written.push(written);
  }

  /** How a job ended, as far as the log remembers. */
  endOf(id: number): string | undefined {
    return this.rows.findLast((row) => row.jobId === id && ENDINGS.includes(row.status))?.status;
  }

  aggregate(): void {
    for (const row of this.rows) {
      if (!row.counted) add(this.#counts, row);
      row.counted = true;
    }
  }

  prune(before: number, isHeld: (id: number) => boolean): number {
    const count = this.rows.length;
    this.rows = this.rows.filter((row) =>
      !row.counted || row.created >= before || (row.status === "failed" && isHeld(row.jobId))
    );
    return count - this.rows.length;
  }

  /** Forgets counts that are older. Gives how many. */
  pruneStatistics(before: number): number {
    const count = this.#counts.length;
    this.#counts = this.#counts.filter(({ second }) => second >= before);
    return count - this.#counts.length;
  }

  /** All that has happened, counted or not. */
  statistics(): ModelCount[] {
    const counts = this.#counts.map((count) => ({ ...count }));
    for (const row of this.rows) if (!row.counted) add(counts, row);
    return counts;
  }
}

function add(counts: ModelCount[], { created, entrypoint, priority, status }: ModelLogRow): void {
  const second = created - created % 1_000;
  const found = counts.find((count) =>
    count.second === second && count.entrypoint === entrypoint && count.priority === priority &&
    count.status === status
  );
  if (found) found.count++;
  else counts.push({ second, entrypoint, priority, status, count: 1 });
}
