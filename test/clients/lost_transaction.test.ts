/** What docs/transactions.md says of a connection that postgres.js loses inside a transaction of the caller. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { testDsn } from "../support/queue.ts";
import { runtimeCommand } from "../support/worker_process.ts";
import { RUNTIME } from "./clients.ts";

const MAIN = fileURLToPath(new URL("../support/lost_transaction_main.ts", import.meta.url));

// Once this is red with a newer release the pitfall can go from the page. Node's words are enough: the cause is the library.
test.skipIf(RUNTIME !== "node")("postgres.js ends the process, as the page says", async () => {
  const [command, args] = runtimeCommand(MAIN);
  const child = spawn(command, args, { env: { ...process.env, DSN: testDsn() } });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const code = await new Promise((resolve) => child.once("exit", resolve));

  expect(output).toContain("begin() rejects with CONNECTION_CLOSED");
  expect(output).not.toContain("survived");
  const message = "Cannot read properties of null (reading 'write')";
  expect(output).toContain(message);
  expect(code).not.toBe(0);
  const page = new URL("../../docs/transactions.md", import.meta.url);
  expect((await readFile(page, "utf8")).replace(/\s+/g, " ")).toContain(message);
});
