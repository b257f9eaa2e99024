/** Imported for its effect: this process ends soon after the one that started it, so that no test run leaves any behind. */
import process from "node:process";
import { setInterval } from "node:timers";

/** A process without a parent gets another one: soon enough, and no work to speak of. */
const LOOK_MS = 500;

const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, LOOK_MS).unref();
