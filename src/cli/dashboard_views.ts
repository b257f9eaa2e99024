/** What the tables of the dashboard hold. */
import type { JobStatus } from "../job.ts";
import type { LogStatistics } from "../queries/log.ts";
import { type ListedJob, timeOf } from "../queries/operator.ts";
import type { EntrypointStatus, Status } from "../queries/overview.ts";
import { JOB_COLUMNS, STATUS_STYLES } from "./job_view.ts";
import { STATUS_COLUMNS } from "./status_command.ts";
import type { Column } from "./table.ts";

/** What was read of the queue. */
export interface DashboardData {
  readonly status: Status;
  readonly jobs: readonly ListedJob[];
  readonly history: readonly LogStatistics[];
}

/** Names of the tables, in the order of their keys. */
export const VIEW_NAMES = ["entrypoints", "jobs", "history"] as const;

export type ViewName = typeof VIEW_NAMES[number];

/** A table. */
interface View<Row> {
  readonly columns: readonly Column<Row>[];
  /** What each column is sorted by. */
  readonly sortedBy: readonly ((row: Row) => number | string)[];
  /** The column that is sorted by at first, the largest on top. */
  readonly first: number;
  rows(data: DashboardData): readonly Row[];
  /** Identifies a row, also when it has moved. */
  keyOf(row: Row): string;
}

/** A row of any of the tables. */
export type AnyRow = EntrypointStatus | ListedJob | LogStatistics;

/** The columns of the counts per second, as the Python project's dashboard has them. */
export const HISTORY_COLUMNS: readonly Column<LogStatistics>[] = [
  { title: "CREATED", text: ({ created }) => created.toISOString().replace(".000Z", "Z") },
  { title: "COUNT", right: true, text: ({ count }) => count },
  { title: "ENTRYPOINT", text: ({ entrypoint }) => entrypoint },
  { title: "STATUS", text: ({ status }) => status, style: ({ status }) => STATUS_STYLES[status] },
  { title: "PRIORITY", right: true, text: ({ priority }) => priority },
];

const ENTRYPOINTS: View<EntrypointStatus> = {
  columns: STATUS_COLUMNS,
  sortedBy: [
    (row) => row.entrypoint,
    (row) => row.ready,
    (row) => row.deferred,
    (row) => row.picked,
    (row) => row.failed,
    (row) => row.oldestAge ?? -1,
    (row) => row.perSecond,
    (row) => row.wait.p50 ?? -1,
    (row) => row.wait.p95 ?? -1,
    (row) => row.run.p50 ?? -1,
    (row) => row.run.p95 ?? -1,
  ],
  first: 1,
  rows: ({ status }) => status.entrypoints,
  keyOf: (row) => row.entrypoint,
};

const JOBS: View<ListedJob> = {
  columns: JOB_COLUMNS,
  sortedBy: [
    (job) => job.id,
    (job) => job.status,
    (job) => job.entrypoint,
    (job) => job.priority,
    (job) => "attempts" in job ? job.attempts : -1,
    (job) => job.now.getTime() - timeOf(job),
    (job) => job.error?.message ?? "",
  ],
  first: 0,
  rows: ({ jobs }) => jobs,
  keyOf: (job) => String(job.id),
};

const HISTORY: View<LogStatistics> = {
  columns: HISTORY_COLUMNS,
  sortedBy: [
    (row) => row.created.getTime(),
    (row) => row.count,
    (row) => row.entrypoint,
    (row) => row.status,
    (row) => row.priority,
  ],
  first: 0,
  rows: ({ history }) => history,
  keyOf: ({ created, entrypoint, status, priority }) =>
    [created.getTime(), entrypoint, status, priority].join(" "),
};

/** A table whose rows are of one kind, which nobody else needs to know. */
export const VIEWS: Readonly<Record<ViewName, View<AnyRow>>> = {
  entrypoints: ENTRYPOINTS as View<AnyRow>,
  jobs: JOBS as View<AnyRow>,
  history: HISTORY as View<AnyRow>,
};

/** Which jobs the second table lists, one choice after the other. */
export const STATUS_CHOICES: readonly (readonly JobStatus[])[] = [
  ["queued", "picked", "failed"],
  ["failed"],
  ["picked"],
  ["queued"],
  ["exception", "canceled"],
];
