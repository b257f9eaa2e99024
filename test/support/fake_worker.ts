/** In place of the threads of the runtime: notes what it is told. */
const runtime = globalThis as { Worker?: unknown };
const own = runtime.Worker;

/** What runtimes call a worker, as far as it is used. */
export class FakeWorker {
  /** Those that were started since the last `install()`. */
  static made: FakeWorker[] = [];
  /** What the next start throws. */
  static refusal: Error | undefined;
  /** What each message throws. */
  static unclonable: Error | undefined;
  readonly script: URL;
  readonly posted: Record<string, unknown>[] = [];
  terminated = false;
  onmessage!: (event: { data: unknown }) => void;
  onerror!: (event: { message?: string; preventDefault(): void }) => void;

  constructor(script: URL) {
    if (FakeWorker.refusal) throw FakeWorker.refusal;
    this.script = script;
    FakeWorker.made.push(this);
  }

  /** Takes the place of the runtime's own. */
  static install(): void {
    FakeWorker.made = [];
    FakeWorker.refusal = undefined;
    FakeWorker.unclonable = undefined;
    runtime.Worker = FakeWorker;
  }

  /** Leaves none. */
  static hide(): void {
    delete runtime.Worker;
  }

  /** Gives the runtime its own back. */
  static remove(): void {
    if (own === undefined) delete runtime.Worker;
    else runtime.Worker = own;
  }

  postMessage(message: Record<string, unknown>): void {
    if (FakeWorker.unclonable) throw FakeWorker.unclonable;
    this.posted.push(message);
  }

  terminate(): void {
    this.terminated = true;
  }
}
