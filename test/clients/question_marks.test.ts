/** Statements for clients that know no `$1`. */
import { describe, expect, test } from "vitest";
import { withQuestionMarks } from "../../src/clients/question_marks.ts";
import { statements } from "../../src/sql/generated.ts";

test("each parameter becomes a question mark with its value in that place", () => {
  const text = "SELECT $2::text, $1::int4, $2::text, $10 -- as $3 says\nFROM a ~ 'b?' -- ?";

  expect(withQuestionMarks(text, [1, "two", null, 4, 5, 6, 7, 8, 9, "ten"])).toEqual({
    text: "SELECT ?::text, ?::int4, ?::text, ? \nFROM a ~ 'b\\?' ",
    values: ["two", 1, "two", "ten"],
  });
});

describe("every statement of ours can be written so", () => {
  test.each(Object.entries(statements))("%s", (_, text) => {
    const code = text.replace(/--.*/g, "");
    const strings = code.match(/'(?:[^']|'')*'/g) ?? [];

    expect(strings.filter((string) => /\$\d|--/.test(string))).toEqual([]);
  });
});
