/** Runs the examples of docs/python.md, as a reader would. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { expect, test } from "vitest";
import { type Finished, runPgq } from "../cli/fixtures/pgq.ts";
import { testDsn } from "../support/queue.ts";
import { runtimeCommand } from "../support/worker_process.ts";
import { execFile } from "node:child_process";
import { runPython } from "./commands.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What a shell block's lines come down to: the first is done by this test, the others run below. */
const SHELL = [
  "export PGQUEUER_DSN=postgresql://app@localhost/shop",
  "npx pgq install",
  "npx pgq run ./worker.ts:main",
  "python -m pgqueuer run invoices:main",
];

test("every example runs, and each language does what the other asked for", async () => {
  const page = await readFile(join(root, "docs", "python.md"), "utf8");
  const blocks = [...page.matchAll(/^```(\w+)(?: title="(.*)")?\n([^]*?)^```$/gm)]
    .map(([, language, title, text]) => ({ language, title, text: text! }));
  // A database of its own, so that the examples need no other names than a reader.
  const name = `docs_${crypto.randomUUID().slice(0, 8)}`;
  // Inside the checkout, so that packages are found as they are in the project of a user.
  const folder = join(root, ".pgq", name);
  const url = new URL(testDsn());
  url.pathname = `/${name}`;
  const env = { ...process.env, PGQUEUER_DSN: url.href, PYTHONPATH: folder };
  const admin = postgres(testDsn(), { max: 1, onnotice: () => {} });
  await admin`create database ${admin(name)}`;
  await mkdir(folder, { recursive: true });
  for (const { title, text } of blocks) if (title) await writeFile(join(folder, title), text);
  try {
    const file = (title: string): string => join(folder, title);

    const installed = await runPgq(["install"], { env });
    const published = await runPython([file("publish.py")], env);
    const indexed = await runPgq(["run", `${file("worker.ts")}:main`, "--mode", "drain"], { env });
    const sent = await runTypescript(file("publish.ts"), env);
    const printed = await runPython(
      ["-m", "pgqueuer", "run", "invoices:main", "--mode", "drain"],
      env,
    );

    expect(blocks.map(({ language, title }) => title ?? language)).toEqual([
      ...["sh", "publish.py", "worker.ts", "publish.ts", "invoices.py", "sh"],
    ]);
    const lines = blocks.filter(({ language }) => language === "sh")
      .flatMap(({ text }) => text.trim().split("\n").map((line) => line.replace(/\s+#.*$/, "")));
    expect(lines).toEqual(SHELL);
    for (const ended of [installed, published, indexed, sent, printed]) {
      expect(`${ended.code}\n${ended.stderr}`).toMatch(/^0\n/);
    }
    expect(indexed.stdout).toContain("TypeScript indexes 1, Blåbær");
    expect(printed.stdout).toContain("Python prints 2 for Åse, tenant no");
  } finally {
    await rm(folder, { recursive: true, force: true });
    await admin`drop database ${admin(name)} with (force)`;
    await admin.end();
  }
});

function runTypescript(file: string, env: NodeJS.ProcessEnv): Promise<Finished> {
  const [command, args] = runtimeCommand(file);
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd: root, env }, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}
