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
/** No column but the last may take more. */
const MAX_WIDTH = 40;

/**
 * The lines of a table, its head first. On a canvas the columns are aligned, and what does not fit is cut. Elsewhere they
 * are divided by tabs, for `cut` and `awk`.
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
  return [
    lineOf(titles, columns, widths, canvas, () => "dim"),
    ...cells.map((line, at) =>
      lineOf(line, columns, widths, canvas, (column) => column.style?.(rows[at]!))
    ),
  ];
}

function lineOf<Row>(
  cells: readonly string[],
  columns: readonly Column<Row>[],
  widths: readonly number[],
  canvas: Canvas,
  styleOf: (column: Column<Row>) => Style | undefined,
): string {
  let left = canvas.columns;
  const parts: string[] = [];
  for (const [at, column] of columns.entries()) {
    if (left <= 0) break;
    const isLast = at === columns.length - 1;
    const width = Math.min(widths[at]!, left);
    const text = cut(cells[at]!, width);
    const space = " ".repeat(width - widthOf(text));
    const painted = styled(text, styleOf(column), canvas.colors);
    parts.push(column.right ? space + painted : isLast ? painted : painted + space);
    left -= width + GAP.length;
  }
  return parts.join(GAP).trimEnd();
}
