/** Payloads come back byte for byte, however claims give them: as text where they are, or in base64. */
import { randomBytes, randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import postgres from "postgres";
import { fromPostgresJs, resolveSettings } from "../../mod.ts";
import type { ClaimedJob } from "../../src/queries/job_row.ts";
import type { Parameter } from "../../src/driver.ts";
import type { Gate } from "../../src/queries/gate.ts";
import { QueueStore } from "../../src/queries/queue.ts";
import { Statements } from "../../src/sql/render.ts";
import { bytes, openTestQueue, testDsn, type TestQueue, text } from "../support/queue.ts";

/** What is shorter is given in base64. */
const LONG = 4_000;

const me = randomUUID();
let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
afterAll(() => queue.close());

/** The store of a queue on a client. */
function storeOf({ names }: TestQueue, sql: postgres.Sql): QueueStore {
  return new QueueStore(fromPostgresJs(sql), new Statements(resolveSettings(names)));
}

const gate: Gate = {
  entrypoint: "work",
  concurrencyLimit: 0,
  requestsPerSecond: Infinity,
  serializedDispatch: false,
  leaseMs: 1,
  maxTakeOvers: 1_000,
};

type ClaimAll = (store: QueueStore, of: TestQueue) => Promise<readonly ClaimedJob[]>;

const dequeue: ClaimAll = (store) => store.dequeue(100, ["work"], me);

/** Every way to claim all that a queue has. */
const claims: [string, ClaimAll][] = [
  ["dequeue", dequeue],
  [
    "claim_limited",
    (store) => store.claimLimited(100, 100, [{ ...gate, concurrencyLimit: 100 }], me),
  ],
  ["take_over", async (store, { sql, table }) => {
    await sql`
      update ${sql(table)}
      set status = 'picked', heartbeat = now() - interval '1 hour', queue_manager_id = ${randomUUID()}`;
    return (await store.takeOver(100, [gate], me, [])).claimed;
  }],
];

/** What a claim gives of these. */
async function claimed(
  payloads: readonly (Uint8Array | null)[],
  claim: ClaimAll,
  of: TestQueue = queue,
  client: postgres.Sql = of.sql,
): Promise<(Uint8Array | null)[]> {
  await of.queries.enqueue(payloads.map(() => "work"), payloads);
  const jobs = await claim(storeOf(of, client), of);
  await of.clear();
  return jobs.toSorted((one, other) => one.id - other.id).map(({ payload }) => payload);
}

/** Long enough to be tried as text. */
function long(begin: Uint8Array): Uint8Array {
  const filled = new Uint8Array(LONG + 10).fill(32);
  filled.set(begin);
  return filled;
}

/** All sorts of payloads: of these most look like text, some are not. */
const sorts: Readonly<Record<string, Uint8Array | null>> = {
  none: null,
  empty: new Uint8Array(),
  "short JSON": bytes('{"n":1}'),
  "a byte less than long": bytes(JSON.stringify("x".repeat(LONG - 3))),
  "just long": bytes(JSON.stringify("x".repeat(LONG - 2))),
  "an object": bytes(JSON.stringify({ text: 'x\n\\"*'.repeat(LONG) })),
  "an array": bytes(JSON.stringify(Array.from({ length: LONG }, (_, n) => n))),
  "all that UTF-8 has": bytes(
    `["\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufeff\ufffe\uffff${"😀\u{10ffff}".repeat(LONG)}"]`,
  ),
  "line ends and controls": bytes(`["\r\n\t\u0001\u0085\u2028${" ".repeat(LONG)}"]`),
  "a byte order mark": long(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b)),
  "a null byte": long(Uint8Array.of(0x7b, 0)),
  "a broken letter": long(Uint8Array.of(0x7b, 0xc3)),
  "a letter in too many bytes": long(Uint8Array.of(0x5b, 0xc0, 0xaf)),
  "half a surrogate pair": long(Uint8Array.of(0x22, 0xed, 0xa0, 0x80)),
  "beyond UTF-8": long(Uint8Array.of(0x22, 0xf4, 0x90, 0x80, 0x80)),
  "a broken end": bytes(`["${"x".repeat(LONG)}`).fill(0xe2, -1),
  "other text": bytes("true, that is ".repeat(LONG)),
  "no text": new Uint8Array(randomBytes(5 * LONG)),
  "a megabyte": bytes(JSON.stringify({ text: "x".repeat(1_000_000) })),
  "a megabyte that is no text": new Uint8Array(randomBytes(1_000_000)),
};

/** Payloads as one can compare and read them. */
function hex(payloads: readonly (Uint8Array | null)[]): (string | null)[] {
  return payloads.map((payload) => payload && Buffer.from(payload).toString("hex"));
}

test.each(claims)("%s gives every payload byte for byte", async (_, claim) => {
  const given = await claimed(Object.values(sorts), claim);

  const differ = Object.keys(sorts).filter((name, index) =>
    hex([given[index]!])[0] !== hex([sorts[name]!])[0]
  );
  expect(differ).toEqual([]);
  expect(given).toHaveLength(Object.keys(sorts).length);
  expect(given.every((payload) => payload === null || payload.constructor === Uint8Array)).toBe(
    true,
  );
});

test("whatever begins like JSON comes back byte for byte", async () => {
  const begin = fc.constantFrom(...'{["').map((letter) => letter.charCodeAt(0));
  const rest = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.string({ unit: "binary", maxLength: 20 }).map(bytes),
  );
  const payload = fc.tuple(begin, rest).map(([begin, rest]) => long(Uint8Array.of(begin, ...rest)));

  await fc.assert(
    fc.asyncProperty(fc.array(payload, { minLength: 1, maxLength: 20 }), async (sent) => {
      expect(hex(await claimed(sent, dequeue))).toEqual(hex(sent));
    }),
    { numRuns: 30 },
  );
});

test("JSON is sent as it is, if it is long, and nothing else is", async () => {
  const payloads = ["short JSON", "just long", "an object", "no text", "other text"];
  await queue.queries.enqueue(payloads.map(() => "work"), payloads.map((name) => sorts[name]!));
  const sent: unknown[] = [];
  const { query, ...driver } = fromPostgresJs(queue.sql);
  const store = new QueueStore({
    ...driver,
    async query<Row>(text: string, values: readonly Parameter[]): Promise<Row[]> {
      const rows = await query<Row>(text, values);
      sent.push(...rows.map((row) => (row as { payload: string }).payload));
      return rows;
    },
  }, new Statements(resolveSettings(queue.names)));

  await dequeue(store, queue);

  await queue.clear();
  const asTheyAre = payloads.filter((name, at) => sent[at] === text(sorts[name]!));
  expect(asTheyAre).toEqual(["just long", "an object"]);
});

/** Letters that Latin-1 has, that EUC-JP has, and that neither has. */
const letters = ["é", "日本", "😀"].map((letter) => bytes(JSON.stringify(letter.repeat(LONG))));

test("a client of another encoding gets every payload byte for byte", async () => {
  const client = postgres(testDsn(), { max: 1, connection: { client_encoding: "LATIN1" } });

  const given = await claimed(letters, dequeue, queue, client);

  await client.end();
  expect(hex(given)).toEqual(hex(letters));
});

test.each(["LATIN1", "EUC_JP", "SQL_ASCII"])(
  "a database in %s gives every payload byte for byte",
  async (encoding) => {
    const name = `payload_${randomBytes(4).toString("hex")}`;
    const [server] = await queue.sql`select current_setting('server_version_num')::int as version`;
    const provider = server!["version"] < 150_000 ? "" : "locale_provider libc";
    await queue.sql.unsafe(`
      create database ${name} encoding '${encoding}' lc_collate 'C' lc_ctype 'C' ${provider}
      template template0`);
    const url = new URL(testDsn());
    url.pathname = `/${name}`;
    const other = await openTestQueue(url.href);

    const given = await claimed(letters, dequeue, other);

    await other.close();
    await queue.sql.unsafe(`drop database ${name}`);
    expect(hex(given)).toEqual(hex(letters));
  },
);
