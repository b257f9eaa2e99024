/** Arrays in the transactions of handlers: as a client has them that asks for the types by itself. */
import { afterAll, beforeAll, expect, test } from "vitest";
import postgres, { type Sql, type TransactionSql } from "postgres";
import { openWorkerDriver, type WorkerDriver } from "../../mod.ts";
import { testDsn } from "../support/queue.ts";

let driver: WorkerDriver;
let client: Sql;
beforeAll(async () => {
  driver = await openWorkerDriver(testDsn());
  client = postgres(testDsn(), { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await driver.close();
  await client.end();
});

type Ask = (sql: Sql | TransactionSql) => Promise<readonly { [column: string]: unknown }[]>;

async function inHandler(ask: Ask): Promise<unknown> {
  let answer: unknown;
  const end = await driver.transactions.run(async ({ handle }) => {
    answer = [...await ask(handle)];
    return false;
  }, () => {});
  expect(end).toEqual({ status: "rolled back" });
  return answer;
}

const CASES: readonly (readonly [what: string, ask: Ask])[] = [
  ["numbers", (sql) => sql`select ${[1, 2, 3]}::int[] as it`],
  ["none", (sql) => sql`select ${[]}::int[] as it`],
  [
    "text with all that has a meaning",
    (sql) => sql`select ${['a"b', "c\\d", "e,f", "{g}", "", "null", "NULL", " h "]}::text[] as it`,
  ],
  ["arrays in arrays", (sql) => sql`select ${[[1, 2], [3, 4]]}::int[] as it`],
  [
    "times",
    (sql) => sql`select ${sql.array([new Date(0), new Date(86_400_000)])}::timestamptz[] as it`,
  ],
  ["bytes", (sql) => sql`select ${sql.array([new Uint8Array([0, 255])])}::bytea[] as it`],
  ["booleans", (sql) => sql`select ${sql.array([true, false])}::bool[] as it`],
  ["boxes", (sql) => sql`select array['(1,1),(0,0)','(2,2),(1,1)']::box[] as it`],
  ["JSON", (sql) => sql`select array['{"a":[1,"}"]}','[]']::jsonb[] as it`],
  ["sql.array", (sql) => sql`select ${sql.array(["a", "b"])}::text[] as it`],
  ["sql.array with a type", (sql) => sql`select ${sql.array([1, 2], 23)} as it`],
  ["any", (sql) => sql`select n from generate_series(1, 5) as n where n = any(${[2, 4]})`],
  ["text that is an array already", (sql) => sql`select ${"{1,2}"}::int[] as it`],
];

test.each(CASES)("%s", async (_, ask) => {
  expect(await inHandler(ask)).toEqual([...await ask(client)]);
});

test("null stays null, which the client by itself makes text of", async () => {
  expect(await inHandler((sql) => sql`select ${["a", null]}::text[] as it`))
    .toEqual([{ it: ["a", null] }]);
});

test("bounds are left out", async () => {
  expect(await inHandler((sql) => sql`select '[0:1]={1,2}'::int[] as it`))
    .toEqual([{ it: [1, 2] }]);
});

test("undefined in an array is refused", async () => {
  const end = await driver.transactions.run(async ({ handle }) => {
    await handle`select ${[1, undefined] as number[]}::int[]`;
    return true;
  }, () => {});
  expect(String((end as { error?: unknown }).error)).toMatch(/undefined/i);
});
