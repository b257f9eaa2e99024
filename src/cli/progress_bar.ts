import type { Terminal } from "./terminal.ts";

const BAR_WIDTH = 30;
/** Faster than this nobody can see, and it would slow what is measured. */
const REDRAW_MS = 100;

/** One line of a terminal that is drawn again and again. Nothing where there is none. */
export class ProgressBar {
  readonly #terminal: Terminal | undefined;
  #drawnAt = -Infinity;

  constructor(terminal: Terminal | undefined) {
    this.#terminal = terminal;
  }

  /** Shows that `share` (0 to 1) is done. */
  show(share: number, what: string): void {
    const terminal = this.#terminal;
    if (terminal === undefined || performance.now() - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = performance.now();
    const full = Math.round(share * BAR_WIDTH);
    const bar = "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
    const line = `${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${what}`;
    // A line that wraps cannot be drawn again.
    terminal.write(`\r\x1b[K${line.slice(0, terminal.columns - 1)}`);
  }

  /** Leaves an empty line for what comes next. */
  clear(): void {
    if (this.#drawnAt > -Infinity) this.#terminal?.write("\r\x1b[K");
  }
}
