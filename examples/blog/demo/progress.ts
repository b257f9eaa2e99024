/** One line that is redrawn on a terminal; a line now and then elsewhere. */
import process from "node:process";

const BAR_WIDTH = 30;
/** Where lines cannot be redrawn, one for each such share of the work. */
const PLAIN_STEP = 0.2;

/** Shows how far the work is, on the standard error. */
export class Progress {
  readonly #isTerminal = process.stderr.isTTY === true;
  readonly #startedAt = performance.now();
  /** Share that the next plain line waits for. */
  #nextPlain = PLAIN_STEP;

  /** Shows that `share` (0 to 1) of the work is done. */
  show(share: number, text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(1);
    if (this.#isTerminal) {
      const full = Math.round(share * BAR_WIDTH);
      const bar = "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
      const line = `${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${text}  ${seconds} s`;
      // A line that wraps cannot be redrawn.
      process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    } else if (share >= this.#nextPlain) {
      this.#nextPlain = Math.floor(share / PLAIN_STEP + 1) * PLAIN_STEP;
      process.stderr.write(`${Math.floor(share * 100)} %  ${text}  ${seconds} s\n`);
    }
  }

  /** Ends the line. */
  close(): void {
    if (this.#isTerminal) process.stderr.write("\n");
  }
}
