import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LiveScreen } from "../../src/cli/live_screen.ts";
import { until } from "../support/queue.ts";
import { runtimeCommand } from "../support/worker_process.ts";
import { callPgq, PgqProcess, TestQueue } from "./fixtures/pgq.ts";
import { RecordedTerminal } from "./fixtures/recorded_terminal.ts";

const queue = new TestQueue();
const { env, sql, table } = queue;

beforeAll(async () => {
  await callPgq(["install"], { env });
});
beforeEach(async () => {
  await sql.unsafe(`
    TRUNCATE ${table} RESTART IDENTITY; TRUNCATE ${table}_log; TRUNCATE ${table}_statistics;
    INSERT INTO ${table} (priority, status, entrypoint) VALUES (0, 'failed', 'mail'), (0, 'queued', 'report')`);
});
afterAll(() => queue.drop());

/** The dashboard on a terminal in memory. */
function open(...args: string[]) {
  const terminal = new RecordedTerminal();
  const ended = callPgq(["dashboard", ...args], { env, terminal });
  return { terminal, ended };
}

const shows = (terminal: RecordedTerminal, text: string) =>
  until(`the screen shows "${text}"`, () => terminal.screen.includes(text));

describe("pgq dashboard on a terminal", () => {
  test("shows the queue, looks again, and gives the terminal back on q", async () => {
    const { terminal, ended } = open("--interval", "0.05");
    await shows(terminal, "report");
    const raw = terminal.raw;
    await callPgq(["queue", "later"], { env });
    await shows(terminal, "later");

    terminal.press("q");

    expect(await ended).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(raw).toBe(true);
    expect(terminal.restored).toBe(true);
  });

  test("requeues and cancels the selected job", async () => {
    const { terminal, ended } = open("--interval", "3600");
    await shows(terminal, "[1 entrypoints]");
    terminal.press("f");
    await shows(terminal, ">   1  failed  mail");
    terminal.press("r");
    await shows(terminal, "Requeued job 1");
    terminal.press("ffff");
    await shows(terminal, "2  queued  report");
    terminal.press("\x1b[H");
    await shows(terminal, ">   2  queued  report");
    terminal.press("c");
    await shows(terminal, "Cancel job 2? y/n");
    terminal.press("y");
    await shows(terminal, "Canceled job 2");
    terminal.press("\x03");

    expect((await ended).code).toBe(0);
    const left = await sql.unsafe(`SELECT id::int, status FROM ${table}`);
    expect([...left]).toEqual([{ id: 1, status: "queued" }]);
    expect(terminal.restored).toBe(true);
  });

  test("says what it could not do", async () => {
    await sql.unsafe(`UPDATE ${table} SET dedupe_key = 'k'`);
    const { terminal, ended } = open("--interval", "3600");
    await shows(terminal, "[1 entrypoints]");
    terminal.press("2");
    await shows(terminal, ">   2  queued");
    terminal.press("r");
    await shows(terminal, "Job 2 is not held");
    terminal.press("jr");
    await shows(terminal, "Job 1 stays held");
    await sql.unsafe(`DELETE FROM ${table}`);
    terminal.press("cy");
    await shows(terminal, "Job 1 is not in the queue any more");
    terminal.press("q");
    await ended;
  });

  test("filters as one types, shows the history, and follows the window's size", async () => {
    await callPgq(["queue", "mail"], { env });
    const { terminal, ended } = open("--interval", "3600");
    await shows(terminal, "report");
    terminal.press("/ma");
    await until("it is filtered", () => !terminal.screen.includes("report"));
    terminal.press("\r3");
    await shows(terminal, "CREATED▾");
    terminal.resize(30, 8);
    const lines = terminal.screen.split("\n");
    terminal.press("q");
    await ended;

    expect(lines).toHaveLength(8);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(30);
  });

  test("finds the jobs of an entrypoint behind more of others than it reads", async () => {
    await sql.unsafe(`INSERT INTO ${table} (priority, status, entrypoint)
      SELECT 0, 'queued', 'many' FROM generate_series(1, 10)`);
    const { terminal, ended } = open("--interval", "3600", "--limit", "5");
    await shows(terminal, "[1 entrypoints]");
    terminal.press("2");
    await until("it shows the newest", () => terminal.screen.split("many").length === 6);
    terminal.press("/MAI");
    await shows(terminal, "nothing to show");
    terminal.press("\r");
    await shows(terminal, ">   1  failed  mail");
    terminal.press("1");
    await shows(terminal, "[1 entrypoints]");
    terminal.press("\x1b");
    await shows(terminal, "report");
    // Ready, most first: "many", then "report".
    terminal.press("j\r");
    await shows(terminal, ">   2  queued  report");
    terminal.press("q");

    expect((await ended).code).toBe(0);
  });

  test("pauses, and looks no more until it goes on", async () => {
    const { terminal, ended } = open("--interval", "0.02");
    await shows(terminal, "every 0.02 s");
    terminal.press(" ");
    await shows(terminal, "paused");
    const [before, frames] = [terminal.screen, terminal.output.length];
    await callPgq(["queue", "later"], { env });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [after, later] = [terminal.screen, terminal.output.length];
    terminal.press(" ");
    await shows(terminal, "later");
    terminal.press("q");
    await ended;

    expect(later - frames).toBeLessThan(before.length * 3);
    expect(after).not.toContain("later");
  });

  test("goes on where the database is gone for a while, and says so", async () => {
    const { terminal, ended } = open("--interval", "0.05");
    await shows(terminal, "report");
    await sql.unsafe(`ALTER TABLE ${table} RENAME TO gone`);
    await shows(terminal, "Cannot read the queue as relation");
    await sql.unsafe(`ALTER TABLE ${queue.schema}.gone RENAME TO ${queue.prefix}pgqueuer`);
    await until("it has recovered", () => !terminal.screen.includes("Cannot read the queue"));
    terminal.press("q");

    expect((await ended).code).toBe(0);
  });

  test("leaves the terminal alone where the first look fails", async () => {
    const terminal = new RecordedTerminal();

    const { code, stderr } = await callPgq(["dashboard", "--prefix", "nosuch_"], { env, terminal });

    expect(code).toBe(1);
    expect(stderr).toContain('run "pgq install"');
    expect(terminal.output).toBe("");
  });

  test("gives the terminal back when the process ends in any other way", () => {
    const terminal = new RecordedTerminal();
    const before = process.listeners("exit");
    const screen = new LiveScreen(terminal, { onKey() {}, onResize() {} });
    const [added] = process.listeners("exit").filter((listener) => !before.includes(listener));

    added!(1);

    expect(terminal.restored).toBe(true);
    screen.close();
    expect(terminal.restored).toBe(true);
    expect(process.listeners("exit")).toEqual(before);
  });
});

describe("pgq dashboard elsewhere", () => {
  test("prints the statistics as a table, the newest first", async () => {
    for (let at = 0; at < 3; at++) await callPgq(["queue", "mail", "--priority", "5"], { env });

    const { code, stdout, stderr } = await callPgq(["dashboard"], { env });
    const rows = JSON.parse((await callPgq(["dashboard", "--json"], { env })).stdout);
    const one = await callPgq(["dashboard", "-n", "1"], { env });

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^CREATED\tCOUNT\tENTRYPOINT\tSTATUS\tPRIORITY\n20\d\d-\d\d-\d\dT\S+:\d\dZ\t\d\tmail\tqueued\t5\n/,
    );
    expect(rows.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(3);
    expect(rows[0]).toMatchObject({ entrypoint: "mail", status: "queued", priority: 5 });
    expect(one.stdout.trim().split("\n")).toHaveLength(2);
  });

  test("prints them again after each interval, until a signal comes", async () => {
    await callPgq(["queue", "mail"], { env });
    const watching = new PgqProcess(["dashboard", "--json", "--interval", "0.1"], { env });
    await watching.waitFor('"mail"', 3);

    watching.signal("SIGINT");
    const { code, stdout } = await watching.ended;

    expect(code).toBe(0);
    for (const line of stdout.trim().split("\n")) {
      expect(JSON.parse(line)).toMatchObject([{ entrypoint: "mail", count: 1 }]);
    }
  }, 60_000);
});

/** util-linux has it; other systems have another program of that name. */
const hasPseudoTerminal = process.platform === "linux" && existsSync("/usr/bin/script");

describe.skipIf(!hasPseudoTerminal)("pgq dashboard on a real terminal", () => {
  const [command, before] = runtimeCommand(fileURLToPath(new URL("../../cli.ts", import.meta.url)));
  const pgq = [command, ...before, "dashboard"].map((word) => `'${word}'`).join(" ");

  /** Runs the real program in a pseudo terminal, then asks the terminal how it is. */
  function start() {
    const child = spawn("script", [
      "-qec",
      `sh -c 'echo pid=$$; exec ${pgq.replaceAll("'", "")}'; echo code=$?; stty -a`,
      "/dev/null",
    ], {
      env: { ...process.env, ...env, TERM: "xterm", NO_COLOR: "" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => output += chunk);
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    return {
      output: () => output,
      type: (keys: string) => void child.stdin.write(keys),
      signal: (signal: NodeJS.Signals) =>
        process.kill(Number(/pid=(\d+)/.exec(output)![1]), signal),
      ended,
    };
  }

  const ways: [title: string, end: (pty: ReturnType<typeof start>) => void, code: string][] = [
    ["q", (pty) => pty.type("q"), "code=0"],
    ["Ctrl-C", (pty) => pty.type("\x03"), "code=0"],
    ["SIGTERM", (pty) => pty.signal("SIGTERM"), "code=0"],
    ["SIGHUP", (pty) => pty.signal("SIGHUP"), "code=0"],
  ];
  test.each(ways)("gives it back on %s", async (_, end, code) => {
    const pty = start();
    await until("it has drawn", () => pty.output().includes("[1 entrypoints]"));
    end(pty);
    await pty.ended;

    const output = pty.output();
    expect(output).toContain(code);
    // The other screen and no cursor, then its own and a cursor; keys come in lines again, and are shown.
    expect(output.indexOf("\x1b[?1049h\x1b[?25l")).toBeGreaterThan(-1);
    expect(output.lastIndexOf("\x1b[?25h\x1b[?1049l")).toBeGreaterThan(
      output.lastIndexOf("[1 entrypoints]"),
    );
    expect(output).toMatch(/[; ]icanon/);
    expect(output).toMatch(/[; ]echo /);
  }, 60_000);
});
