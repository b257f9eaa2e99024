/** The query of a DSN, sorted by who obeys it. */
export interface DsnParameters {
  /** Parameters that name the server, database or role: `host`, `port`, `user` and so on. */
  readonly target: ReadonlyMap<string, readonly string[]>;
  /** Parameters for postgres.js, and settings for the server. */
  readonly kept: Map<string, string>;
  /** Parameters that nothing here can obey, and why. */
  readonly dropped: [parameter: string, reason: string][];
}

/** Writes what `value` means to `kept`, or returns the reason why it means nothing here. */
type Rule = (value: string, kept: Map<string, string>, given: string) => string | undefined;

const TARGET = ["host", "hostaddr", "port", "user", "username", "password", "dbname", "database"];

/** Parameters that together decide how the connection is encrypted. */
const TLS = ["sslmode", "ssl", "requiressl", "ssl_require", "sslaccept", "sslrootcert"];

/** From weak to strict. postgres.js also checks the host name in `verify-ca`. */
const SSL_MODES = ["disable", "prefer", "require", "verify-ca", "verify-full"];

const TARGET_SESSION_ATTRS = ["read-write", "read-only", "primary", "standby", "prefer-standby"];

function isNo(value: string): boolean {
  return /^(0|false|no|off|f|n)$/i.test(value);
}

function isYes(value: string): boolean {
  return /^(1|true|yes|on|t|y)$/i.test(value);
}

function isNumber(value: string): boolean {
  return /^[+-]?\d{1,15}(\.\d{1,6})?$/.test(value);
}

function drop(reason: string): Rule {
  return () => reason;
}

/** Sets `name`, unless a parameter with a better claim has. */
function set(name: string, value: string, kept: Map<string, string>): string | undefined {
  if (kept.has(name)) return `another parameter sets "${name}"`;
  kept.set(name, value);
  return undefined;
}

/** Another tool's word for `name`. */
function rename(name: string, convert: (value: string) => string = (value) => value): Rule {
  return (value, kept) => set(name, convert(value), kept);
}

/** A number for postgres.js, which turns what is not a number into "no limit" without a word. */
function numeric(name: string): Rule {
  return (value, kept, given) => {
    if (!isNumber(value)) {
      throw new TypeError(
        `Cannot read the DSN as "${given}" must be a number: change or remove it`,
      );
    }
    // libpq takes a negative number for "no limit", which is 0 for postgres.js.
    return set(name, String(Math.max(0, Number(value))), kept);
  };
}

/** Where another tool turns prepared statements off, mostly for PgBouncer. */
function unprepared(isOff: (value: string) => boolean): Rule {
  return (value, kept) => {
    if (!isOff(value)) return "statements are prepared by default, and the client sizes its cache";
    return set("prepare", "false", kept);
  };
}

/** Quotes a schema name where a `search_path` needs it. */
function quoteSchema(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

const noCertificates = drop(
  'certificates and keys are not read from files: pass them in the "ssl" option of the client',
);
const ROOT_CERTIFICATE = "root certificates are not read from files: name the file in " +
  'NODE_EXTRA_CA_CERTS (DENO_CERT in Deno), or pass it in the "ssl" option of the client';
const noPool = drop("the size and age of a pool are options of the client");
const noTcp = drop("the runtime does not offer this TCP option");
const noKerberos = drop("the client has neither GSSAPI nor Kerberos");
const otherTool = drop("it is a hint for another tool");

const RULES: Readonly<Record<string, Rule>> = {
  // postgres.js
  connect_timeout: numeric("connect_timeout"),
  idle_timeout: numeric("idle_timeout"),
  max_lifetime: numeric("max_lifetime"),
  max_pipeline: numeric("max_pipeline"),
  backoff: numeric("backoff"),
  keep_alive: numeric("keep_alive"),
  prepare: rename("prepare", (value) => String(!isNo(value))),
  fetch_types: drop("without the array types, a query with an array fails"),
  // From a URL it arrives as text, for which postgres.js opens one connection, whatever the number.
  max: noPool,

  // libpq
  target_session_attrs(value, kept) {
    if (value === "any") return "it is the default";
    if (TARGET_SESSION_ATTRS.includes(value)) return set("target_session_attrs", value, kept);
    throw new TypeError(
      `Cannot read the DSN as "target_session_attrs" must be one of ${
        ["any", ...TARGET_SESSION_ATTRS].join(", ")
      }: change or remove it`,
    );
  },
  keepalives(value, kept) {
    return isNo(value) ? set("keep_alive", "0", kept) : "it is the default";
  },
  keepalives_idle: numeric("keep_alive"),
  keepalives_interval: noTcp,
  keepalives_count: noTcp,
  fallback_application_name: rename("application_name"),
  client_encoding: drop("the client speaks UTF-8 only"),
  channel_binding: drop(
    'the client has no channel binding: "sslmode=verify-full" also keeps an impostor out',
  ),
  load_balance_hosts: drop("hosts are tried in their order"),
  replication: drop("a replication connection cannot run a job queue"),
  requirepeer: drop("the client does not check who owns the socket"),
  require_auth: drop("the server chooses how to authenticate"),
  passfile: drop("password files are not read: put the password into the DSN or PGPASSWORD"),
  gssencmode: noKerberos,
  gssdelegation: noKerberos,
  gsslib: noKerberos,
  krbsrvname: noKerberos,
  sslcert: noCertificates,
  sslkey: noCertificates,
  sslpassword: noCertificates,
  sslcertmode: noCertificates,
  sslcrl: noCertificates,
  sslcrldir: noCertificates,
  sslcompression: drop("the runtime does not compress TLS"),
  sslsni: drop("the host name is always sent"),
  // Settings of the same names exist on the server, but a client may not set them.
  ssl_min_protocol_version: drop('TLS versions are set in the "ssl" option of the client'),
  ssl_max_protocol_version: drop('TLS versions are set in the "ssl" option of the client'),
  min_protocol_version: drop("the client speaks protocol 3.0"),
  max_protocol_version: drop("the client speaks protocol 3.0"),
  service() {
    // Without the file, the connection would go to some other database.
    throw new TypeError(
      "Cannot read the DSN as service files are not read: write host, user and database into the DSN",
    );
  },

  // asyncpg and SQLAlchemy
  timeout: numeric("connect_timeout"),
  command_timeout(value, kept) {
    if (!isNumber(value)) return "it is not a number of seconds";
    return set("statement_timeout", String(Math.round(Number(value) * 1000)), kept);
  },
  server_settings(value, kept) {
    const settings = Object.entries(parseObject(value));
    if (settings.length === 0 || !settings.every(isSetting)) {
      return "it is not a JSON object of server settings";
    }
    for (const [name, setting] of settings) set(name, String(setting), kept);
    return undefined;
  },
  direct_tls(value, kept) {
    return isYes(value) ? set("sslnegotiation", "direct", kept) : "it is the default";
  },
  statement_cache_size: unprepared((value) => value === "0"),
  prepared_statement_cache_size: unprepared((value) => value === "0"),
  prepare_threshold: unprepared((value) => /^(none|null)$/i.test(value)),
  max_cached_statement_lifetime: otherTool,
  async_fallback: otherTool,

  // Prisma
  schema: rename("search_path", quoteSchema),
  pgbouncer: unprepared(isYes),
  connection_limit: noPool,
  pool_timeout: noPool,
  max_connection_lifetime: noPool,
  max_idle_connection_lifetime: noPool,
  single_use_connections: noPool,
  socket_timeout: drop('the server limits a query with "statement_timeout"'),
  sslidentity: noCertificates,

  // JDBC, Rails, pgx, node-postgres, Supabase
  currentSchema: rename("search_path"),
  schema_search_path: rename("search_path"),
  ApplicationName: rename("application_name"),
  connectTimeout: numeric("connect_timeout"),
  prepareThreshold: unprepared((value) => value === "0"),
  prepared_statements: unprepared(isNo),
  pool: noPool,
  pool_max_conns: noPool,
  pool_min_conns: noPool,
  pool_max_conn_lifetime: noPool,
  pool_max_conn_idle_time: noPool,
  encoding: drop("the client speaks UTF-8 only"),
  uselibpqcompat: otherTool,
  supa: otherTool,
  workaround: otherTool,
};

/**
 * Says of each parameter of a DSN what it means to postgres.js and the server.
 *
 * A name without a rule is kept: it may be a setting of the server, such as `statement_timeout`.
 * postgres.js sends those when it connects, and the server refuses a name it does not know.
 *
 * @throws {TypeError} If a known parameter has a value that cannot be obeyed.
 */
export function readParameters(query: URLSearchParams): DsnParameters {
  const target = new Map<string, string[]>();
  const tls = new Map<string, string>();
  const ruled = new Map<string, string>();
  const kept = new Map<string, string>();
  const dropped: [string, string][] = [];

  for (const [name, value] of query) {
    if (value === "") dropped.push([name, "it has no value"]);
    else if (TARGET.includes(name)) target.set(name, [...(target.get(name) ?? []), value]);
    else if (TLS.includes(name)) tls.set(name, value);
    else if (Object.hasOwn(RULES, name)) ruled.set(name, value);
    else if (isSetting([name, value])) kept.set(name, value);
    else dropped.push([name, "no setting of the server can have such a name"]);
  }

  // In the order of the rules, so that the proper name wins whatever the order in the URL.
  for (const [name, rule] of Object.entries(RULES)) {
    const value = ruled.get(name);
    if (value === undefined) continue;
    const reason = rule(value, kept, name);
    if (reason !== undefined) dropped.push([name, reason]);
  }

  const { mode, ignored } = readTls(tls);
  if (mode !== undefined) kept.set("sslmode", mode);
  return { target, kept, dropped: [...dropped, ...ignored] };
}

/** Whether it may be a setting of the server: of the right form, and of no other meaning here. */
function isSetting([name, value]: readonly [name: string, value: unknown]): boolean {
  return /^[a-z_][\w$]*(\.[a-z_][\w$]*)*$/i.test(name) &&
    ![...TARGET, ...TLS].includes(name) && !Object.hasOwn(RULES, name) &&
    /^[^\0]+$/.test(String(value));
}

/** The strictest mode that any of the parameters asks for: a translation must not weaken one. */
function readTls(
  given: ReadonlyMap<string, string>,
): { mode: string | undefined; ignored: [string, string][] } {
  const ignored: [string, string][] = [];
  const modes = [...given].map(([name, value]) => [name, sslMode(name, value)] as const);
  const rank = Math.max(-1, ...modes.map(([, mode]) => SSL_MODES.indexOf(mode ?? "")));

  for (const [name, mode] of modes) {
    if (name === "sslrootcert" && mode === undefined) ignored.push([name, ROOT_CERTIFICATE]);
    else if (mode === undefined) ignored.push([name, "it is the default"]);
    else if (SSL_MODES.indexOf(mode) < rank) {
      ignored.push([name, "another parameter asks for more"]);
    }
  }
  // libpq, too, checks the certificate under "require" once it is given a root certificate.
  const mode = given.has("sslrootcert") && SSL_MODES[rank] === "require"
    ? "verify-ca"
    : SSL_MODES[rank];
  return { mode, ignored };
}

/** The `sslmode` that one parameter asks for, if it asks for one. */
function sslMode(name: string, value: string): string | undefined {
  if (name === "sslrootcert") return value === "system" ? "verify-full" : undefined;
  if (name === "sslaccept") return value === "strict" ? "verify-full" : undefined;
  if (name === "requiressl" || name === "ssl_require") return isYes(value) ? "require" : undefined;

  const mode = value.toLowerCase();
  if (SSL_MODES.includes(mode)) return mode;
  if (isNo(mode)) return "disable";
  // What `true` means to asyncpg, node-postgres, JDBC and postgres.js.
  if (isYes(mode)) return "verify-full";
  // node-postgres: encrypt and trust anyone, which is what "require" does.
  if (mode === "no-verify") return "require";
  // postgres.js takes "allow" for "require", which fails on a server without TLS.
  if (mode === "allow") return "prefer";
  throw new TypeError(
    `Cannot read the DSN as "${name}" must be one of ${SSL_MODES.join(", ")}: change or remove it`,
  );
}

/** The object that `json` holds; an empty one if it does not hold any. */
function parseObject(json: string): object {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
