/** What the demo says in the end, on the standard output. */
import type { Hit } from "../search.ts";
import type { Findings, Spread } from "./audit.ts";
import type { Ledger } from "./publisher.ts";

/** Renders a question and its answers. */
export function renderAnswer(question: string, hits: readonly Hit[]): string {
  const lines = hits.flatMap(({ title, rank, passage }, index) => [
    `  ${index + 1}. ${cut(title, 64)}  (rank ${rank.toFixed(3)})`,
    `     ${cut(passage.replace(/\s+/g, " "), 90)}`,
  ]);
  return [`Search: ${question}`, ...lines].join("\n");
}

/** Renders the table. */
export function renderTable(
  scene: { readonly files: number; readonly articles: number },
  ledger: Ledger,
  findings: Findings,
): string {
  const drafts = scene.articles - ledger.published.size - ledger.rolledBack.size;
  const rows: [name: string, value: string][] = [
    ["documents read", count(scene.files)],
    ["articles cut from them", count(scene.articles)],
    ["published", count(ledger.published.size)],
    ["rolled back", count(ledger.rolledBack.size)],
    ...(drafts === 0 ? [] : [["not reached in time", count(drafts)] as [string, string]]),
    ["indexed", count(findings.indexed)],
    ["welcome mails sent", count(findings.welcomed)],
    ["jobs run", count(findings.jobsRun)],
    ["jobs lost", count(findings.jobsLost)],
    ["jobs per second", count(Math.round(findings.jobsPerSecond))],
    ["commit to start, p50 / p95", spread(findings.toStart)],
    ["commit to done, p50 / p95", spread(findings.toDone)],
  ];
  const [names, values] = [0, 1].map((column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  ) as [number, number];
  const rule = `${"─".repeat(names)}──${"─".repeat(values)}`;
  const lines = rows.map(([name, value]) => `${name.padEnd(names)}  ${value.padStart(values)}`);
  return [rule, ...lines, rule].join("\n");
}

/** Renders the counts that are wrong, one a line; an empty text if all agree. */
export function renderDifferences(findings: Findings): string {
  return findings.checks
    .filter(({ found, expected }) => found !== expected)
    .map(({ what, found, expected }) => `Wrong: ${what}: expected ${expected}, found ${found}`)
    .join("\n");
}

function spread({ p50, p95 }: Spread): string {
  return `${p50.toFixed(1)} / ${p95.toFixed(1)} ms`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
