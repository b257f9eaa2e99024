/** What every command says where the database, the schema or a right is missing. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callPgq, TEST_DSN, TestQueue } from "./fixtures/pgq.ts";

const queue = new TestQueue();
const role = `nobody_${randomBytes(4).toString("hex")}`;
const unreachable = "postgresql://app:hunter2@127.0.0.1:1/shop";

beforeAll(async () => {
  await callPgq(["install"], { env: queue.env });
  await queue.sql.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
});
afterAll(async () => {
  await queue.sql.unsafe(`DROP ROLE ${role}`);
  await queue.drop();
});

/** Commands that read or write the tables of jobs. */
const COMMANDS: readonly (readonly string[])[] = [
  ["queue", "work"],
  ["ls"],
  ["ls", "--status", "exception"],
  ["failed"],
  ["show", "1"],
  ["requeue", "1"],
  ["cancel", "1"],
  ["status"],
  ["dashboard"],
  ["schedules"],
  ["schedules", "--remove", "1"],
  ["durability", "balanced"],
  ["autovac"],
];

describe.each(COMMANDS.map((args) => ({ title: args.join(" "), args })))(
  "pgq $title",
  ({ args }) => {
    test("says that the database cannot be reached", async () => {
      const { code, stdout, stderr } = await callPgq([...args, "--pg-dsn", unreachable]);

      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toBe(
        "Cannot reach PostgreSQL at 127.0.0.1:1 as the connection is refused: is PostgreSQL running there?\n",
      );
    });

    test("says that nothing is installed", async () => {
      const { code, stdout, stderr } = await callPgq([...args, "--prefix", "nosuch_"], {
        env: queue.env,
      });

      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/^Cannot .* does not exist: run "pgq install"\n$/);
    });

    test("says which right is missing", async () => {
      const dsn = new URL(TEST_DSN);
      [dsn.username, dsn.password] = [role, role];

      const { code, stdout, stderr } = await callPgq([...args, "--pg-dsn", dsn.href], {
        env: queue.env,
      });

      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain(`permission denied for schema ${queue.schema}`);
      expect(stderr).toContain(`run "GRANT USAGE ON SCHEMA ${queue.schema} TO <role>"`);
    });
  },
);
