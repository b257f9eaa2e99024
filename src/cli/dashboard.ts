import type { RequeueResult } from "../queries/log.ts";
import { screenLines } from "./dashboard_screen.ts";
import { type DashboardState, type Effect, INITIAL_STATE, press } from "./dashboard_state.ts";
import type { DashboardData } from "./dashboard_views.ts";
import { explainError, hidePasswords } from "./explain_error.ts";
import { LiveScreen } from "./live_screen.ts";
import { DEFAULT_SILENT_AFTER_MS } from "./status_command.ts";
import { StopSignals } from "./stop_signals.ts";
import type { Terminal } from "./terminal.ts";

/** What a dashboard is made from. */
export interface DashboardParts {
  readonly terminal: Terminal;
  readonly title: string;
  readonly intervalMs: number;
  /** Reads what is shown: its view, with its statuses and filter. */
  read(state: DashboardState): Promise<DashboardData>;
  requeue(jobId: number): Promise<RequeueResult>;
  /** Gives the ids that it found. */
  cancel(jobId: number): Promise<number[]>;
}

/** A live screen: looks at the queue again and again, and does what keys say, until it is told to end. */
export class Dashboard {
  readonly #parts: DashboardParts;
  #state: DashboardState = INITIAL_STATE;
  #data: DashboardData | undefined;
  /** Why the last look failed. */
  #error: string | null = null;
  #ending = false;
  /** Effects that wait for the loop, which is the only one that asks the database. */
  #effects: Effect[] = [];
  /** Ends the wait of the loop. */
  #wake: () => void = () => {};
  #screen: LiveScreen | undefined;

  constructor(parts: DashboardParts) {
    this.#parts = parts;
  }

  /**
   * Runs until `q`, Ctrl-C or a signal. The terminal is then as it was, whatever happened.
   *
   * @throws What the first look throws: the screen is not taken then.
   */
  async run(): Promise<void> {
    // An unreachable database is said like anywhere else.
    this.#data = await this.#parts.read(this.#state);
    const end = (): void => this.#end();
    const signals = new StopSignals({ stop: end, hurry: end }, {
      signals: ["SIGINT", "SIGTERM", "SIGHUP"],
    });
    try {
      this.#screen = new LiveScreen(this.#parts.terminal, {
        onKey: (key) => this.#press(key),
        onResize: () => this.#draw(),
      });
      this.#draw();
      while (!this.#ending) {
        await this.#wait();
        await this.#step();
      }
    } finally {
      this.#screen?.close();
      signals.close();
    }
  }

  /** Does what keys have asked for, then looks again. */
  async #step(): Promise<void> {
    const effects = this.#effects.splice(0);
    try {
      for (const effect of effects) {
        if (this.#ending) return;
        if (effect.kind === "requeue" || effect.kind === "cancel") {
          this.#say(await this.#change(effect.kind, effect.id));
        }
      }
      if (this.#ending || (this.#state.paused && effects.length === 0)) return;
      const asked = this.#state;
      const data = await this.#parts.read(asked);
      // A key may have chosen others meanwhile: their look is about to come.
      if (isOfTheSame(asked, this.#state)) this.#data = data;
      this.#error = null;
    } catch (error) {
      this.#error = hidePasswords(explainError(error));
    }
    this.#draw();
  }

  async #change(kind: "requeue" | "cancel", id: number): Promise<string> {
    if (kind === "cancel") {
      const found = await this.#parts.cancel(id);
      return found.length > 0 ? `Canceled job ${id}` : `Job ${id} is not in the queue any more`;
    }
    const { requeued, duplicates } = await this.#parts.requeue(id);
    if (requeued.length > 0) return `Requeued job ${id}`;
    return duplicates.length > 0
      ? `Job ${id} stays held, as a live job has the same dedupe key`
      : `Job ${id} is not held`;
  }

  #press(key: string): void {
    const [state, effect] = press(this.#state, key, this.#data!);
    this.#state = state;
    if (effect?.kind === "quit") return this.#end();
    if (effect !== undefined) {
      this.#effects.push(effect);
      this.#wake();
    }
    this.#draw();
  }

  #say(message: string): void {
    this.#state = { ...this.#state, message };
  }

  #end(): void {
    this.#ending = true;
    // At once, and not when the database has answered.
    this.#screen?.close();
    this.#wake();
  }

  /** Waits for the next look, or for something to do. */
  #wait(): Promise<void> {
    if (this.#ending || this.#effects.length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#parts.intervalMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #draw(): void {
    const { terminal, title, intervalMs } = this.#parts;
    this.#screen?.draw(screenLines(this.#state, this.#data!, {
      columns: terminal.columns,
      rows: terminal.rows,
      colors: terminal.colors,
      title,
      intervalMs,
      silentAfterMs: DEFAULT_SILENT_AFTER_MS,
      error: this.#error,
    }));
  }
}

/** Whether what was read for the one is what the other shows. */
function isOfTheSame(one: DashboardState, other: DashboardState): boolean {
  return one.view === other.view && one.statuses === other.statuses && one.filter === other.filter;
}
