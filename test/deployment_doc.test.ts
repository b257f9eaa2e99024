/** docs/deployment.md: its files name what there is, and whoever kills waits for longer than a stop takes. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RUN_FLAGS } from "../src/cli/run_command.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const page = read("docs/deployment.md");
/** What a stop may take beside `--shutdown-timeout`, as the page says. */
const REST_S = 10;

function blockOf(language: string): string {
  return new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "m").exec(page)![1]!;
}

function numberIn(text: string, pattern: RegExp): number {
  const [, number] = pattern.exec(text) ?? [];
  if (number === undefined) throw new Error(`Nothing like ${pattern} in:\n${text}`);
  return Number(number);
}

describe("docs/deployment.md", () => {
  const [unit, image, pods] = [blockOf("ini"), blockOf("dockerfile"), blockOf("yaml")];

  test("uses flags that there are", () => {
    const known = RUN_FLAGS.map(({ flags }) => /--[a-z-]+/.exec(flags)![0]);
    const used = [unit, image, pods].flatMap((text) => text.match(/(?<=[\s"])--[a-z-]+/g) ?? []);

    expect(used.length).toBeGreaterThan(3);
    expect(used.filter((flag) => !known.includes(flag) && flag !== "--omit")).toEqual([]);
  });

  test("lets a stop take its time, in systemd and in Kubernetes", () => {
    const systemd = numberIn(unit, /^TimeoutStopSec=(\d+)$/m);
    const grace = numberIn(pods, /terminationGracePeriodSeconds: (\d+)/);

    expect(systemd).toBeGreaterThan(numberIn(unit, /--shutdown-timeout (\d+)/) + REST_S);
    expect(grace).toBeGreaterThan(numberIn(pods, /"--shutdown-timeout", "(\d+)"/) + REST_S);
  });

  test("probes paths that are answered, on the port that is opened", () => {
    const paths = [...pods.matchAll(/path: (\S+),/g)].map(([, path]) => path);

    expect(paths.sort()).toEqual(["/livez", "/readyz", "/readyz"]);
    expect(numberIn(pods, /"--health-port", "(\d+)"/)).toBe(
      numberIn(pods, /name: health, containerPort: (\d+)/),
    );
    // The probe waits longer than the answer does for the database.
    for (const [, seconds] of pods.matchAll(/timeoutSeconds: (\d+)/g)) {
      expect(Number(seconds)).toBeGreaterThan(2);
    }
  });

  test("starts the program of the package, and none between it and the signals", () => {
    const { bin } = JSON.parse(read("package.json")) as { bin: { pgq: string } };

    expect(image).toContain(`ENTRYPOINT ["node", "node_modules/pgqueuer/${bin.pgq}", "run",`);
    expect(image).not.toMatch(/^(ENTRYPOINT|CMD) (?!\[)/m);
  });
});
