/** Runs every code block of the README, in the order of the page, as a reader would. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bytes, openTestQueue, type TestQueue, until } from "./support/queue.ts";
import { runtimeCommand } from "./support/worker_process.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Block {
  readonly language: string;
  /** File name after the language, as in ```ts title="main.ts". */
  readonly title: string | undefined;
  readonly text: string;
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)(?: title="(.*)")?\n([^]*?)^```$/gm)].map((match) => ({
    language: match[1]!,
    title: match[2],
    text: match[3]!,
  }));
}

let queue: TestQueue;
let folder: string;
let blocks: Block[];
let environment: Record<string, string | undefined>;
beforeAll(async () => {
  queue = await openTestQueue();
  await queue.queries.uninstall();
  // Inside the checkout, so that "pgqueuer" is found as it is in the project of a user.
  folder = join(root, ".pgq", `docs-${queue.names.prefix}${process.pid}`);
  await mkdir(folder, { recursive: true });
  blocks = blocksOf(await readFile(join(root, "README.md"), "utf8"));
  for (const { title, text } of blocks) if (title) await writeFile(join(folder, title), text);
  const dsn = new URL(queue.dsn);
  dsn.searchParams.set("search_path", queue.names.schema);
  environment = {
    ...process.env,
    DATABASE_URL: dsn.href,
    PGQUEUER_DSN: undefined,
    PGQUEUER_SCHEMA: queue.names.schema,
    PGQUEUER_PREFIX: queue.names.prefix,
  };
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await queue.close();
});

/** Starts a TypeScript file of the checkout with this runtime, in the checkout: Node finds tsx there. */
function start(
  file: string,
  args: readonly string[],
): { child: ChildProcess; output: () => string; code: Promise<number | null> } {
  const [command, before] = runtimeCommand(file);
  const child = spawn(command, [...before, ...args], { cwd: root, env: environment });
  let output = "";
  child.stdout!.on("data", (chunk) => output += chunk);
  child.stderr!.on("data", (chunk) => output += chunk);
  return {
    child,
    output: () => output,
    code: new Promise((resolve) => child.once("exit", (code) => resolve(code))),
  };
}

async function succeed(file: string, args: readonly string[] = []): Promise<string> {
  const { code, output } = start(file, args);
  expect(`${await code}\n${output()}`).toMatch(/^0\n/);
  return output();
}

/** What each command of a shell block comes down to in a checkout. */
async function runShellLine(line: string): Promise<void> {
  const command = line.replace(/\s+#.*$/, "");
  const pgq = /^npx pgq (.*)$/.exec(command)?.[1]?.replace("./", `${folder}/`).split(" ");
  if (pgq?.[0] === "run") {
    const worker = start(join(root, "cli.ts"), pgq);
    await until(
      "the README's worker has run its job",
      () => worker.output().includes("indexing article 1"),
    );
    // Not child.kill(): Deno then reports the signal as the cause of the end, whatever the exit code.
    process.kill(worker.child.pid!, "SIGINT");
    expect(await worker.code).toBe(0);
  } else if (pgq) {
    await succeed(join(root, "cli.ts"), pgq);
  } else if (command.startsWith("npx tsx ")) {
    await succeed(join(folder, command.slice("npx tsx ".length)));
  } else {
    // Run by `npm run check` in an empty project, and by CI itself.
    expect([
      "npm init -y && npm pkg set type=module",
      "npm install pgqueuer postgres",
      "export DATABASE_URL=postgresql://localhost/blog",
      "npm ci && npm run demo",
      "npm ci && npm test",
    ]).toContain(command);
  }
}

test("every block of the README runs", async () => {
  expect(blocks.map(({ language, title }) => title ?? language)).toEqual([
    "main.ts",
    "publish.ts",
    "sh",
    "sh",
    "enqueue.ts",
    "limits.ts",
    "service.ts",
    "publisher.ts",
    "typed.ts",
    "resources.ts",
    "follow.ts",
    "schedules.ts",
    "tasks.test.ts",
  ]);
  const shell = blocks.filter(({ language }) => language === "sh").flatMap(({ text }) =>
    text.trim().split("\n")
  );

  for (const line of shell) await runShellLine(line);
  // Before there are jobs that it would run.
  const service = start(join(folder, "service.ts"), []);
  await until("it runs", () => service.output().includes(" runs index_article"));
  process.kill(service.child.pid!, "SIGTERM");
  expect(`${await service.code}\n${service.output()}`).toMatch(/^0\n/);
  await queue.queries.enqueue("index_article", bytes("1"));
  await succeed(join(root, "cli.ts"), ["run", `${folder}/resources.ts:main`, "--mode", "drain"]);
  const articles = await queue.sql`select status from ${
    queue.sql(`${queue.names.schema}.article`)
  }`;
  await queue.queries.enqueue("publish", bytes("1"));
  await succeed(join(root, "cli.ts"), ["run", `${folder}/publisher.ts:main`, "--mode", "drain"]);
  const published = await queue.sql`select status from ${
    queue.sql(`${queue.names.schema}.article`)
  }`;
  const enqueued = await succeed(join(folder, "enqueue.ts"));
  await succeed(join(root, "cli.ts"), ["run", `${folder}/limits.ts:main`, "--mode", "drain"]);
  const typed = await succeed(join(folder, "typed.ts"));
  const followed = await succeed(join(folder, "follow.ts"));
  await succeed(join(root, "cli.ts"), ["run", `${folder}/schedules.ts:main`, "--mode", "drain"]);
  const log = await queue.log();
  // Tests have a queue without the jobs of others.
  await queue.clear();
  await succeed(join(folder, "tasks.test.ts"));

  expect(articles).toMatchObject([{ status: "indexed" }]);
  expect(published).toMatchObject([{ status: "published" }]);
  expect(enqueued).toMatch(/\d+ \[ ?\d+, \d+ ?\]/);
  expect(typed).toContain("https://example.com/a.png at 640");
  expect(typed).toContain("hello Ada, says job");
  expect(followed).toContain("0 run again, 0 stay");
  expect(log.filter((row) => row.status === "successful")).toHaveLength(5);
  expect(await queue.log()).toEqual([]);
}, 120_000);

test("every error that the README quotes is one that the code can say", async () => {
  const markdown = await readFile(join(root, "README.md"), "utf8");
  const sources = await Promise.all(
    [
      "dsn.ts",
      "get_queue.ts",
      "new_job.ts",
      "pg_queuer.ts",
      "queries/schema.ts",
      "queries/database_error.ts",
    ].map((file) => readFile(join(root, "src", file), "utf8")),
  );
  const source = sources.join("\n");
  const quoted = [...markdown.matchAll(/`+(Cannot [^`]*)`+/g)].map((match) => match[1]!);

  expect(quoted.length).toBeGreaterThan(4);
  for (const message of quoted) {
    // The constant beginning, up to the first value.
    const beginning = /^Cannot [a-z A-Z]+ as /.exec(message)![0];
    expect(source).toContain(beginning);
  }
});
