import { type Command, UsageError } from "./command.ts";
import { withQueries } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { printJson, wantsJson } from "./output.ts";

/** `pgq queue` */
export const queue: Command = {
  name: "queue",
  summary: "Enqueue one job and print its id",
  args: [
    { name: "<entrypoint>", summary: "name of the handler that runs it" },
    { name: "[payload]", summary: "text for the handler, sent as UTF-8 bytes (default: null)" },
  ],
  flags: [
    { flags: "--dedupe-key <key>", summary: "at most one live job has a given key" },
    {
      flags: "--on-conflict <action>",
      summary: "where the key is in use: raise fails, skip enqueues nothing (default: raise)",
    },
    { flags: "--priority <number>", summary: "higher runs first (default: 0)" },
    { flags: "--delay <seconds>", summary: "do not start before (default: 0)" },
    { flags: "--headers <json>", summary: "a JSON object about the job" },
  ],
  notes: `Example:
  pgq queue send_welcome 42 --priority 5 --delay 60`,

  async run(input, surroundings) {
    const [entrypoint, payload] = input.args as [string, string | undefined];
    const { delay, onConflict = "raise", ...options } = readFlags(input.flags, [
      "dedupeKey",
      "onConflict",
      "priority",
      "delay",
      "headers",
    ]);
    const bytes = payload === undefined ? null : new TextEncoder().encode(payload);

    const id = await withQueries(input, surroundings, async (queries) => {
      try {
        return await queries.enqueue(entrypoint, bytes, {
          ...options,
          executeAfter: delay,
          onConflict,
        });
      } catch (error) {
        // What is checked before SQL, such as a name that is too long.
        const refused = error instanceof RangeError || error instanceof TypeError;
        if (refused && error.message.startsWith("Cannot ")) {
          throw new UsageError(error.message, { cause: error });
        }
        throw error;
      }
    });
    if (wantsJson(input)) printJson(surroundings, { id });
    if (id === null) surroundings.say(`Skipped as dedupe key "${options.dedupeKey}" is in use`);
    else if (!wantsJson(input)) surroundings.print(String(id));
    return 0;
  },
};
