/** The connections of a worker. */
import { expect, test } from "vitest";
import { openWorkerDriver } from "../../mod.ts";
import { openTestQueue, until } from "../support/queue.ts";

test("an answer that came while the event loop was blocked is not late", async () => {
  const queue = await openTestQueue();
  const warnings: string[] = [];
  const ignore = (): void => {};
  await using driver = await openWorkerDriver(queue.dsn, {
    statementTimeout: 500,
    logger: {
      debug: ignore,
      info: ignore,
      warn: (line) => void warnings.push(line),
      error: ignore,
    },
  });
  const token = queue.names.schema;
  const answer = driver.query(`select '${token}' as token from pg_sleep(0.2)`, []);
  await until("it is sent", async () =>
    (await queue.sql`select 1 from pg_stat_activity
      where query like ${`select '${token}'%`} and state = 'active'`).length === 1);

  const end = performance.now() + 800;
  while (performance.now() < end);

  expect(await answer).toEqual([{ token }]);
  expect(warnings).toEqual([]);
  await queue.close();
});
