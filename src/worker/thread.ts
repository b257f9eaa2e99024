/** A thread of this process. */
export interface Thread {
  /** Sends a message, which may hold shared memory. */
  post(message: unknown): void;
  /** Ends the thread, whatever it does. */
  terminate(): Promise<void>;
}

/** What the starter of a thread is told. */
export interface ThreadListener {
  onMessage(message: unknown): void;
  /** The thread could not be started, or has ended by an error. */
  onError(reason: string): void;
}

interface WebWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  unref?(): void;
  onmessage: (event: { readonly data: unknown }) => void;
  onerror: (event: { readonly message?: string; preventDefault(): void }) => void;
}

interface NodeWorker {
  postMessage(message: unknown): void;
  terminate(): Promise<number>;
  unref(): void;
  on(event: "message", listener: (message: unknown) => void): void;
  on(event: "error", listener: (error: unknown) => void): void;
}

interface NodeThreads {
  readonly Worker: new (script: URL, options: { name: string; execArgv?: string[] }) => NodeWorker;
  readonly parentPort: {
    on(event: "message", listener: (message: unknown) => void): void;
    postMessage(message: unknown): void;
  } | null;
}

/** What of a runtime has to do with threads: Deno and Bun have web workers, Node has a module. */
interface Runtime {
  readonly Worker?: new (script: URL, options: { name: string; type: "module" }) => WebWorker;
  readonly process?: { getBuiltinModule?(name: string): unknown };
  onmessage?: (event: { readonly data: unknown }) => void;
  postMessage?(message: unknown): void;
}

/**
 * Starts a thread. It does not keep the process alive, but on Deno, where only its end lets the process end.
 *
 * @param script Module to run, JavaScript or what the runtime makes of TypeScript.
 * @throws {Error} If the runtime has no threads, or does not permit one.
 */
export function startThread(script: URL, name: string, listener: ThreadListener): Thread {
  const { Worker, process } = globalThis as unknown as Runtime;
  if (typeof Worker === "function") {
    const worker = new Worker(script, { name, type: "module" });
    worker.onmessage = ({ data }) => listener.onMessage(data);
    worker.onerror = (event) => {
      // Else Deno ends the process.
      event.preventDefault();
      listener.onError(event.message ?? "it gave no reason");
    };
    worker.unref?.();
    return {
      post: (message) => worker.postMessage(message),
      terminate: () => Promise.resolve(worker.terminate()),
    };
  }
  const threads = process?.getBuiltinModule?.("node:worker_threads") as NodeThreads | undefined;
  if (threads === undefined) {
    throw new Error("this runtime gives a library no threads: Node does from 20.16 on");
  }
  // Built modules need none of what the application preloads, such as its tracing.
  const options = script.pathname.endsWith(".js") ? { name, execArgv: [] } : { name };
  const worker = new threads.Worker(script, options);
  worker.on("message", (message) => listener.onMessage(message));
  worker.on(
    "error",
    (error) => listener.onError(error instanceof Error ? error.message : `${error}`),
  );
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    terminate: async () => void await worker.terminate(),
  };
}

/**
 * The other end, in the thread.
 *
 * @returns Sends a message to the one who started the thread.
 */
export function answerStarter(onMessage: (message: unknown) => void): (message: unknown) => void {
  const scope = globalThis as unknown as Runtime;
  const { parentPort } = typeof scope.postMessage === "function"
    ? { parentPort: null }
    : scope.process!.getBuiltinModule!("node:worker_threads") as NodeThreads;
  if (parentPort === null) {
    scope.onmessage = ({ data }) => onMessage(data);
    return (message) => scope.postMessage!(message);
  }
  parentPort.on("message", onMessage);
  return (message) => parentPort.postMessage(message);
}
