/** What terminals send for keys without a character, after the escape. */
const SEQUENCES: Readonly<Record<string, string>> = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  "[H": "home",
  "[F": "end",
  "[5~": "page-up",
  "[6~": "page-down",
  "[Z": "shift-tab",
  // In application mode.
  "OA": "up",
  "OB": "down",
  "OC": "right",
  "OD": "left",
};

const CONTROLS: Readonly<Record<string, string>> = {
  "\x03": "ctrl-c",
  "\x04": "ctrl-d",
  "\t": "tab",
  "\r": "enter",
  "\n": "enter",
  "\b": "backspace",
  "\x7f": "backspace",
  "\x1b": "escape",
};

/** Splits what came from a terminal into keys: a character stands for itself, other keys have names of several letters. */
export function decodeKeys(input: string): string[] {
  const keys: string[] = [];
  // deno-lint-ignore no-control-regex -- An escape is what such a key begins with.
  for (const [token] of input.matchAll(/\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|./gsu)) {
    if (token.startsWith("\x1b") && token.length > 1) {
      // One that is not known is no text either.
      keys.push(SEQUENCES[token.slice(1)] ?? "unknown");
    } else keys.push(CONTROLS[token] ?? token);
  }
  return keys;
}
