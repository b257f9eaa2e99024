/** The chaos run in brief: each kind of disturbance once, on a server of its own. `npm run chaos` does it for longer. */
import { expect, test } from "vitest";
import { report, summary } from "./report.ts";
import { type ChaosOptions, runChaos } from "./run.ts";

/** Another makes another order of disturbances, and other jobs. */
const SEED = 7;

test(
  "under load, three workers that are disturbed in every way keep every promise",
  async () => {
    const lines: string[] = [];
    const onLine: ChaosOptions["onLine"] = (line) => void lines.push(line);

    const result = await runChaos({ seed: SEED, minutes: 0, workers: 3, onLine });

    const broken = result.findings.filter(({ breaches }) => breaches.length > 0);
    if (broken.length > 0) {
      throw new Error([...summary(result), "", ...report(result), "", ...lines].join("\n"));
    }
    // It was a run: jobs of every kind, and workers that lost some to others.
    const { stories, disturbances } = result.evidence;
    expect(new Set(disturbances.all.map(({ kind }) => kind)).size).toBe(14);
    expect(stories.length).toBeGreaterThan(50);
  },
  // Time for what is stuck to be found as such.
  300_000,
);
