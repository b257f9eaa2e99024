import postgres from "postgres";
import { describe, expect, test } from "vitest";
import { hostOptions, normalizeDsn, redactDsn } from "../src/dsn.ts";

/** Stands for a password. No message may ever hold it. */
const SECRET = "s3ntinel";

type Accepted = [name: string, input: string, expected: string, dropped?: string[]];

const P = "postgresql://";

const addresses: Accepted[] = [
  ["postgresql", "postgresql://u:p@h:5432/db", `${P}u:p@h:5432/db`],
  ["postgres", "postgres://u:p@h/db", `${P}u:p@h/db`],
  ["an upper case scheme", "PostgreSQL://u:p@h/db", `${P}u:p@h/db`],
  ["asyncpg", "postgresql+asyncpg://u:p@h/db", `${P}u:p@h/db`],
  ["an upper case suffix", "POSTGRESQL+AsyncPG://u:p@h/db", `${P}u:p@h/db`],
  ["psycopg", "postgresql+psycopg://u:p@h/db", `${P}u:p@h/db`],
  ["psycopg2", "postgres+psycopg2://u:p@h/db", `${P}u:p@h/db`],
  ["psycopg_async", "postgresql+psycopg_async://u:p@h/db", `${P}u:p@h/db`],
  ["psycopg2cffi", "postgresql+psycopg2cffi://u:p@h/db", `${P}u:p@h/db`],
  ["pg8000", "postgresql+pg8000://u:p@h/db", `${P}u:p@h/db`],
  ["pygresql", "postgresql+pygresql://u:p@h/db", `${P}u:p@h/db`],
  ["aiopg", "postgresql+aiopg://u:p@h/db", `${P}u:p@h/db`],
  ["blanks around it", "  postgresql://u:p@h/db \n", `${P}u:p@h/db`],
  ["double quotes around it", '"postgresql://u:p@h/db"', `${P}u:p@h/db`],
  ["single quotes around it", " 'postgresql://u:p@h/db' ", `${P}u:p@h/db`],
  ["nothing but a scheme", P, P],
  ["no host", `${P}/db`, `${P}/db`],
  ["no database", `${P}u:p@h`, `${P}u:p@h`],
  ["no user", `${P}h:5433/db`, `${P}h:5433/db`],
  ["a user without a host", `${P}u:p@/db`, `${P}u:p@localhost/db`],
  ["a port without a host", `${P}:5433/db`, `${P}localhost:5433/db`],
  ["a host without its port", `${P}h:/db`, `${P}h/db`],
  ["a host with an underscore", `${P}my_db/db`, `${P}my_db/db`],
  ["a host that is not ASCII", `${P}b\u00fccher.example/db`, `${P}xn--bcher-kva.example/db`],
  ["an empty password", `${P}u:@h/db`, `${P}u@h/db`],
  ["a password without a user", `${P}:p@h/db`, `${P}:p@h/db`],
  ["an encoded password", `${P}u:%40%3A%2F%23%3F%25@h/db`, `${P}u:%40%3A%2F%23%3F%25@h/db`],
  ["a raw @ in a password", `${P}u:a@b@h/db`, `${P}u:a%40b@h/db`],
  ["a raw : in a password", `${P}u:a:b@h/db`, `${P}u:a%3Ab@h/db`],
  ["a raw % in a password", `${P}u:100%@h/db`, `${P}u:100%25@h/db`],
  ["a raw % before no escape", `${P}u:a%zzb@h/db`, `${P}u:a%25zzb@h/db`],
  ["a raw blank in a password", `${P}u:a b@h/db`, `${P}u:a%20b@h/db`],
  ["a password that is not ASCII", `${P}u:p\u00e4ss@h/db`, `${P}u:p%C3%A4ss@h/db`],
  ["an encoded user", `${P}u%40corp:p@h/db`, `${P}u%40corp:p@h/db`],
  ["an IPv4 address", `${P}127.0.0.1:5432/db`, `${P}127.0.0.1:5432/db`],
  ["an IPv6 address", `${P}u:p@[::1]:5432/db`, `${P}u:p@[::1]:5432/db`],
  ["an IPv6 address without a port", `${P}[fe80::1]/db`, `${P}[fe80::1]/db`],
  ["an IPv6 address in the query", `${P}/db?host=::1&port=5433`, `${P}[::1]:5433/db`],
  ["a socket as the host", `${P}u:p@%2Fvar%2Frun:5433/db`, `${P}u:p@%2Fvar%2Frun:5433/db`],
  ["a socket in the query", `${P}/db?host=/var/run`, `${P}%2Fvar%2Frun/db`],
  [
    "a socket with a colon instead of the host",
    `${P}u:p@localhost:5433/db?host=/cloudsql/a:b:c`,
    `${P}u:p@%2Fcloudsql%2Fa%3Ab%3Ac:5433/db`,
  ],
  ["several hosts", `${P}u:p@h1:5432,h2:5433/db`, `${P}u:p@h1:5432,h2:5433/db`],
  ["several hosts without a port", `${P}h1,h2/db`, `${P}h1,h2/db`],
  ["several hosts, one with a port", `${P}h1:5433,h2/db`, `${P}h1:5433,h2:5432/db`],
  ["several hosts in the query", `${P}/db?host=h1,h2&port=1,2`, `${P}h1:1,h2:2/db`],
  ["hosts as SQLAlchemy has them", `${P}/db?host=h1:1&host=h2:2`, `${P}h1:1,h2:2/db`],
  ["one port for several hosts", `${P}h1,h2/db?port=1`, `${P}h1:1,h2:1/db`],
  ["a port in the query", `${P}h:1/db?port=2`, `${P}h:2/db`],
  ["a port in the query without a host", `${P}/db?port=2`, `${P}localhost:2/db`],
  ["an address beside a host", `${P}h/db?hostaddr=10.0.0.1`, `${P}h/db`, ["hostaddr"]],
  ["an address instead of a host", `${P}/db?hostaddr=10.0.0.1`, `${P}10.0.0.1/db`],
  ["role and database in the query", `${P}h?user=u&password=p%40&dbname=d`, `${P}u:p%40@h/d`],
  ["a raw @ in a value", `${P}h:1/db?application_name=a@b`, `${P}h:1/db?application_name=a%40b`],
  ["a database with a blank", `${P}h/my%20db`, `${P}h/my%20db?database=my%20db`],
  ["a database with a slash", `${P}h/a/b`, `${P}h/a%2Fb?database=a%2Fb`],
  ["a needlessly encoded database", `${P}h/my%2Ddb`, `${P}h/my-db`],
];

const parameters: Accepted[] = [
  ["asyncpg's ssl=require", "ssl=require", "sslmode=require"],
  ["ssl=verify-full", "ssl=verify-full", "sslmode=verify-full"],
  ["ssl=true", "ssl=true", "sslmode=verify-full"],
  ["ssl=1", "ssl=1", "sslmode=verify-full"],
  ["ssl=False", "ssl=False", "sslmode=disable"],
  ["sslmode=disable", "sslmode=disable", "sslmode=disable"],
  ["sslmode=allow", "sslmode=allow", "sslmode=prefer"],
  ["sslmode=prefer", "sslmode=prefer", "sslmode=prefer"],
  ["sslmode=REQUIRE", "sslmode=REQUIRE", "sslmode=require"],
  ["sslmode=no-verify", "sslmode=no-verify", "sslmode=require"],
  ["sslmode=verify-ca", "sslmode=verify-ca", "sslmode=verify-ca"],
  ["ssl and sslmode", "ssl=disable&sslmode=require", "sslmode=require", ["ssl"]],
  ["sslmode below ssl", "ssl=true&sslmode=require", "sslmode=verify-full", ["sslmode"]],
  ["the root certificate of the system", "sslrootcert=system", "sslmode=verify-full"],
  [
    "a root certificate with verify-full",
    "sslmode=verify-full&sslrootcert=/ca.pem",
    "sslmode=verify-full",
    ["sslrootcert"],
  ],
  [
    "a root certificate with require, as libpq then verifies",
    "sslmode=require&sslrootcert=/ca.pem",
    "sslmode=verify-ca",
    ["sslrootcert"],
  ],
  [
    "a client certificate",
    "sslcert=/c.pem&sslkey=/k.pem&sslmode=require",
    "sslmode=require",
    ["sslcert", "sslkey"],
  ],
  [
    "Neon's URL",
    "sslmode=require&channel_binding=require",
    "sslmode=require",
    ["channel_binding"],
  ],
  ["sslnegotiation", "sslnegotiation=direct", "sslnegotiation=direct"],
  [
    "asyncpg's timeouts",
    "timeout=5&command_timeout=1.5",
    "connect_timeout=5&statement_timeout=1500",
  ],
  ["a timeout given twice", "timeout=5&connect_timeout=7", "connect_timeout=7", ["timeout"]],
  ["a negative timeout", "connect_timeout=-1", "connect_timeout=0"],
  ["no statement cache", "statement_cache_size=0", "prepare=false"],
  ["a statement cache", "statement_cache_size=100", "", ["statement_cache_size"]],
  [
    "SQLAlchemy's parameters",
    "prepared_statement_cache_size=0&async_fallback=true",
    "prepare=false",
    ["async_fallback"],
  ],
  [
    "server_settings",
    `server_settings=${encodeURIComponent('{"jit":"off","search_path":"a"}')}`,
    "jit=off&search_path=a",
  ],
  ["server_settings that are no JSON", "server_settings=jit", "", ["server_settings"]],
  [
    "server_settings that are no settings",
    `server_settings=${encodeURIComponent('{"sslmode":"disable"}')}`,
    "",
    ["server_settings"],
  ],
  ["Prisma's schema", "schema=public", "search_path=public"],
  ["Prisma's schema in mixed case", "schema=My-App", "search_path=%22My-App%22"],
  ["a schema beside a search_path", "schema=a&search_path=b", "search_path=b", ["schema"]],
  [
    "Prisma's pool",
    "connection_limit=5&pool_timeout=10&socket_timeout=3&connect_timeout=4",
    "connect_timeout=4",
    ["connection_limit", "pool_timeout", "socket_timeout"],
  ],
  ["Prisma behind PgBouncer", "pgbouncer=true", "prepare=false"],
  ["Prisma's strict certificates", "sslmode=require&sslaccept=strict", "sslmode=verify-full", [
    "sslmode",
  ]],
  ["Prisma's lax certificates", "sslaccept=accept_invalid_certs&sslidentity=/i.p12", "", [
    "sslaccept",
    "sslidentity",
  ]],
  ["libpq's options", "options=-c%20jit%3Doff", "options=-c%20jit%3Doff"],
  ["a + for a blank", "options=-c+jit%3Doff", "options=-c%20jit%3Doff"],
  ["target_session_attrs", "target_session_attrs=read-write", "target_session_attrs=read-write"],
  ["target_session_attrs=any", "target_session_attrs=any", "", ["target_session_attrs"]],
  ["libpq's keepalives", "keepalives=1&keepalives_idle=30&keepalives_count=3", "keep_alive=30", [
    "keepalives",
    "keepalives_count",
  ]],
  ["libpq's keepalives turned off", "keepalives=0", "keep_alive=0"],
  ["Kerberos", "gssencmode=prefer&krbsrvname=x", "", ["gssencmode", "krbsrvname"]],
  ["fallback_application_name", "fallback_application_name=a", "application_name=a"],
  ["client_encoding", "client_encoding=latin1", "", ["client_encoding"]],
  ["JDBC's words", "currentSchema=a,b&ApplicationName=x", "application_name=x&search_path=a%2Cb"],
  ["options of postgres.js", "idle_timeout=5&prepare=False", "idle_timeout=5&prepare=false"],
  ["options that postgres.js misreads", "max=20&fetch_types=false", "", ["max", "fetch_types"]],
  [
    "settings of the server",
    "statement_timeout=5s&TimeZone=Etc/UTC&app.tenant=7",
    "TimeZone=Etc%2FUTC&app.tenant=7&statement_timeout=5s",
  ],
  ["an unknown parameter", "no_such_thing=1", "no_such_thing=1"],
  ["what no setting is called", "x-migrations-table=m", "", ["x-migrations-table"]],
  ["a parameter without a value", "sslmode=&jit", "", ["sslmode", "jit"]],
  ["a parameter given twice", "jit=on&jit=off", "jit=off"],
];

const accepted: Accepted[] = [
  ...addresses,
  ...parameters.map(([name, input, expected, dropped]): Accepted => [
    name,
    `${P}h/db?${input}`,
    `${P}h/db${expected && `?${expected}`}`,
    ...(dropped === undefined ? [] : [dropped]) as [string[]?],
  ]),
  ["TLS on a socket", `${P}/db?host=/tmp&sslmode=require`, `${P}%2Ftmp/db`, ["sslmode"]],
];

const refused: [name: string, input: unknown, message: string][] = [
  ["undefined", undefined, "set DATABASE_URL"],
  ["null", null, "set DATABASE_URL"],
  ["an empty text", "", "set DATABASE_URL"],
  ["blanks", " \n ", "set DATABASE_URL"],
  ["empty quotes", '""', "set DATABASE_URL"],
  ["a number", 5432, "current type is number"],
  ["a URL object", new URL(`postgresql://u:${SECRET}@h/db`), "current type is object"],
  ["a quote at its start", `"postgresql://u:${SECRET}@h/db`, "remove the quotes"],
  ["MySQL", `mysql://u:${SECRET}@h/db`, 'it starts with "mysql://"'],
  ["a web address", `https://u:${SECRET}@h/db`, 'it starts with "https://"'],
  ["Prisma Accelerate", `prisma+postgres://h/?api_key=${SECRET}`, "use the direct URL"],
  ["Prisma Data Proxy", `prisma://h/?api_key=${SECRET}`, "use the direct URL"],
  ["JDBC", `jdbc:postgresql://u:${SECRET}@h/db`, 'remove "jdbc:"'],
  ["no slashes", `postgresql:u:${SECRET}@h/db`, 'write "//"'],
  ["one slash", `postgresql:/u:${SECRET}@h/db`, 'write "//"'],
  ["keywords and values", `host=h dbname=db password=${SECRET}`, "keyword/value string"],
  ["no scheme", `u:${SECRET}@h/db`, 'must start with "postgresql://"'],
  ["a password as its scheme", `${SECRET}:u@h/db`, 'must start with "postgresql://"'],
  ["garbage", `!!${SECRET}`, 'must start with "postgresql://"'],
  ["a raw # in a password", `${P}u:${SECRET}#x@h/db`, '"#" as "%23"'],
  ["a fragment", `${P}u:${SECRET}@h/db#x`, '"#" as "%23"'],
  ["a raw / in a password", `${P}u:${SECRET}/x@h/db`, '"/" as "%2F"'],
  ["a raw / after digits", `${P}u:12/${SECRET}@h/db`, '"/" as "%2F"'],
  ["a raw / after an @", `${P}u:a@${SECRET}/x@h/db`, '"/" as "%2F"'],
  ["a raw ? in a password", `${P}u:${SECRET}?x@h/db`, '"?" as "%3F"'],
  ["a raw ? after digits", `${P}u:12?${SECRET}=x@h/db`, '"?" as "%3F"'],
  ["a raw / and ? after digits", `${P}u:12/x?y=${SECRET}@h/db`, '"?" as "%3F"'],
  ["a raw / and no @", `${P}u:${SECRET}/h/db`, "the port must be an integer"],
  ["an escape that is not UTF-8", `${P}u:${SECRET}%FF@h/db`, "must be UTF-8"],
  ["half a surrogate pair", `${P}u:${SECRET}\ud800@h/db`, "must be UTF-8"],
  ["a port that is a word", `${P}u:${SECRET}@h:port/db`, "the port must be an integer"],
  ["a port above the last", `${P}u:${SECRET}@h:65536/db`, "the port must be an integer"],
  ["a port of 0", `${P}u:${SECRET}@h:0/db`, "the port must be an integer"],
  ["an address without brackets", `${P}u:${SECRET}@::1:5432/db`, "the port must be an integer"],
  ["a bad port in the query", `${P}u:${SECRET}@h/db?port=x`, "the port must be an integer"],
  ["too many ports", `${P}u:${SECRET}@h/db?port=1,2`, "each host must have one port"],
  ["a bad IPv6 address", `${P}u:${SECRET}@[::g]/db`, "each host must be a name"],
  ["an IPv6 zone", `${P}u:${SECRET}@[fe80::1%25eth0]/db`, "each host must be a name"],
  ["a host with a blank", `${P}u:${SECRET}@h h/db`, "each host must be a name"],
  ["a socket beside a host", `${P}u:${SECRET}@h,%2Ftmp/db`, "must be the only host"],
  ["a raw NUL", `${P}u:${SECRET}\0@h/db`, "control characters"],
  ["an encoded NUL", `${P}u:${SECRET}%00@h/db`, "control characters"],
  ["a line break", `${P}u:${SECRET}\n@h/db`, "control characters"],
  ["an unknown sslmode", `${P}u:p@h/db?sslmode=${SECRET}`, '"sslmode" must be one of'],
  ["an unknown ssl", `${P}u:p@h/db?ssl=${SECRET}`, '"ssl" must be one of'],
  ["a timeout that is no number", `${P}u:p@h/db?timeout=${SECRET}`, '"timeout" must be a number'],
  ["unknown attributes", `${P}h/db?target_session_attrs=${SECRET}`, "must be one of any, read"],
  ["a service", `${P}u:${SECRET}@h/db?service=${SECRET}`, "service files are not read"],
];

/** What `run` throws. */
function errorOf(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("Cannot find an error as none was thrown");
}

/** The options that postgres.js makes of a DSN, without connecting. */
function clientOptions(dsn: string) {
  const { host, port, path, database, user, pass, ssl, connection } = postgres(
    normalizeDsn(dsn),
    hostOptions(dsn),
  ).options;
  return { host, port, path, database, user, pass, ssl, connection };
}

describe("normalizeDsn()", () => {
  test.each(accepted)("reads %s", (_name, input, expected, expectedDropped = []) => {
    const dropped: [string, string][] = [];

    const dsn = normalizeDsn(input, { onDropped: (...drop) => dropped.push(drop) });

    expect(dsn).toBe(expected);
    expect(dropped.map(([parameter]) => parameter).sort()).toEqual([...expectedDropped].sort());
    expect(dropped.every(([, reason]) => /^\S.*[^.]$/.test(reason))).toBe(true);
  });

  test.each(accepted)("changes nothing the second time, given %s", (_name, input) => {
    const dropped: string[] = [];
    const once = normalizeDsn(input);

    const twice = normalizeDsn(once, { onDropped: (parameter) => dropped.push(parameter) });

    expect(twice).toBe(once);
    expect(dropped).toEqual([]);
  });

  test.each(accepted)("makes a URL that postgres.js accepts of %s", (_name, input) => {
    expect(() => clientOptions(input)).not.toThrow();
  });

  test.each(refused)("refuses %s without showing it", (_name, input, message) => {
    const error = errorOf(() => normalizeDsn(input as string));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^Cannot read the DSN as [^:]+.*: .+[^.]$/);
    expect(error.message).toContain(message);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain(SECRET);
  });

  test("reports no drop when it refuses the DSN", () => {
    const dropped: string[] = [];

    errorOf(() =>
      normalizeDsn(`${P}h/db?max=5&port=x`, { onDropped: (parameter) => dropped.push(parameter) })
    );

    expect(dropped).toEqual([]);
  });

  test("says no value of the DSN in a reason", () => {
    const said: string[] = [];
    const names = ["sslrootcert", "sslpassword", "schema", "passfile", "server_settings", "max"];
    const query = names.map((name) => `${name}=${SECRET}`).join("&");

    normalizeDsn(`${P}u:${SECRET}@h/db?search_path=x&${query}`, {
      onDropped: (...drop) => said.push(...drop),
    });

    expect(said.length).toBe(2 * names.length);
    expect(said.join()).not.toContain(SECRET);
  });
});

describe("postgres.js, given a normalized DSN and hostOptions()", () => {
  test("connects to the host, port, database and user of the DSN", () => {
    const options = clientOptions("postgresql+asyncpg://app:secret@db.example:5433/shop");

    expect(options).toMatchObject({
      host: ["db.example"],
      port: [5433],
      database: "shop",
      user: "app",
      pass: "secret",
    });
  });

  test("decodes user and password", () => {
    const options = clientOptions(`${P}a%40b:%40:%2F%23%3F%25,100%@h1,h2/db`);

    expect(options).toMatchObject({ host: ["h1", "h2"], user: "a@b", pass: "@:/#?%,100%" });
  });

  test("reads an IPv6 address", () => {
    const options = clientOptions(`${P}u:p@[::1]:5433/db`);

    expect(options).toMatchObject({ host: ["::1"], port: [5433], database: "db", pass: "p" });
  });

  test("reads an IPv6 address among several hosts", () => {
    const options = clientOptions(`${P}u:p@h1,[::1]:5433/db`);

    expect(options).toMatchObject({ host: ["h1", "::1"], port: [5432, 5433] });
  });

  test("reads a Unix socket", () => {
    const options = clientOptions(`${P}u:p@/db?host=/cloudsql/a:b:c&port=5433&sslmode=require`);

    expect(options).toMatchObject({
      path: "/cloudsql/a:b:c/.s.PGSQL.5433",
      database: "db",
      user: "u",
      pass: "p",
      ssl: false,
    });
  });

  test("gives each of several hosts its own port", () => {
    const options = clientOptions(`${P}h1:5433,h2,h3:5434/db`);

    expect(options).toMatchObject({ host: ["h1", "h2", "h3"], port: [5433, 5432, 5434] });
  });

  test("sends the decoded name of the database", () => {
    const { connection } = clientOptions(`${P}u:p@h/my%20db`);

    expect(connection).toMatchObject({ database: "my db" });
  });

  test("sends nothing but settings when it connects", () => {
    const query = "ssl=require&schema=App&connect_timeout=5&statement_cache_size=0&keepalives=1";

    const { connection, ssl } = clientOptions(`${P}u:p@h/db?${query}&application_name=worker`);

    expect(connection).toEqual({ application_name: "worker", search_path: '"App"' });
    expect(ssl).toBe("require");
  });
});

describe("redactDsn()", () => {
  test.each([
    ["a password", `${P}u:${SECRET}@h:1/db?a=b`, `${P}u:***@h:1/db?a=b`],
    ["a password with delimiters", `${P}u:${SECRET}@:${SECRET}@h/db`, `${P}u:***@h/db`],
    ["a password in the query", `${P}h?password=${SECRET}?&a=b`, `${P}h?password=***&a=b`],
    ["an encoded name", `${P}h?pass%77ord=${SECRET}`, `${P}h?pass%77ord=***`],
    ["the password of a key", `${P}h/?sslpassword=${SECRET}`, `${P}h/?sslpassword=***`],
    ["a driver suffix", `postgres+aiopg://u:${SECRET}@h`, "postgres+aiopg://u:***@h"],
    ["quotes", `"${P}u:${SECRET}@h"`, `${P}u:***@h`],
    ["no password", `${P}u@[::1]:5432/db`, `${P}u@[::1]:5432/db`],
    ["several hosts", `${P}u:${SECRET}@h1:1,h2:2/db`, `${P}u:***@h1:1,h2:2/db`],
    ["another scheme", `mysql://u:${SECRET}@h/db`, "mysql://***"],
    ["no scheme", `u:${SECRET}@h`, "***"],
    ["an empty text", "", "***"],
  ])("hides what must not be seen in %s", (_name, input, expected) => {
    expect(redactDsn(input)).toBe(expected);
  });

  test.each(refused)("shows no secret and does not throw, given %s", (_name, input) => {
    expect(redactDsn(input as string)).not.toContain(SECRET);
  });

  test.each(accepted)("keeps %s readable", (_name, input) => {
    const redacted = redactDsn(input);

    expect(redacted).toMatch(/^postgres(ql)?(\+\w+)?:\/\/(?!\*)/i);
    expect(redactDsn(redacted)).toBe(redacted);
  });
});
