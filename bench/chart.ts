/** A run as one SVG: bars for each workload, lines for what was looked at over time. */
import type { Figures } from "./bench.ts";
import { OURS } from "./peers.ts";
import type { RunResult, WorkloadResult } from "./results.ts";
import { count } from "./table.ts";

const WIDTH = 960;
const GAP = 24;
const COLUMNS = 2;
const PANEL = (WIDTH - GAP * (COLUMNS + 1)) / COLUMNS;
const BAR = 18;
const NAME_WIDTH = 150;
const VALUE_WIDTH = 90;
const LINE_HEIGHT = 110;
/** Fits both a light and a dark page. */
const COLORS = { own: "#2f7fd8", other: "#8a94a6", ink: "#6b7280", range: "#c2410c" };

/** What is drawn over time, where a workload has it. */
const LINES: readonly (readonly [name: string, title: string])[] = [
  ["perSecond", "jobs/s"],
  ["deadRows", "dead rows of the queue"],
  ["queueIndexMb", "indexes of the queue, MB"],
  ["logMb", "log, MB"],
  ["residentMb", "memory of the workers, MB"],
];

/** A drawing and how high it is. */
interface Panel {
  readonly height: number;
  readonly svg: string;
}

/** Draws a run. */
export function renderChart(run: RunResult): string {
  const panels = run.workloads.flatMap((workload) => [
    ...(workload.results.some((result) => result.figures[workload.figure] !== undefined)
      ? [bars(workload)]
      : []),
    ...workload.results.flatMap(({ series }) =>
      series === undefined ? [] : lines(workload, withRate(series))
    ),
  ]);
  const heights = Array.from({ length: COLUMNS }, () => GAP + 32);
  const drawn = panels.map(({ height, svg }) => {
    const column = heights.indexOf(Math.min(...heights));
    const x = GAP + column * (PANEL + GAP);
    const y = heights[column]!;
    heights[column] = y + height + GAP;
    return `<g transform="translate(${x} ${y})">${svg}</g>`;
  });
  const height = Math.max(...heights);
  const versions = Object.entries(run.versions).map((pair) => pair.join(" ")).join(", ");
  const title = `${run.date.slice(0, 10)}, ${run.machine}, ${versions}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="${COLORS.ink}">`,
    text(GAP, GAP + 4, title),
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}

/** One bar for each contender, with the range of its rounds. */
function bars(workload: WorkloadResult): Panel {
  const results = workload.results.filter(({ figures }) => figures[workload.figure] !== undefined);
  const most = Math.max(...results.map(({ figures }) => figures[workload.figure]!.max));
  const width = PANEL - NAME_WIDTH - VALUE_WIDTH;
  const at = (value: number): number => NAME_WIDTH + Math.max(0, value) / (most || 1) * width;
  const rows = results.map(({ contender, figures }, index) => {
    const { median, min, max } = figures[workload.figure]!;
    const y = 20 + index * (BAR + 4);
    const color = contender.startsWith(OURS) ? COLORS.own : COLORS.other;
    const range = min === max ? "" : line(at(min), y + BAR / 2, at(max), y + BAR / 2, COLORS.range);
    return text(NAME_WIDTH - 6, y + 13, contender, "end") +
      `<rect x="${NAME_WIDTH}" y="${y}" width="${
        round(at(median) - NAME_WIDTH)
      }" height="${BAR}" ` +
      `fill="${color}"/>${range}` +
      text(at(max) + 6, y + 13, `${count(median)} ${workload.unit}`);
  });
  return {
    height: 20 + results.length * (BAR + 4),
    svg: heading(workload.title) + rows.join(""),
  };
}

/** A curve for each value that the series has. */
function lines(workload: WorkloadResult, series: readonly Figures[]): Panel[] {
  return LINES.filter(([name]) => series.some((one) => one[name] !== undefined))
    .map(([name, title]) => {
      const points = series.filter((one) => Number.isFinite(one[name]));
      const [first, last] = [points[0]!.at!, points.at(-1)!.at!];
      const most = Math.max(...points.map((one) => one[name]!)) || 1;
      const path = points.map((one) => {
        const x = (one.at! - first) / (last - first || 1) * PANEL;
        return `${round(x)},${round(LINE_HEIGHT - one[name]! / most * (LINE_HEIGHT - 24))}`;
      });
      const seconds = Math.round((last - first) / 1_000);
      return {
        height: LINE_HEIGHT + 16,
        svg: heading(`${workload.name}: ${title}, at most ${count(most)}`) +
          shade(points, first, last) +
          line(0, LINE_HEIGHT, PANEL, LINE_HEIGHT, COLORS.other) +
          `<polyline points="${
            path.join(" ")
          }" fill="none" stroke="${COLORS.own}" stroke-width="1.5"/>` +
          text(PANEL, LINE_HEIGHT + 13, `${seconds} s`, "end"),
      };
    });
}

/** Marks the time under pressure. */
function shade(points: readonly Figures[], first: number, last: number): string {
  const under = points.filter(({ pressure }) => pressure === 1);
  if (under.length < 2) return "";
  const x = (at: number): number => round((at - first) / (last - first) * PANEL);
  const [from, to] = [x(under[0]!.at!), x(under.at(-1)!.at!)];
  return `<rect x="${from}" y="20" width="${round(to - from)}" height="${LINE_HEIGHT - 20}" ` +
    `fill="${COLORS.range}" fill-opacity="0.1"/>`;
}

/** A line that is too long would run into the next panel. */
function heading(words: string): string {
  const room = 64;
  return text(0, 12, words.length > room ? `${words.slice(0, room - 1)}…` : words, "start", "600");
}

/** Adds what ran in each second to values that count from the beginning. */
function withRate(series: readonly Figures[]): Figures[] {
  return series.map((one, index) => {
    const before = series[index - 1];
    if (before === undefined) return one;
    return { ...one, perSecond: (one.jobs! - before.jobs!) * 1_000 / (one.at! - before.at!) };
  });
}

function text(
  x: number,
  y: number,
  words: string,
  anchor: "start" | "end" = "start",
  weight = "400",
): string {
  const safe = words.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return `<text x="${
    round(x)
  }" y="${y}" text-anchor="${anchor}" font-weight="${weight}">${safe}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  return `<line x1="${round(x1)}" y1="${y1}" x2="${round(x2)}" y2="${y2}" stroke="${color}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
