import { cut, type Style, styled, visible, widthOf } from "./text.ts";

/** A column of a table. */
export interface Column<Row> {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
  /** What stands in the cell. Characters that a terminal would obey are shown as escapes. */
  text(row: Row): string | number;
  style?(row: Row): Style | undefined;
}

/** What a table is drawn on. */
export interface Canvas {
  readonly columns: number;
  readonly colors: boolean;
}

const GAP = "  ";
/** Where the table is too wide for that. */
const TIGHT_GAP = " ";
/** Stands where columns are left out. */
const MORE = "…";
/** No column but the last may take more. */
const MAX_WIDTH = 40;

/**
 * The lines of a table, its head first. On a canvas the columns are aligned, and what does not fit is cut, which an ellipsis
 * says. Elsewhere they are divided by tabs, for `cut` and `awk`.
 */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  canvas?: Canvas,
): string[] {
  const cells = rows.map((row) => columns.map((column) => visible(String(column.text(row)))));
  const titles = columns.map(({ title }) => title);
  if (canvas === undefined) return [titles, ...cells].map((line) => line.join("\t"));

  const widths = columns.map((_, at) => {
    const widest = Math.max(...[titles, ...cells].map((line) => widthOf(line[at]!)));
    return at === columns.length - 1 ? widest : Math.min(widest, MAX_WIDTH);
  });
  const layout = layoutOf(widths, canvas);
  return [
    lineOf(titles, columns, layout, () => "dim"),
    ...cells.map((line, at) =>
      lineOf(line, columns, layout, (column) => column.style?.(rows[at]!))
    ),
  ];
}

/** Where the columns of a table stand on a canvas. */
interface Layout {
  readonly widths: readonly number[];
  readonly gap: string;
  /** What there is room for. */
  readonly room: number;
  readonly isCut: boolean;
  readonly colors: boolean;
}

function layoutOf(widths: readonly number[], { columns, colors }: Canvas): Layout {
  const all = (gap: string, count: number): number =>
    widths.slice(0, count).reduce((sum, width) => sum + width + gap.length, 0);
  const gap = all(GAP, widths.length) - GAP.length <= columns ? GAP : TIGHT_GAP;
  // The last column may end at the edge. One that would begin there is lost.
  const isCut = all(gap, widths.length - 1) >= columns && columns > 2;
  return { widths, gap, room: isCut ? columns - gap.length - MORE.length : columns, isCut, colors };
}

function lineOf<Row>(
  cells: readonly string[],
  columns: readonly Column<Row>[],
  { widths, gap, room, isCut, colors }: Layout,
  styleOf: (column: Column<Row>) => Style | undefined,
): string {
  let left = room;
  const parts: string[] = [];
  for (const [at, column] of columns.entries()) {
    if (left <= 0) break;
    const isLast = at === columns.length - 1;
    const width = Math.min(widths[at]!, left);
    const text = cut(cells[at]!, width);
    const space = " ".repeat(width - widthOf(text));
    const painted = styled(text, styleOf(column), colors);
    parts.push(column.right ? space + painted : isLast ? painted : painted + space);
    left -= width + gap.length;
  }
  if (isCut) parts.push(MORE);
  return parts.join(gap).trimEnd();
}
