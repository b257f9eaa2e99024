import process from "node:process";
import { decodeKeys } from "./keys.ts";
import type { Terminal } from "./terminal.ts";

/** To the other screen, so that what stood in the terminal is there again afterwards; without a cursor. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE = "\x1b[?25h\x1b[?1049l";
/** The terminal draws what is between the two at once, where it can. */
const BEGIN_FRAME = "\x1b[?2026h\x1b[H";
const END_FRAME = "\x1b[J\x1b[?2026l";

/** A terminal that is drawn upon, and given back as it was, however the process ends. */
export class LiveScreen {
  readonly #terminal: Terminal;
  readonly #stopKeys: (() => void) | undefined;
  readonly #stopSize: () => void;
  #closed = false;

  /**
   * Takes the terminal.
   *
   * @param actions Are told of each key, and of a window that has changed.
   */
  constructor(terminal: Terminal, actions: { onKey(key: string): void; onResize(): void }) {
    this.#terminal = terminal;
    process.on("exit", this.close);
    this.#stopKeys = terminal.readKeys((input) => {
      for (const key of decodeKeys(input)) actions.onKey(key);
    });
    this.#stopSize = terminal.watchSize(() => actions.onResize());
    terminal.write(ENTER);
  }

  /** Whether there is a keyboard. */
  get hasKeys(): boolean {
    return this.#stopKeys !== undefined;
  }

  /** Shows lines, from the top. What is more than the window holds is left out. */
  draw(lines: readonly string[]): void {
    if (this.#closed) return;
    const shown = lines.slice(0, this.#terminal.rows).map((line) => `${line}\x1b[K`).join("\r\n");
    this.#terminal.write(`${BEGIN_FRAME}${shown}${END_FRAME}`);
  }

  /** Gives the terminal back. Safe to call again. */
  readonly close = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    process.off("exit", this.close);
    this.#stopSize();
    this.#terminal.write(LEAVE);
    this.#stopKeys?.();
  };
}
