import { type FSWatcher, watch } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** Options for {@linkcode SourceWatcher}. */
export interface SourceWatcherOptions {
  /** Gets the paths that changed. */
  readonly onChange: (paths: readonly string[]) => void;
  /** How long to wait after an event, as an editor writes a file in several steps. @default {100} */
  readonly debounceMs?: number;
  /** How often to look where watching is not possible. @default {1000} */
  readonly pollMs?: number;
}

/** Data files are left out: a worker that writes one would restart itself for ever. */
const SOURCE = /\.([cm]?[jt]sx?|sql)$/;
const IGNORED = ["node_modules", "dist"];

/**
 * Notices changes of source files below some folders.
 *
 * Each folder is watched on its own, as a recursive watch of Node 20 on Linux would enter node_modules. An event is only
 * a reason to look: what counts is whether a file's time or size differ. So runtimes may report events as they like.
 */
export class SourceWatcher {
  readonly #folders: readonly string[];
  readonly #options: Required<SourceWatcherOptions>;
  readonly #watchers = new Map<string, FSWatcher>();
  #files = new Map<string, string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;
  /** The look under way: two at once would both see the same change. */
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(folders: readonly string[], options: SourceWatcherOptions) {
    this.#folders = folders;
    this.#options = { debounceMs: 100, pollMs: 1_000, ...options };
  }

  /** Begins. Changes from now on are noticed. */
  async start(): Promise<void> {
    this.#files = await this.#scan();
    // A folder may have got files between its watch and its listing.
    this.#files = await this.#scan();
  }

  /** Ends. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#poll);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #later(): void {
    // Not begun anew at each event: a log file that grows all the time would put it off for ever.
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#looking = this.#looking.then(() => this.#look());
    }, this.#options.debounceMs);
  }

  async #look(): Promise<void> {
    const before = this.#files;
    const after = await this.#scan();
    if (this.#closed) return;
    this.#files = after;
    const changed = [...new Set([...before.keys(), ...after.keys()])]
      .filter((path) => before.get(path) !== after.get(path));
    if (changed.length > 0) this.#options.onChange(changed);
  }

  /** Lists source files with what changes when they do, and watches folders that are new. */
  async #scan(): Promise<Map<string, string>> {
    const files = new Map<string, string>();
    const seen = new Set<string>();
    const visit = async (folder: string): Promise<void> => {
      if (seen.has(folder) || this.#closed) return;
      seen.add(folder);
      // Before it is listed, so that nothing is missed in between.
      this.#watch(folder);
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      await Promise.all(entries.map(async (entry) => {
        if (entry.name.startsWith(".") || IGNORED.includes(entry.name)) return;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) return await visit(path);
        if (!SOURCE.test(entry.name)) return;
        const found = await stat(path).catch(() => undefined);
        if (found?.isFile()) files.set(path, `${found.mtimeMs} ${found.size}`);
      }));
    };
    for (const folder of this.#folders) await visit(folder);
    for (const [folder, watcher] of this.#watchers) {
      if (seen.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    return files;
  }

  #watch(folder: string): void {
    if (this.#poll !== undefined || this.#watchers.has(folder)) return;
    try {
      const watcher = watch(folder, () => this.#later());
      watcher.on("error", () => {
        // The folder is gone, mostly. It is watched anew where it comes back.
        watcher.close();
        this.#watchers.delete(folder);
        this.#later();
      });
      this.#watchers.set(folder, watcher);
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return;
      // No such system, or too many watches: look now and then.
      this.#poll = setInterval(() => this.#later(), this.#options.pollMs);
    }
  }
}
