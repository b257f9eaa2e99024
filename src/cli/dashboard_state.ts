/** What the dashboard shows, and what each key changes about it. Pure. */
import {
  type AnyRow,
  type DashboardData,
  STATUS_CHOICES,
  VIEW_NAMES,
  type ViewName,
  VIEWS,
} from "./dashboard_views.ts";

/** By which column a table is sorted. */
export interface Sort {
  readonly column: number;
  readonly descending: boolean;
}

/** What is shown, apart from what was read. */
export interface DashboardState {
  readonly view: ViewName;
  readonly sorts: Readonly<Record<ViewName, Sort>>;
  /** Rows whose entrypoint has it. */
  readonly filter: string;
  /** What keys mean: commands, letters of the filter, or yes and no. */
  readonly mode: "browse" | "filter" | "confirm";
  /** Index in {@linkcode STATUS_CHOICES}. */
  readonly statuses: number;
  /** Key of the row that commands are about. Where it is gone, the row that has come to its place. */
  readonly selected: string | null;
  /** Index at which that row was selected. */
  readonly place: number;
  readonly paused: boolean;
  /** What was done last, or what went wrong. */
  readonly message: string;
}

/** What a key asks for beyond another look. */
export type Effect =
  | { readonly kind: "quit" }
  | { readonly kind: "refresh" }
  | { readonly kind: "requeue" | "cancel"; readonly id: number };

export const INITIAL_STATE: DashboardState = {
  view: "entrypoints",
  sorts: {
    entrypoints: { column: VIEWS.entrypoints.first, descending: true },
    jobs: { column: VIEWS.jobs.first, descending: true },
    history: { column: VIEWS.history.first, descending: true },
  },
  filter: "",
  mode: "browse",
  statuses: 0,
  selected: null,
  place: 0,
  paused: false,
  message: "",
};

const PAGE = 10;

/** The rows of the table that is shown: filtered, and in their order. */
export function rowsOf(state: DashboardState, data: DashboardData): AnyRow[] {
  const { rows, sortedBy } = VIEWS[state.view];
  const { column, descending } = state.sorts[state.view];
  const valueOf = sortedBy[column]!;
  const wanted = state.filter.toLowerCase();
  return rows(data).filter(({ entrypoint }) => entrypoint.toLowerCase().includes(wanted))
    .map((row) => ({ row, value: valueOf(row) }))
    .sort((one, other) => {
      const order = one.value < other.value ? -1 : one.value > other.value ? 1 : 0;
      return descending ? -order : order;
    })
    .map(({ row }) => row);
}

/** Index of the row that commands are about. */
export function selectedIndex(state: DashboardState, rows: readonly AnyRow[]): number {
  const { keyOf } = VIEWS[state.view];
  const at = rows.findIndex((row) => keyOf(row) === state.selected);
  return at >= 0 ? at : Math.max(0, Math.min(state.place, rows.length - 1));
}

/** What a key does. */
export function press(
  state: DashboardState,
  key: string,
  data: DashboardData,
): readonly [DashboardState, Effect?] {
  if (key === "ctrl-c") return [state, { kind: "quit" }];
  if (state.mode === "filter") return typed(state, key);
  const current = { ...state, message: "" };
  if (state.mode === "confirm") return confirmed(current, key);
  return browse(current, key, data);
}

/** Of what has been read the rows are filtered at once. Once the filter stands, more of those that it lets through are read. */
function typed(state: DashboardState, key: string): readonly [DashboardState, Effect?] {
  switch (key) {
    case "enter":
      return [{ ...state, mode: "browse" }, { kind: "refresh" }];
    case "escape":
      return [{ ...state, mode: "browse", filter: "" }, { kind: "refresh" }];
    case "backspace":
      return [{ ...state, filter: [...state.filter].slice(0, -1).join("") }];
    default: {
      const isText = [...key].length === 1 && key >= " ";
      return [isText ? { ...state, filter: state.filter + key } : state];
    }
  }
}

function confirmed(state: DashboardState, key: string): readonly [DashboardState, Effect?] {
  const next: DashboardState = { ...state, mode: "browse" };
  if (key !== "y") return [{ ...next, message: "Not canceled" }];
  return [next, { kind: "cancel", id: Number(state.selected) }];
}

function browse(
  state: DashboardState,
  key: string,
  data: DashboardData,
): readonly [DashboardState, Effect?] {
  const { view, sorts } = state;
  const sort = sorts[view];
  const sorted = (change: Partial<Sort>): readonly [DashboardState] => [
    { ...state, sorts: { ...sorts, [view]: { ...sort, ...change } } },
  ];
  switch (key) {
    case "q":
      return [state, { kind: "quit" }];
    case "tab":
      return [shownView(state, VIEW_NAMES.indexOf(view) + 1), { kind: "refresh" }];
    case "shift-tab":
      return [shownView(state, VIEW_NAMES.indexOf(view) - 1), { kind: "refresh" }];
    case "1":
    case "2":
    case "3":
      return [shownView(state, Number(key) - 1), { kind: "refresh" }];
    case "s":
    case "right":
      return sorted({ column: (sort.column + 1) % VIEWS[view].columns.length });
    case "left": {
      const { length } = VIEWS[view].columns;
      return sorted({ column: (sort.column + length - 1) % length });
    }
    case "S":
      return sorted({ descending: !sort.descending });
    case "/":
      return [{ ...state, mode: "filter", filter: "" }];
    case "escape":
      return [{ ...state, filter: "" }, { kind: "refresh" }];
    case "f": {
      const statuses = (state.statuses + 1) % STATUS_CHOICES.length;
      return [{ ...shownView(state, 1), statuses }, { kind: "refresh" }];
    }
    case " ":
      return [{ ...state, paused: !state.paused }, { kind: "refresh" }];
    default:
      return onSelection(state, key, rowsOf(state, data));
  }
}

const STEPS: Readonly<Record<string, number>> = {
  up: -1,
  k: -1,
  down: 1,
  j: 1,
  "page-up": -PAGE,
  "page-down": PAGE,
  home: -Infinity,
  end: Infinity,
};

/** Keys that move the selection, or are about the row that it is on. */
function onSelection(
  state: DashboardState,
  key: string,
  rows: readonly AnyRow[],
): readonly [DashboardState, Effect?] {
  const { keyOf } = VIEWS[state.view];
  const at = selectedIndex(state, rows);
  const row = rows[at];
  if (row === undefined) return [state];
  const step = STEPS[key];
  if (step !== undefined) {
    const place = Math.min(rows.length - 1, Math.max(0, at + step));
    return [{ ...state, selected: keyOf(rows[place]!), place }];
  }
  if (state.view === "entrypoints" && key === "enter") {
    return [{ ...shownView(state, 1), filter: row.entrypoint }, { kind: "refresh" }];
  }
  if (key !== "r" && key !== "c") return [state];
  if (state.view !== "jobs") return [{ ...state, message: "Choose a job first: press 2" }];
  const selected = keyOf(row);
  // It is this one that the question is about, also when the list changes meanwhile.
  if (key === "c") return [{ ...state, selected, place: at, mode: "confirm" }];
  return [{ ...state, selected, place: at }, { kind: "requeue", id: Number(selected) }];
}

function shownView(state: DashboardState, at: number): DashboardState {
  const view = VIEW_NAMES[(at + VIEW_NAMES.length) % VIEW_NAMES.length]!;
  return view === state.view ? state : { ...state, view, selected: null, place: 0 };
}
