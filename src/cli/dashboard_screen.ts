/** How the dashboard looks. Pure: the same state and size give the same lines. */
import { type DashboardState, rowsOf, selectedIndex } from "./dashboard_state.ts";
import { type DashboardData, STATUS_CHOICES, VIEW_NAMES, VIEWS } from "./dashboard_views.ts";
import { summaryLines } from "./status_command.ts";
import { tableLines } from "./table.ts";
import { cut, styled, visible } from "./text.ts";

/** What the screen is, and what it is of. */
export interface ScreenOptions {
  readonly columns: number;
  readonly rows: number;
  readonly colors: boolean;
  /** The queue's name. */
  readonly title: string;
  readonly intervalMs: number;
  readonly silentAfterMs: number;
  /** Why the last look has failed. */
  readonly error: string | null;
}

const MARK = "> ";

/** The lines of the screen, at most as many as it has. */
export function screenLines(
  state: DashboardState,
  data: DashboardData,
  options: ScreenOptions,
): string[] {
  const { columns, colors } = options;
  const head = headLines(state, data, options);
  const foot = footLine(state, options);
  const room = Math.max(1, options.rows - head.length - 2);

  const { columns: all, keyOf } = VIEWS[state.view];
  const rows = rowsOf(state, data);
  const at = selectedIndex(state, rows);
  // The selected row is always on the screen.
  const first = Math.max(0, Math.min(at - Math.floor(room / 2), rows.length - room));
  const { column, descending } = state.sorts[state.view];
  const titled = all.map((each, index) =>
    index === column ? { ...each, title: `${each.title}${descending ? "▾" : "▴"}` } : each
  );
  const [titles, ...body] = tableLines(titled, rows.slice(first, first + room), {
    columns: columns - MARK.length,
    colors,
  });
  const marked = body.map((line, index) => {
    const isSelected = keyOf(rows[first + index]!) === keyOf(rows[at]!);
    return isSelected ? `${styled(MARK, "bold", colors)}${line}` : `  ${line}`;
  });
  const empty = body.length === 0 ? ["  nothing to show"] : marked;
  const lines = [...head, `  ${titles}`, ...empty];
  const above = options.rows - 1;
  return [
    ...lines.slice(0, above),
    ...Array(Math.max(0, above - lines.length)).fill(""),
    foot,
  ];
}

function headLines(
  state: DashboardState,
  data: DashboardData,
  { columns, colors, title, intervalMs, silentAfterMs, error }: ScreenOptions,
): string[] {
  const pace = state.paused ? "paused" : `every ${intervalMs / 1_000} s`;
  const time = data.status.now.toISOString().slice(0, 19).replace("T", " ");
  const summary = summaryLines({ ...data.status, silentAfterMs, healthChecks: null });
  const failure = error === null ? [] : [styled(cut(visible(error), columns), "red", colors)];
  return [
    styled(cut(`pgq dashboard  ${visible(title)}  ${time} UTC  ${pace}`, columns), "bold", colors),
    ...failure,
    ...summary.map((line) =>
      styled(cut(line, columns), line.includes(" silent") ? "red" : undefined, colors)
    ),
    "",
    cut(
      VIEW_NAMES.map((name, at) =>
        name === state.view ? `[${at + 1} ${name}]` : ` ${at + 1} ${name} `
      )
        .join(" ") + describe(state),
      columns,
    ),
  ];
}

/** What is left out of the table. */
function describe({ view, filter, statuses, mode }: DashboardState): string {
  const only = view === "jobs" ? [STATUS_CHOICES[statuses]!.join(", ")] : [];
  if (filter !== "" && mode !== "filter") only.push(`entrypoint has "${visible(filter)}"`);
  return only.length === 0 ? "" : `   only ${only.join("; ")}`;
}

function footLine(state: DashboardState, { columns, colors }: ScreenOptions): string {
  if (state.mode === "filter") return cut(`/${visible(state.filter)}_`, columns);
  if (state.mode === "confirm") {
    return styled(cut(`Cancel job ${state.selected}? y/n`, columns), "yellow", colors);
  }
  if (state.message !== "") {
    return styled(cut(visible(state.message), columns), "yellow", colors);
  }
  const keys = {
    entrypoints: "enter jobs of it",
    jobs: "r requeue  c cancel  f status",
    history: "",
  }[state.view];
  const all = ["q quit", "tab view", "s sort", "S reverse", "/ filter", "space pause", keys];
  return styled(cut(all.filter((key) => key !== "").join("  "), columns), "dim", colors);
}
