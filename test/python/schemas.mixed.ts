/** What releases of Python really install, for the commands that look at tables before they are upgraded. */
import { randomBytes } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import { SchemaStore } from "../../src/queries/schema.ts";
import { callPgq, type Finished } from "../cli/fixtures/pgq.ts";
import { olderSchemas } from "../support/older_schemas.ts";
import { testDsn, until } from "../support/queue.ts";
import { runPythonPgq } from "./commands.ts";
import { environmentOf, type Release, startPeer } from "./peer.ts";

let sql: Sql;
const made: string[] = [];
beforeAll(() => {
  sql = postgres(testDsn(), { max: 4, onnotice: () => {} });
});
afterAll(async () => {
  for (const name of made) await sql`drop schema if exists ${sql(name)} cascade`;
  await sql.end();
});

/** A schema that a release of Python has installed into. */
async function installed(release: Release): Promise<string> {
  const name = aSchema();
  await sql`create schema ${sql(name)}`;
  const queue = { dsn: testDsn(), names: { schema: name, prefix: "" } };
  expect(await runPythonPgq(["install"], queue, release)).toMatchObject({ code: 0 });
  return name;
}

function aSchema(): string {
  const name = `python_${randomBytes(4).toString("hex")}`;
  made.push(name);
  return name;
}

/** Ours, on a schema. */
function pgq(schema: string, args: readonly string[], dsn: string = testDsn()): Promise<Finished> {
  return callPgq(args, { env: environmentOf({ dsn, names: { schema, prefix: "" } }) });
}

describe.each<[Release, string]>([["1.3", "Python 1.3"], ["newest", "Python 1.6"]])(
  "what Python installs (%s)",
  (release, described) => {
    test("is what the tests of upgrades take for it: verify and --plan say the same of both", async () => {
      const real = await installed(release);
      const written = aSchema();
      const [, script] = olderSchemas.find(([name]) => name === described)!;
      await sql.unsafe(
        `create schema ${written}; set search_path = ${written}; ${script}; reset search_path`,
      );

      const [differences, assumed] = await Promise.all(
        [real, written].map((schema) =>
          new SchemaStore(fromPostgresJs(sql), resolveSettings({ schema }, {})).differences()
        ),
      );
      const plans = await Promise.all(
        [real, written].map((schema) => pgq(schema, ["upgrade", "--plan", "--json"])),
      );
      const verified = await pgq(real, ["verify"]);

      expect(differences!.length).toBeGreaterThan(10);
      expect(differences).toEqual(assumed);
      expect(plans[0]).toMatchObject({ code: 0, stderr: "" });
      expect(plans[0]!.stdout.replaceAll(real, "")).toBe(plans[1]!.stdout.replaceAll(written, ""));
      expect(verified.code).toBe(1);
      for (const { part, weight } of differences!) {
        if (weight !== "advised") expect(verified.stdout).toContain(part);
      }
    });

    test("is upgraded by a role of `pgq grants`, and others of it do for Python's producer and worker", async () => {
      const schema = await installed(release);
      const roleOf = (task: string): string => `${schema}_${task}`;
      const dsnOf = (task: string): string => {
        const url = new URL(testDsn());
        [url.username, url.password] = [roleOf(task), "secret"];
        return url.href;
      };
      const grant = async (task: string): Promise<void> => {
        const { stdout } = await pgq(schema, ["grants", task, "--role", roleOf(task)]);
        await sql.unsafe(stdout);
        await sql.unsafe(`alter role ${roleOf(task)} login password 'secret'`);
      };
      await grant("migrate");

      const plan = await pgq(schema, ["upgrade", "--plan", "--json"], dsnOf("migrate"));
      const upgraded = await pgq(schema, ["upgrade"], dsnOf("migrate"));
      const verified = await pgq(schema, ["verify"], dsnOf("migrate"));
      for (const task of ["produce", "work", "read"]) await grant(task);
      const names = { schema, prefix: "" };
      const [producer, worker] = await Promise.all(
        ["produce", "work"].map((task) =>
          startPeer("Python", { dsn: dsnOf(task), names } as never, release)
        ),
      );
      await worker!.ask("work", {
        entrypoints: { job: { does: "end" }, held: { does: "fail", onFailure: "hold" } },
      });
      await producer!.ask("enqueue", { jobs: [{ entrypoint: "job" }, { entrypoint: "held" }] });
      await worker!.heard("end");
      await until("one is held", async () => {
        const { stdout } = await pgq(schema, ["failed", "--json"], dsnOf("read"));
        return JSON.parse(stdout).length === 1;
      });
      const refused = producer!.ask("failed", {});
      await expect(refused).rejects.toThrow("permission denied");
      for (const peer of [producer!, worker!]) peer.kill("SIGTERM");
      const codes = await Promise.all([producer!.exited, worker!.exited]);

      expect(JSON.parse(plan.stdout).steps.length).toBeGreaterThan(10);
      expect(upgraded).toMatchObject({ code: 0, stderr: "" });
      expect(verified).toMatchObject({ code: 0 });
      expect(codes).toEqual([0, 0]);
      for (const task of ["migrate", "produce", "work", "read"]) {
        await sql.unsafe(`drop owned by ${roleOf(task)} cascade; drop role ${roleOf(task)}`);
      }
    });
  },
);
