/** What is wrong with the schema, the server and the tables. */
import {
  type Examined,
  type LogState,
  PENDING_LIMIT,
  type SchemaState,
  type ServerState,
  type SnapshotHolder,
  type TableState,
} from "../queries/doctor.ts";
import type { Status } from "../queries/overview.ts";
import { fixOf } from "../queries/schema_fixes.ts";
import type { Settings } from "../settings.ts";
import { literal, printedLine, qualified } from "../sql/printed.ts";
import { durationText, sizeText } from "./amounts.ts";
import { error, type Found, note, number, ok, type Thresholds, warning } from "./finding.ts";

/** Below this a table is too small for dead rows to matter. */
const FEW_DEAD_ROWS = 10_000;
/** Of the log each row is written twice, and `pgq autovac` lets a million dead ones gather. */
const FEW_DEAD_LOG_ROWS = 1_100_000;
const LARGE_LOG_BYTES = 10e9;
const MANY_PENDING = 100_000;
/** A clock that is off by less is as good as any other. */
const SKEW_MS = 2_000;

export function checkSchema(schema: SchemaState, settings: Settings): Found[] {
  // A trigger that is turned off is told below, with what that means.
  const missing = schema.missing.filter((part) => !part.endsWith(" turned on"));
  const found = missing.map((part) => {
    const invalid = part.startsWith("index ") &&
      schema.invalidIndexes.includes(part.slice("index ".length));
    const fix = fixOf(part, settings, { invalid });
    // An index that is missing costs speed and nothing else, unless it keeps something unique.
    const isFast = part.startsWith("index ") && !fix.includes("UNIQUE");
    const message = invalid
      ? `${part} is invalid: its build has failed`
      : part.split(" ").length > 2
      ? `this version needs ${part}`
      : `${part} is missing`;
    return isFast ? warning(message, fix) : error(message, fix);
  });
  if (schema.disabledTrigger) {
    found.push(
      error(
        `trigger ${settings.trigger} is turned off: workers find new jobs only when they poll`,
        printedLine("enable_trigger", settings),
      ),
    );
  }
  const notes = [
    ...schema.advised.map((part) =>
      note(
        part.endsWith(" dropped")
          ? `${part.replace(/ dropped$/, "")} costs each job more than it gives`
          : `${part} is not set`,
        part.endsWith(" dropped") ? fixOf(part, settings) : "pgq upgrade",
      )
    ),
    ...schema.parameters.map(({ name, value, wanted }) =>
      note(`parameter ${name} is ${value}, where pgq install sets ${wanted}`, null)
    ),
  ];
  if (found.length > 0) return [...found, ...notes];
  return [ok("everything that this version needs is there"), ...notes];
}

export function checkServer(
  { standby, readonly, autovacuum }: ServerState,
  settings: Settings,
): Found[] {
  const found: Found[] = [];
  if (standby) {
    found.push(error("this server is a standby: nothing can be enqueued or run", null));
  } else if (readonly) {
    found.push(
      error(
        "transactions are read-only",
        printedLine("allow_writes", settings, { role: "<role>" }),
      ),
    );
  }
  if (!autovacuum) {
    found.push(
      error(
        "autovacuum is off: the tables grow without end",
        printedLine("start_autovacuum", settings),
      ),
    );
  }
  return found.length > 0 ? found : [ok("takes writes, and autovacuum is on")];
}

export function checkClock({ skewMs, skewErrorMs }: ServerState): Found[] {
  const off = durationText(Math.abs(skewMs));
  if (Math.abs(skewMs) <= SKEW_MS + skewErrorMs) {
    return [ok(`as the database's, give or take ${durationText(SKEW_MS)}`)];
  }
  const word = skewMs > 0 ? "ahead of" : "behind";
  return [
    warning(
      `this machine's clock is ${off} ${word} the database's: jobs obey that one, log lines do not`,
      "synchronise both clocks (NTP)",
    ),
  ];
}

export function checkNotifications(
  { notifications, notifies, schema }: ServerState,
  settings: Settings,
): Found[] {
  const found: Found[] = [];
  if (!notifies) {
    found.push(
      error(
        "the trigger sends to another channel than the settings name: workers find new jobs only when they poll",
        `pgq sql upgrade --schema ${schema} | psql`,
      ),
    );
  }
  const percent = `${(notifications * 100).toFixed(notifications < 0.1 ? 1 : 0)} %`;
  if (notifications > 0.05) {
    const message =
      `the queue of notifications is ${percent} full: a session that listens has a transaction open`;
    const fix = printedLine("find_open_transactions", settings);
    found.push(notifications > 0.5 ? error(message, fix) : warning(message, fix));
  }
  return found.length > 0 ? found : [ok(`the server's queue of them is ${percent} full`)];
}

export function checkTables(tables: readonly TableState[], settings: Settings): Found[] {
  const found = tables.flatMap(({ name, live, dead, unvacuumed, unlogged }) => {
    const table = { table: qualified(name, settings) };
    const few = name === settings.queueTableLog ? FEW_DEAD_LOG_ROWS : FEW_DEAD_ROWS;
    return [
      ...(unvacuumed
        ? [error(
          `autovacuum is off for ${name}: it grows without end`,
          printedLine("allow_autovacuum", settings, table),
        )]
        : []),
      ...(dead > few && dead > 2 * live
        ? [warning(
          `${name} has ${number(dead)} dead rows beside ${number(live)} live ones`,
          printedLine("vacuum_table", settings, table),
        )]
        : []),
      ...(unlogged
        ? [note(`a crash of the server empties ${name}`, "pgq durability durable")]
        : []),
    ];
  });
  const dead = tables.reduce((sum, table) => sum + table.dead, 0);
  return found.some(({ level }) => level !== "note")
    ? found
    : [ok(`${number(dead)} dead rows in all tables`), ...found];
}

export function checkSnapshots(
  holders: readonly SnapshotHolder[],
  status: Examined<Status>,
  { snapshot }: Thresholds,
  settings: Settings,
): Found[] {
  const found = holders.filter(({ age }) => age === null || age > snapshot)
    .map(({ kind, name, age, about }) => {
      const since = age === null ? "" : ` for ${durationText(age * 1_000)}`;
      const fix = {
        session: printedLine("end_session", settings, { pid: name }),
        "prepared transaction": printedLine("end_prepared", settings, { gid: literal(name) }),
        "replication slot": printedLine("drop_slot", settings, { slot: literal(name) }),
      }[kind];
      return warning(
        `${kind} ${name} (${about}) holds a snapshot${since}: dead rows pile up meanwhile`,
        fix,
      );
    });
  if (found.length > 0) return found;
  if ("found" in status && status.found.listening === null) {
    return [{
      level: "unknown",
      message: "this role may not see the sessions of others",
      fix: printedLine("see_sessions", settings, { role: "<role>" }),
    }];
  }
  const oldest = holders[0]?.age ?? 0;
  return [ok(`the oldest is ${durationText(Math.max(0, oldest) * 1_000)} old`)];
}

export function checkLog(
  { oldest, pending }: LogState,
  tables: Examined<readonly TableState[]>,
  settings: Settings,
): Found[] {
  const size = "found" in tables
    ? tables.found.find(({ name }) => name === settings.queueTableLog)?.size ?? 0
    : 0;
  const found: Found[] = [];
  if (pending > MANY_PENDING) {
    const many = pending >= PENDING_LIMIT ? `more than ${number(PENDING_LIMIT)}` : number(pending);
    found.push(
      warning(
        `${many} rows are not counted in the statistics: no worker aggregates, and none of them can be deleted`,
        "pgq run",
      ),
    );
  }
  if (size > LARGE_LOG_BYTES) {
    found.push(
      warning(
        `${settings.queueTableLog} has ${sizeText(size)}`,
        "pgq run --retention <seconds>, which deletes older rows",
      ),
    );
  }
  const age = oldest === null ? "empty" : `goes back ${durationText(oldest * 1_000)}`;
  return found.length > 0 ? found : [ok(`${sizeText(size)}, ${age}`)];
}
