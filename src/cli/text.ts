/** Colours and weights of a terminal. */
const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** How a text is shown on a terminal. */
export type Style = keyof typeof STYLES;

/** Puts a text in a style, where colours are wanted. */
export function styled(text: string, style: Style | undefined, colors: boolean): string {
  if (!colors || style === undefined) return text;
  const [on, off] = STYLES[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}

/**
 * Shows characters that a terminal would obey or hide as escapes: what stands in a queue may come from anybody, and must
 * not be able to move the cursor or to look like another line.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, escaped);
}

/** The same for a text of several lines, such as a stack. */
export function visibleLines(text: string): string[] {
  return text.split(/\r?\n/).map((line) => visible(line.replaceAll("\t", "    ")));
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  const short = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
  if (short !== undefined) return short;
  const hex = code.toString(16);
  return code > 0xff ? `\\u{${hex}}` : `\\x${hex.padStart(2, "0")}`;
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** What takes two columns: East Asian scripts, full-width forms and emoji. */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|^\p{Emoji_Presentation}/u;

/** How many columns of a terminal a text takes. */
export function widthOf(text: string): number {
  // Nearly always.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** Cuts a text to a width, with an ellipsis where something is lost. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let left = width - 1;
  let kept = "";
  for (const { segment } of graphemes.segment(text)) {
    left -= WIDE.test(segment) ? 2 : 1;
    if (left < 0) break;
    kept += segment;
  }
  return width < 1 ? "" : `${kept}…`;
}
