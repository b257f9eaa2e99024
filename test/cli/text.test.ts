import { describe, expect, test } from "vitest";
import { durationText, sizeText } from "../../src/cli/amounts.ts";
import { type Column, tableLines } from "../../src/cli/table.ts";
import { cut, styled, visible, visibleLines, widthOf } from "../../src/cli/text.ts";

test("visible() shows what a terminal would obey or hide", () => {
  const text = "a\x1b[2J\r\n\t\x9b\u202eb\u2028grüße 漢 \u{e0041}";

  expect(visible(text)).toBe("a\\x1b[2J\\r\\n\\t\\x9b\\u{202e}b\\u{2028}grüße 漢 \\u{e0041}");
  expect(visibleLines("a\r\n\tb\x1bc")).toEqual(["a", "    b\\x1bc"]);
});

test("widthOf() counts columns of a terminal", () => {
  const widths = ["", "abc", "grüße", "e\u0301", "漢字", "ｆ", "🚀", "한"].map(widthOf);

  expect(widths).toEqual([0, 3, 5, 1, 4, 2, 2, 2]);
});

test("cut() never gives more than the width", () => {
  const cuts = [cut("abcdef", 6), cut("abcdef", 5), cut("漢字漢字", 6), cut("abc", 1), cut("a", 0)];

  expect(cuts).toEqual(["abcdef", "abcd…", "漢字…", "…", ""]);
});

test("styled() paints only where colours are wanted", () => {
  expect([styled("a", "red", true), styled("a", "red", false), styled("a", undefined, true)])
    .toEqual(["\x1b[31ma\x1b[39m", "a", "a"]);
});

describe("durationText() gives the two largest units", () => {
  const cases: [ms: number, text: string][] = [
    [0, "0ms"],
    [412.4, "412ms"],
    [1_000, "1.0s"],
    [9_940, "9.9s"],
    [59_000, "59s"],
    [60_000, "1m"],
    [192_000, "3m 12s"],
    [3_600_000, "1h"],
    [90 * 3_600_000, "3d 18h"],
    [-5_000, "-5.0s"],
  ];
  test.each(cases)("%d ms", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });
});

test("sizeText() gives bytes in a unit", () => {
  const texts = [0, 999, 1_000, 12_340, 999_999, 5e9, 7e15].map(sizeText);

  expect(texts).toEqual(["0 B", "999 B", "1.0 kB", "12.3 kB", "1000 kB", "5.0 GB", "7000 TB"]);
});

describe("tableLines()", () => {
  const columns: Column<{ id: number; name: string }>[] = [
    { title: "ID", right: true, text: ({ id }) => id },
    { title: "NAME", text: ({ name }) => name, style: () => "red" },
    { title: "N", text: ({ id }) => id * 2 },
  ];
  const rows = [{ id: 7, name: "漢字" }, { id: 1234, name: "a\tb\nc" }];

  test("divides by tabs without a canvas, and no cell breaks that", () => {
    expect(tableLines(columns, rows)).toEqual([
      "ID\tNAME\tN",
      "7\t漢字\t14",
      "1234\ta\\tb\\nc\t2468",
    ]);
  });

  test("aligns columns on a canvas", () => {
    expect(tableLines(columns, rows, { columns: 80, colors: false })).toEqual([
      "  ID  NAME     N",
      "   7  漢字     14",
      "1234  a\\tb\\nc  2468",
    ]);
  });

  test("paints after it has measured, and cuts to the width", () => {
    const [head, first, second] = tableLines(columns, rows, { columns: 10, colors: true });

    expect(head).toBe("  \x1b[2mID\x1b[22m \x1b[2mNA…\x1b[22m …");
    expect(first).toBe("   7 \x1b[31m漢…\x1b[39m …");
    expect(second).toBe("1234 \x1b[31ma\\…\x1b[39m …");
  });

  test("stands closer where it is too wide, and says where columns are left out", () => {
    const at = (width: number): string[] =>
      tableLines(columns, rows, { columns: width, colors: false });

    expect(at(19)[2]).toBe("1234  a\\tb\\nc  2468");
    expect(at(18)[2]).toBe("1234 a\\tb\\nc 2468");
    // The last one is cut like any text.
    expect(at(16)[2]).toBe("1234 a\\tb\\nc 24…");
    expect(at(13)[2]).toBe("1234 a\\tb\\… …");
    expect(at(13)[1]).toBe("   7 漢字   …");
    for (let width = 1; width < 20; width++) {
      for (const line of at(width)) expect(widthOf(line)).toBeLessThanOrEqual(width);
    }
  });
});
