/** The server's error, found in what each client makes of it. The conformance suite has the clients themselves. */
import { expect, test } from "vitest";
import { serverErrorOf } from "../../src/clients/server_error.ts";

const pg = { code: "23505", message: "duplicate", constraint: "the_key" };
const found = { code: "23505", message: "duplicate", constraint: "the_key" };

test.each([
  ["postgres.js", { code: "23505", message: "duplicate", constraint_name: "the_key" }],
  ["pg", pg],
  ["Bun.sql", {
    code: "ERR_POSTGRES_SERVER_ERROR",
    errno: "23505",
    message: "duplicate",
    constraint: "the_key",
  }],
  ["Drizzle", { message: "Failed query: …", cause: pg }],
  ["TypeORM", { message: "duplicate", driverError: pg }],
  ["Sequelize", { name: "SequelizeUniqueConstraintError", parent: pg, original: pg }],
  ["Prisma", {
    clientVersion: "7.0.0",
    code: "P2010",
    message: "Invalid `prisma.$queryRawUnsafe()` invocation",
    meta: {
      driverAdapterError: {
        name: "DriverAdapterError",
        cause: {
          originalCode: "23505",
          originalMessage: "duplicate",
          constraint: { index: "the_key" },
        },
      },
    },
  }],
])("an error of %s", (_, error) => {
  expect(serverErrorOf(error)).toEqual(found);
});

test("an error of Prisma's own engine, which does not name the constraint", () => {
  const error = {
    clientVersion: "6.0.0",
    code: "P2010",
    message: "Raw query failed",
    meta: { code: "23505", message: "Key (dedupe_key)=(a) already exists." },
  };

  expect(serverErrorOf(error)).toEqual({
    code: "23505",
    message: "Key (dedupe_key)=(a) already exists.",
    constraint: undefined,
  });
});

test.each([
  ["nothing", undefined],
  ["a text", "23505"],
  ["an error of the system", { code: "EPIPE", message: "write EPIPE" }],
  ["another error of Prisma", { clientVersion: "7.0.0", code: "P2028", meta: {} }],
  ["an error that is its own cause", circular()],
])("%s is no error of the server", (_, error) => {
  expect(serverErrorOf(error)).toBe(undefined);
});

function circular(): object {
  const error: { cause?: unknown } = {};
  error.cause = error;
  return error;
}
