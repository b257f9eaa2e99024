import { describe, expect, test } from "vitest";
import { explainError, explainKnownError, hidePasswords } from "../../src/cli/explain_error.ts";
import { SchemaError } from "../../mod.ts";

/** An error as clients and runtimes make them. */
function anError(message: string, fields: object = {}): Error {
  return Object.assign(new Error(message), fields);
}

const refused = { code: "ECONNREFUSED", address: "127.0.0.1", port: 5432 };

describe("explainKnownError() gives one line with the fix for", () => {
  const cases: [title: string, error: unknown, ...words: string[]][] = [
    [
      "a refused connection",
      anError("connect ECONNREFUSED 127.0.0.1:5432", refused),
      "at 127.0.0.1:5432",
      "is PostgreSQL running there?",
    ],
    [
      "one of several addresses, in an AggregateError without a message",
      Object.assign(
        new AggregateError([anError("", { ...refused, address: "::1" }), anError("", refused)], ""),
        { code: "ECONNREFUSED" },
      ),
      "at [::1]:5432 as the connection is refused",
    ],
    [
      "a parameter that a pooler does not know",
      anError("unsupported startup parameter: search_path", { code: "08P01" }),
      "as the DSN has a parameter that is not known there (unsupported startup parameter: search_path)",
    ],
    ["a cause", new Error("no", { cause: anError("", refused) }), "127.0.0.1:5432"],
    [
      "a wrong password",
      anError('password authentication failed for user "app"', { code: "28P01" }),
      'user "app"',
      "check user and password",
    ],
    [
      "a refused user",
      anError('role "app" does not exist', { code: "28000" }),
      "pg_hba.conf",
    ],
    [
      "a missing database",
      anError('database "shop" does not exist', { code: "3D000" }),
      'database "shop" does not exist',
      "createdb",
    ],
    [
      "a missing host",
      anError("getaddrinfo ENOTFOUND db.invalid", { code: "ENOTFOUND", hostname: "db.invalid" }),
      'host "db.invalid"',
      "check the host",
    ],
    [
      "a name server without answer",
      anError("getaddrinfo EAI_AGAIN db", { code: "EAI_AGAIN" }),
      'host "db"',
    ],
    [
      "refused TLS",
      anError("Client network socket disconnected before secure TLS connection was established", {
        code: "ECONNRESET",
      }),
      "refuses TLS",
      "sslmode",
    ],
    [
      "an unknown certificate",
      anError("self-signed certificate", { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
      "NODE_EXTRA_CA_CERTS",
    ],
    [
      "a connect timeout",
      anError("write CONNECT_TIMEOUT db:5432", {
        code: "CONNECT_TIMEOUT",
        address: ["db"],
        port: [5432],
      }),
      "at db:5432",
      "firewall",
    ],
    ["no route", anError("", { code: "EHOSTUNREACH", address: "10.0.0.1", port: 1 }), "10.0.0.1:1"],
    [
      "a missing socket",
      anError("connect ENOENT /run/x/.s.PGSQL.5432", { code: "ENOENT" }),
      '"/run/x/.s.PGSQL.5432"',
    ],
    ["a full server", anError("too many clients", { code: "53300" }), "max_connections"],
    ["a lost connection", anError("write CONNECTION_CLOSED", { code: "CONNECTION_CLOSED" }), "log"],
    ["a starting server", anError("starting up", { code: "57P03" }), "try again"],
    ["an error of ours", new SchemaError("Cannot start as x: run y"), "Cannot start as x: run y"],
    ["no DSN", new TypeError("Cannot read the DSN as it must not be empty"), "must not be empty"],
  ];
  for (const [title, error, ...words] of cases) {
    test(title, () => {
      const line = explainKnownError(error);

      expect(line).toMatch(/^Cannot [^\n]+$/);
      for (const word of words) expect(line).toContain(word);
    });
  }
});

test("explainKnownError() leaves other errors alone", () => {
  expect(explainKnownError(new Error("a bug"))).toBe(undefined);
  expect(explainKnownError(anError("no such file", { code: "ENOENT" }))).toBe(undefined);
  expect(explainKnownError(anError("x", { code: "constructor" }))).toBe(undefined);
  expect(explainKnownError("text")).toBe(undefined);
});

test("explainError() says where the stack is, if it knows nothing better", () => {
  expect(explainError(new TypeError("x is\n not"))).toBe(
    "TypeError: x is not (PGQ_DEBUG=1 shows the stack)",
  );
  expect(explainError("text")).toContain("text");
});

test("hidePasswords() finds them in any text", () => {
  const text = 'to "postgresql://app:hunter2@db/x?password=hunter2&a=b" and redis://:hunter2@h';

  expect(hidePasswords(text)).toBe(
    'to "postgresql://app:***@db/x?password=***&a=b" and redis://:***@h',
  );
  expect(hidePasswords("postgresql://user:password@host")).toContain("user:password@");
});
