import process from "node:process";

/** The terminal that shows stdout. */
export interface Terminal {
  /** Whether colours are wanted. */
  readonly colors: boolean;
  readonly columns: number;
  readonly rows: number;
  /** Writes as it stands, without a line's end. */
  write(text: string): void;
  /**
   * Begins to give each key as it is pressed, Ctrl-C among them. `undefined` where there is no keyboard, as stdin is a
   * file or a pipe. Call what it gives to leave the keyboard as it was.
   */
  readKeys(onKeys: (keys: string) => void): (() => void) | undefined;
  /** Calls `onResize` when the window changes, until what it gives is called. */
  watchSize(onResize: () => void): () => void;
}

/** A terminal that has not said how large it is. */
const FALLBACK = { columns: 80, rows: 24 };

/** The terminal of this process, or `undefined` where stdout is none. */
export function processTerminal(
  env: Readonly<Record<string, string | undefined>>,
): Terminal | undefined {
  const { stdin, stdout } = process;
  if (!stdout.isTTY) return undefined;
  return {
    // https://no-color.org: any value but nothing.
    colors: !env.NO_COLOR && env.TERM !== "dumb",
    get columns() {
      return stdout.columns || FALLBACK.columns;
    },
    get rows() {
      return stdout.rows || FALLBACK.rows;
    },
    write: (text) => void stdout.write(text),
    readKeys(onKeys) {
      if (!stdin.isTTY) return undefined;
      const listener = (chunk: Uint8Array): void => onKeys(new TextDecoder().decode(chunk));
      stdin.setRawMode(true);
      stdin.on("data", listener);
      stdin.resume();
      return () => {
        stdin.off("data", listener);
        stdin.setRawMode(false);
        stdin.pause();
      };
    },
    watchSize(onResize) {
      stdout.on("resize", onResize);
      return () => void stdout.off("resize", onResize);
    },
  };
}
