import type { Logger } from "./logger.ts";
import type { SettingsOptions } from "./settings.ts";

/** Options for {@linkcode PgQueuer}. */
export interface PgQueuerOptions<Resources = unknown> extends SettingsOptions {
  /** Where the worker writes what it does. `console` fits. @default nowhere */
  logger?: Logger | undefined;
  /**
   * What handlers share, such as a pool, an HTTP client or a cache: `context.resources` in each of them, as it stands
   * here. Whoever made it closes it, after the run: a factory that is an async generator does so after its `yield`.
   *
   * @default {undefined}
   */
  resources?: Resources | undefined;
}
