import type { Command } from "./command.ts";
import { withDatabase } from "./connection.ts";
import { readFlags } from "./flags.ts";
import { wantsJson } from "./output.ts";
import { StopSignals } from "./stop_signals.ts";
import { visible } from "./text.ts";

/** `pgq listen` */
export const listen: Command = {
  name: "listen",
  summary: "Print the notifications of a channel as they come",
  args: [],
  flags: [
    { flags: "--channel <name>", summary: "default: the channel of the queue, ch_pgqueuer" },
    { flags: "-n, --limit <number>", summary: "end after so many (default: never)" },
  ],
  notes:
    `Ends with Ctrl-C. What is sent while the connection is lost is not heard: a line on stderr says when
listening begins, and begins again.

Example:
  pgq listen --json | jq .payload.operation`,

  async run(input, surroundings) {
    const { print, say } = surroundings;
    const json = wantsJson(input);
    const { channel: given, limit = Infinity } = readFlags(input.flags, ["channel", "limit"]);
    return await withDatabase(input, surroundings, async ({ driver, settings }) => {
      const channel = given ?? settings.channel;
      let end = (): void => {};
      const ended = new Promise<void>((resolve) => end = resolve);
      let heard = 0;
      const subscription = await driver.listen(channel, {
        onPayload(payload) {
          if (heard >= limit) return;
          heard++;
          print(json ? eventJson(channel, payload) : visible(payload));
          if (heard >= limit) end();
        },
        onListening: () => say(`Listening to ${visible(channel)}`),
      });
      const signals = new StopSignals({ stop: end, hurry: end }, { also: surroundings.readerGone });
      try {
        await ended;
        return 0;
      } finally {
        signals.close();
        await subscription.close();
      }
    });
  },
};

/** One line, also on a terminal: more are to come. */
function eventJson(channel: string, payload: string): string {
  let value: unknown = payload;
  try {
    value = JSON.parse(payload);
  } catch {
    // Anybody may send any text.
  }
  return JSON.stringify({ received: new Date(), channel, payload: value });
}
