import { describe, expect, test } from "vitest";
import { screenLines, type ScreenOptions } from "../../src/cli/dashboard_screen.ts";
import {
  type DashboardState,
  type Effect,
  INITIAL_STATE,
  press,
  rowsOf,
  selectedIndex,
} from "../../src/cli/dashboard_state.ts";
import { type DashboardData, VIEW_NAMES, VIEWS } from "../../src/cli/dashboard_views.ts";
import { decodeKeys } from "../../src/cli/keys.ts";
import { widthOf } from "../../src/cli/text.ts";
import type { EntrypointStatus } from "../../src/queries/overview.ts";
import type { ListedJob } from "../../src/queries/operator.ts";

const NOW = new Date("2026-11-22T12:00:00Z");

function anEntrypoint(entrypoint: string, ready: number, failed = 0): EntrypointStatus {
  const none = { p50: null, p95: null };
  return {
    entrypoint,
    ready,
    failed,
    deferred: 0,
    picked: 0,
    oldestAge: null,
    ended: {},
    perSecond: 0,
    wait: none,
    run: none,
    sample: 0,
  };
}

function aJob(id: number, entrypoint: string, status: ListedJob["status"] = "failed"): ListedJob {
  return {
    id,
    status,
    entrypoint,
    priority: 0,
    attempts: 0,
    created: NOW,
    updated: NOW,
    heartbeat: NOW,
    executeAfter: NOW,
    queueManagerId: null,
    slot: null,
    dedupeKey: null,
    headers: null,
    payloadBytes: null,
    cancelRequested: false,
    takeOvers: 0,
    error: null,
    now: NOW,
  };
}

const DATA: DashboardData = {
  status: {
    now: NOW,
    windowMs: 300_000,
    entrypoints: [anEntrypoint("mail", 3), anEntrypoint("Report", 20, 1), anEntrypoint("zip", 1)],
    holders: [{ id: "w", jobs: 2, entrypoints: ["mail"], silence: 40 }],
    listening: 2,
  },
  jobs: [aJob(7, "mail"), aJob(12, "report"), aJob(9, "mail", "picked")],
  history: [
    { created: NOW, entrypoint: "mail", priority: 0, status: "queued", count: 2 },
    { created: new Date(0), entrypoint: "mail", priority: 0, status: "queued", count: 5 },
  ],
};

/** The state and the effects after some keys. */
function after(...keys: string[]): { state: DashboardState; effects: Effect[] } {
  let state = INITIAL_STATE;
  const effects: Effect[] = [];
  for (const key of keys) {
    const [next, effect] = press(state, key, DATA);
    state = next;
    if (effect) effects.push(effect);
  }
  return { state, effects };
}

const shown = (...keys: string[]) => {
  const { state } = after(...keys);
  return rowsOf(state, DATA).map((row) => VIEWS[state.view].keyOf(row));
};

function screen(keys: string[] = [], options: Partial<ScreenOptions> = {}): string[] {
  return screenLines(after(...keys).state, DATA, {
    columns: 120,
    rows: 20,
    colors: false,
    title: "jobs.pgqueuer",
    intervalMs: 2_000,
    silentAfterMs: 30_000,
    error: null,
    ...options,
  });
}

test("decodeKeys() names keys without a character, and swallows those it does not know", () => {
  expect(decodeKeys("q\x1b[A\x1bOB\x1b[5~é漢\x03\r\t\x7f\x1b[Z\x1b[1;5Px\x1b")).toEqual([
    ..."q",
    "up",
    "down",
    "page-up",
    "é",
    "漢",
    "ctrl-c",
    "enter",
    "tab",
    "backspace",
    "shift-tab",
    "unknown",
    "x",
    "escape",
  ]);
});

describe("keys of the dashboard", () => {
  test("each view has what every column is sorted by", () => {
    for (const name of VIEW_NAMES) {
      expect(VIEWS[name].sortedBy).toHaveLength(VIEWS[name].columns.length);
    }
  });

  test("q and Ctrl-C end it, Ctrl-C in every mode", () => {
    expect(after("q").effects).toEqual([{ kind: "quit" }]);
    expect(after("ctrl-c").effects).toEqual([{ kind: "quit" }]);
    expect(after("/", "q", "ctrl-c").effects).toEqual([{ kind: "quit" }]);
    expect(after("2", "c", "ctrl-c").effects.at(-1)).toEqual({ kind: "quit" });
  });

  test("sort by the next column, and the other way round", () => {
    expect(shown()).toEqual(["Report", "mail", "zip"]);
    expect(shown("S")).toEqual(["zip", "mail", "Report"]);
    expect(shown("left")).toEqual(["zip", "mail", "Report"]);
    expect(shown("s", "s", "s")[0]).toBe("Report");
    expect(shown("left", "left", "right", "right")).toEqual(shown());
    expect(shown("2")).toEqual(["12", "9", "7"]);
    expect(shown("2", "s", "S")).toEqual(["7", "12", "9"]);
    expect(shown("3", "s")).toEqual(["0 mail queued 0", `${NOW.getTime()} mail queued 0`]);
  });

  test("filter by entrypoint, as typed", () => {
    expect(shown("/", "R", "e", "p", "o", "x", "backspace", "enter")).toEqual(["Report"]);
    expect(shown("/", "m", "enter", "2")).toEqual(["9", "7"]);
    expect(shown("/", "m", "enter", "escape")).toHaveLength(3);
    expect(shown("/", "m", "escape")).toHaveLength(3);
    expect(shown("/", "x", "y", "enter", "down", "r")).toEqual([]);
    expect(after("/", "up").state.filter).toBe("");
  });

  test("move the selection, within the rows", () => {
    const selected = (...keys: string[]) => after("2", ...keys).state.selected;

    expect(selected("down")).toBe("9");
    expect(selected("j", "j", "j", "j")).toBe("7");
    expect(selected("end")).toBe("7");
    expect(selected("end", "k")).toBe("9");
    expect(selected("end", "page-up")).toBe("12");
    expect(selected("home")).toBe("12");
  });

  test("where the selected job is gone the selection stays where it was, for the next one", () => {
    const { state } = after("2", "down", "c", "y");
    const later = { ...DATA, jobs: DATA.jobs.filter(({ id }) => id !== 9) };

    expect(rowsOf(state, later)[selectedIndex(state, rowsOf(state, later))]).toMatchObject({
      id: 7,
    });
    const last = after("2", "end", "c", "y").state;
    const shorter = rowsOf(last, { ...DATA, jobs: DATA.jobs.filter(({ id }) => id !== 7) });
    expect(shorter[selectedIndex(last, shorter)]).toMatchObject({ id: 9 });
    expect(selectedIndex(last, [])).toBe(0);
  });

  test("a filter that stands is read by anew, as there may be more than was read", () => {
    expect(after("2", "/", "m").effects).toEqual([{ kind: "refresh" }]);
    expect(after("2", "/", "m", "enter").effects).toHaveLength(2);
    expect(after("2", "/", "m", "escape").effects).toHaveLength(2);
    expect(after("2", "/", "m", "enter", "escape").effects).toHaveLength(3);
  });

  test("requeue the selected job at once", () => {
    expect(after("2", "down", "r").effects.at(-1)).toEqual({ kind: "requeue", id: 9 });
  });

  test("cancel the selected job after a yes", () => {
    expect(after("2", "c").effects).toEqual([{ kind: "refresh" }]);
    expect(after("2", "c", "y").effects.at(-1)).toEqual({ kind: "cancel", id: 12 });
    const refused = after("2", "c", "x");
    expect(refused.effects).toEqual([{ kind: "refresh" }]);
    expect(refused.state).toMatchObject({ mode: "browse", message: "Not canceled" });
    expect(after("2", "c", "x", "y").effects).toEqual([{ kind: "refresh" }]);
  });

  test("cancel asks about a job, not about a line", () => {
    const { state } = after("2", "c");
    const later = { ...DATA, jobs: [aJob(99, "mail"), ...DATA.jobs] };

    expect(press(state, "y", later)[1]).toEqual({ kind: "cancel", id: 12 });
  });

  test("requeue and cancel need the list of jobs", () => {
    expect(after("r").state.message).toContain("press 2");
    expect(after("3", "c")).toMatchObject({ effects: [{ kind: "refresh" }] });
  });

  test("enter shows the jobs of an entrypoint, f those of another status, space pauses", () => {
    const { state, effects } = after("enter");

    expect(state).toMatchObject({ view: "jobs", filter: "Report" });
    expect(effects).toEqual([{ kind: "refresh" }]);
    expect(after("f").state).toMatchObject({ view: "jobs", statuses: 1 });
    expect(after(..."fffff").state.statuses).toBe(0);
    expect(after(" ").state.paused).toBe(true);
    expect(after(" ", " ").state.paused).toBe(false);
    expect(after("tab", "tab", "tab").state.view).toBe("entrypoints");
    expect(after("shift-tab").state.view).toBe("history");
  });
});

describe("screen of the dashboard", () => {
  test("shows workers, the table and the keys", () => {
    const lines = screen();

    expect(lines).toHaveLength(20);
    expect(lines[0]).toBe("pgq dashboard  jobs.pgqueuer  2026-11-22 12:00:00 UTC  every 2 s");
    expect(lines.slice(1, 4)).toEqual([
      "Workers     0 at work, 2 sessions listen",
      "            w is silent for 40s with 2 jobs",
      "Throughput  0 a minute over the last 5m",
    ]);
    expect(lines[5]).toBe("[1 entrypoints]  2 jobs   3 history ");
    expect(lines[6]).toMatch(/^ {2}ENTRYPOINT {2}READY▾ {2}DEFERRED/);
    expect(lines[7]).toMatch(/^> Report +20 /);
    expect(lines[8]).toMatch(/^ {2}mail +3 /);
    expect(lines.at(-1)).toContain("q quit");
  });

  test("marks the selected job, and says what is left out", () => {
    const lines = screen(["f", "/", "m", "enter", "down"]);

    expect(lines[5]).toContain('only failed; entrypoint has "m"');
    expect(lines.filter((line) => line.startsWith("> "))).toEqual([
      expect.stringMatching(/^> {3}7 {2}failed/),
    ]);
  });

  test("asks, echoes the filter, tells what was done and what went wrong", () => {
    const { state } = after("2");
    const told = screenLines({ ...state, message: "Requeued job 7" }, DATA, {
      columns: 80,
      rows: 20,
      colors: false,
      title: "t",
      intervalMs: 1_000,
      silentAfterMs: 1_000,
      error: "Cannot reach\x1b[2J PostgreSQL",
    });

    expect(screen(["2", "c"]).at(-1)).toBe("Cancel job 12? y/n");
    expect(screen(["/", "a", "b"]).at(-1)).toBe("/ab_");
    expect(told.at(-1)).toBe("Requeued job 7");
    expect(told[1]).toBe("Cannot reach\\x1b[2J PostgreSQL");
    expect(screen(["/", "x", "y", "enter"])[7]).toBe("  nothing to show");
  });

  test("fits any window, and keeps the selected row in it", () => {
    const many = {
      ...DATA,
      jobs: Array.from({ length: 200 }, (_, id) => aJob(id + 1, "mail".repeat(9))),
    };
    for (const [columns, rows] of [[120, 40], [40, 12], [10, 9], [3, 2], [1, 1]] as const) {
      const state = { ...after("2").state, selected: "100" };
      const lines = screenLines(state, many, {
        columns,
        rows,
        colors: false,
        title: "jobs.pgqueuer",
        intervalMs: 1_000,
        silentAfterMs: 1_000,
        error: null,
      });

      expect(lines).toHaveLength(rows);
      for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(Math.max(2, columns));
      if (rows > 10) expect(lines.some((line) => /^> 100 /.test(line))).toBe(true);
    }
  });

  test("paints only where colours are wanted", () => {
    expect(screen([], { colors: true }).join("")).toContain("\x1b[31m");
    expect(screen().join("")).not.toContain("\x1b");
  });
});
