/** The texts in sql/: that their bundle is fresh, their comments true and their holes known. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { bundle, namedStatements } from "../sql/bundle.ts";
import { resolveSettings } from "../src/settings.ts";
import { printed, scripts, statements, upgradeSteps } from "../src/sql/generated.ts";
import { ENQUEUE_VERSION, objectNames, render } from "../src/sql/render.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const QUERIES = join(ROOT, "sql", "queries");

const written = readdirSync(QUERIES).sort().flatMap((file) =>
  namedStatements(readFileSync(join(QUERIES, file), "utf8"))
    .map((statement) => ({ ...statement, title: `${file} ${statement.name}` }))
);

/** Such as `["$1 text", "$2 float8"]`, from the lines of a comment that describe a parameter. */
function described(comment: string): string[] {
  return comment.split("\n").filter((line) => /^--\s*\$/.test(line))
    .map((line) => line.match(/^-- {3}(\$\d+ +\S+) {3,}\S/)?.[1]?.replace(/ +/, " ") ?? line);
}

/** The same from a statement: each parameter once for each type that it is cast to. */
function used(text: string): string[] {
  const code = text.replace(/--.*/g, "").replace(/'(?:[^']|'')*'/g, "''");
  const found = [...code.matchAll(/\$(\d+)(?:::([\w.{}]+(?:\[\])?))?/g)]
    .map(([, number, type]) => `$${number} ${type ?? "without a cast"}`);
  return [...new Set(found)].sort((a, b) => parseInt(a.slice(1)) - parseInt(b.slice(1)));
}

test("src/sql/generated.ts is fresh", () => {
  const committed = readFileSync(join(ROOT, "src", "sql", "generated.ts"), "utf8");

  expect(committed === bundle(), 'Stale: run "npm run sql"').toBe(true);
});

test("every statement is in the bundle", () => {
  expect(written.map(({ name }) => name).sort()).toEqual(Object.keys(statements).sort());
});

test("pgqueuer_enqueue() has a version for each text that it had, as only a higher one replaces it", () => {
  const versions: Record<number, string> = {
    1: "e206e31241fc59a0",
    2: "c8fba6edd4f139d2",
  };
  const code = scripts["enqueue"]!.replace(/--.*/g, "").replace(/\s+/g, " ");
  const hash = createHash("sha256").update(code).digest("hex").slice(0, 16);

  expect(
    versions[ENQUEUE_VERSION],
    `It has changed: raise ENQUEUE_VERSION, and add here ${ENQUEUE_VERSION + 1}: "${hash}"`,
  ).toBe(hash);
});

describe("each statement in sql/queries", () => {
  test.each(written)("$title says what it does", ({ name, comment }) => {
    const [first = ""] = comment.split("\n");
    const sentence = comment.split("\n").filter((line) => !/^--\s*\$/.test(line)).join("\n");

    expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(first).toMatch(/^-- [A-Z]/);
    expect(sentence).toMatch(/\.$/);
  });

  test.each(written)("$title describes the parameters that it uses", ({ comment, text }) => {
    expect(described(comment)).toEqual(used(text));
  });

  test.each(written)("$title numbers its parameters from 1 without a gap", ({ text }) => {
    const numbers = used(text).map((parameter) => parseInt(parameter.slice(1)));

    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });
});

describe("each text in sql/print", () => {
  const printable = readdirSync(join(ROOT, "sql", "print")).sort().flatMap((file) =>
    namedStatements(readFileSync(join(ROOT, "sql", "print", file), "utf8"))
  );
  const known = { ...objectNames(resolveSettings({}, {})), prefix: "" };

  test.each(printable)("$name describes the holes that only it has", ({ name, comment, text }) => {
    const described = [...comment.matchAll(/^-- {3}\{(\w+)\} {3,}\S/gm)].map(([, hole]) => hole);
    const holes = [...text.matchAll(/\{(\w+)\}/g)].map(([, hole]) => hole!)
      .filter((hole) => !Object.hasOwn(known, hole));

    expect(described.sort()).toEqual([...new Set(holes)].sort());
    expect(comment).toMatch(/^-- [A-Z]/);
    expect(Object.keys(printed)).toContain(name);
  });
});

describe("render()", () => {
  const names = objectNames(resolveSettings({ schema: "jobs", prefix: "a_" }, {}));

  test.each(Object.entries({ ...statements, ...scripts, ...upgradeSteps }))(
    "knows every hole of %s",
    (_, text) => {
      const rendered = render(text, names);

      expect(rendered).not.toMatch(/\{\w+\}/);
    },
  );

  test("throws on a hole that no name fills", () => {
    expect(() => render("SELECT * FROM {queue_tabel}", names)).toThrow(
      new RangeError("Cannot render SQL as {queue_tabel} is not a known object name"),
    );
  });

  test("throws on a hole that only the prototype fills", () => {
    expect(() => render("{constructor}", names)).toThrow(RangeError);
  });

  test("fills a hole with the schema and the prefix", () => {
    expect(render("{queue_table} {queue_table_name}", names)).toBe("jobs.a_pgqueuer a_pgqueuer");
  });
});
