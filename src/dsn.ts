import { type DsnParameters, readParameters } from "./dsn_parameters.ts";

/** Options for {@linkcode normalizeDsn}. */
export interface NormalizeDsnOptions {
  /**
   * Called for each parameter that is left out, with the reason. Neither holds a value of the
   * DSN, so both may be logged.
   */
  onDropped?: (parameter: string, reason: string) => void;
}

interface Host {
  /** A name, an address without brackets, or the folder of a Unix socket. Empty for the default. */
  readonly name: string;
  /** Empty for the default. */
  readonly port: string;
}

/** A DSN taken apart and decoded. */
interface DsnParts {
  readonly user: string;
  readonly password: string;
  readonly hosts: readonly Host[];
  readonly database: string;
  readonly query: URLSearchParams;
}

const FORM = '"postgresql://user:password@host:5432/database"';
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const DELIMITERS =
  'percent-encode "@" as "%40", "/" as "%2F", "?" as "%3F" and "#" as "%23" in user, password and database';

/**
 * Turns the DSN of another tool into one that postgres.js and the server understand.
 *
 * Takes `postgresql://`, `postgres://` and every driver suffix of SQLAlchemy, such as
 * `postgresql+asyncpg://`. Query parameters of libpq, asyncpg, SQLAlchemy, Prisma, JDBC and others
 * are translated, or left out and reported. A parameter that is not known is kept, as it may be a
 * setting of the server. What asks for encryption is never weakened. A second call changes nothing.
 *
 * postgres.js cannot read a Unix socket or an IPv6 address from a URL: pass it
 * {@linkcode hostOptions} too.
 *
 * @example Share one environment variable with SQLAlchemy
 * ```ts
 * import { normalizeDsn } from "pgqueuer";
 * import assert from "node:assert/strict";
 *
 * const dropped: string[] = [];
 * const dsn = normalizeDsn("postgresql+asyncpg://app:secret@db/shop?ssl=require&pool_timeout=5", {
 *   onDropped: (parameter) => dropped.push(parameter),
 * });
 *
 * assert.equal(dsn, "postgresql://app:secret@db/shop?sslmode=require");
 * assert.deepEqual(dropped, ["pool_timeout"]);
 * ```
 *
 * @param dsn The DSN, mostly from `DATABASE_URL`. Blanks and quotes around it are removed.
 * @param options Who is told of parameters that are left out.
 * @returns A `postgresql://` URL, with its parameters sorted by name.
 * @throws {TypeError} If it is not a URL of PostgreSQL, or a part of it cannot be read. The message
 * never holds user, password or host.
 */
export function normalizeDsn(dsn: string, options: NormalizeDsnOptions = {}): string {
  const { user, password, hosts, database, query } = parseDsn(dsn);
  const { target, kept, dropped } = readParameters(query);
  const given = (name: string) => target.get(name)?.at(-1);

  const merged = mergeHosts(hosts, target);
  if (target.has("hostaddr") && (hosts.length > 0 || target.has("host"))) {
    dropped.push(["hostaddr", "the host name is looked up"]);
  }
  if (merged.some(({ name }) => isSocket(name))) {
    if (merged.length > 1) refuse("a Unix socket must be the only host", "remove the other hosts");
    // As in libpq: the server does not offer TLS there.
    if (kept.delete("sslmode")) {
      dropped.push(["sslmode", "a Unix socket does not leave the machine and is not encrypted"]);
    }
  }

  const result = formatDsn({
    user: given("user") ?? given("username") ?? user,
    password: given("password") ?? password,
    hosts: merged,
    database: given("dbname") ?? given("database") ?? database,
  }, kept);
  for (const [parameter, reason] of dropped) options.onDropped?.(parameter, reason);
  return result;
}

/**
 * What postgres.js cannot read from a URL: a Unix socket and IPv6 addresses. Empty for other hosts.
 *
 * @example Connect over a Unix socket
 * ```ts
 * import { hostOptions } from "pgqueuer";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(hostOptions("postgresql:///shop?host=/var/run/postgresql"), {
 *   host: "/var/run/postgresql",
 * });
 * assert.deepEqual(hostOptions("postgresql://[::1]/shop"), { host: ["::1"], port: [5432] });
 * assert.deepEqual(hostOptions("postgresql://localhost/shop"), {});
 * ```
 *
 * @param dsn A DSN as for {@linkcode normalizeDsn}.
 * @returns Options to pass to postgres.js next to the normalized DSN. Addresses come as lists.
 * @throws {TypeError} If {@linkcode normalizeDsn} refuses the DSN.
 */
export function hostOptions(dsn: string): { host?: string; port?: number } {
  const { hosts } = parseDsn(normalizeDsn(dsn));
  const [first] = hosts;
  // postgres.js adds the name of the socket, which has the port of the URL in it.
  if (first !== undefined && isSocket(first.name)) return { host: first.name };
  if (!hosts.some(({ name }) => name.includes(":"))) return {};
  const host = hosts.map(({ name }) => name);
  const port = hosts.map(({ port }) => Number(port || 5432));
  // postgres.js splits a text at its colons and takes lists, which its types leave out.
  return { host, port } as unknown as { host: string; port: number };
}

/**
 * The DSN with `***` in place of its password, for logs and messages. Never throws: of a text that
 * {@linkcode normalizeDsn} refuses, no more than the scheme is shown.
 *
 * @example Log where a worker connects to
 * ```ts
 * import { redactDsn } from "pgqueuer";
 * import assert from "node:assert/strict";
 *
 * assert.equal(redactDsn("postgresql://app:secret@db/shop"), "postgresql://app:***@db/shop");
 * assert.equal(redactDsn("mysql://app:secret@db/shop"), "mysql://***");
 * ```
 *
 * @param dsn Any text.
 * @returns The text to show.
 */
export function redactDsn(dsn: string): string {
  try {
    normalizeDsn(dsn);
    const [, address = "", query = ""] = /^([^?]*)(.*)$/.exec(unwrap(dsn)) ?? [];
    const shown = address.replace(/^([^:]*:\/\/[^/:]*):[^/]*@/, "$1:***@");
    return shown + query.replace(/[^?&]+[^&]*/g, redactParameter);
  } catch {
    const scheme = typeof dsn === "string" ? SCHEME.exec(dsn.trim())?.[0] : undefined;
    return `${scheme ?? ""}***`;
  }
}

function redactParameter(parameter: string): string {
  const [name] = new URLSearchParams(parameter).keys();
  if (name === undefined || !/pass|secret|token|server_settings/i.test(name)) return parameter;
  return parameter.replace(/=.*/s, "=***");
}

function refuse(rule: string, fix: string): never {
  throw new TypeError(`Cannot read the DSN as ${rule}: ${fix}`);
}

/** Removes what a `.env` file or a terminal leaves around a value. No DSN starts with either. */
function unwrap(dsn: unknown): string {
  if (typeof dsn !== "string") refuse("it must be a string", `current type is ${typeof dsn}`);
  return dsn.trim().replace(/^(["'`])(.*)\1$/s, "$2").trim();
}

/** Takes a DSN apart. Messages hold nothing of it but a scheme, as a password may be anywhere. */
function parseDsn(dsn: unknown): DsnParts {
  const text = unwrap(dsn ?? "");
  if (text === "") refuse("it must not be empty", `set DATABASE_URL to ${FORM}`);
  // deno-lint-ignore no-control-regex -- these are what is looked for.
  if (/[\0-\x1f\x7f]|%00/.test(text)) {
    refuse("it must not hold control characters", "remove line breaks, tabs and NUL");
  }
  if (/^["'`]/.test(text)) refuse("it must not start with a quote", "remove the quotes around it");

  const scheme = /^postgres(?:ql)?(?:\+[a-z0-9_]+)?:\/\//i.exec(text)?.[0];
  if (scheme === undefined) refuseScheme(text);
  const rest = text.slice(scheme.length);
  if (rest.includes("#")) refuse('it must not hold a raw "#"', DELIMITERS);

  const [, authority = "", path = "", query = ""] = /^([^/?]*)([^?]*)\??(.*)$/.exec(rest) ?? [];
  const at = authority.lastIndexOf("@");
  // An "@" this late means that the "/" or "?" before it was part of a password.
  const isCut = authority.includes(":") && at === -1 && (path === "" || /@[^&]*\//.test(query));
  const late = isCut ? query : query.replace(/=[^&]*/g, "");
  if (path.includes("@") || late.includes("@")) {
    refuse('user and password must not hold a raw "/" or "?"', DELIMITERS);
  }

  const [user = "", ...password] = authority.slice(0, Math.max(at, 0)).split(":");
  const hosts = authority.slice(at + 1);
  return {
    user: decode(user),
    password: decode(password.join(":")),
    hosts: hosts === "" ? [] : hosts.split(",").map(readHost),
    database: decode(path.slice(1)),
    query: new URLSearchParams(query),
  };
}

function refuseScheme(text: string): never {
  const rule = 'it must start with "postgresql://"';
  if (/^jdbc:/i.test(text)) refuse(rule, 'remove "jdbc:"');
  if (/^prisma(\+postgres)?:/i.test(text)) {
    refuse(rule, "this is a URL of Prisma Accelerate, use the direct URL of the database");
  }
  if (/^postgres(ql)?(\+\w+)?:/i.test(text)) refuse(rule, 'write "//" after the first ":"');
  if (/^\w+\s*=/.test(text)) {
    refuse(rule, `this is a libpq keyword/value string, write it as ${FORM}`);
  }
  const other = SCHEME.exec(text)?.[0];
  refuse(rule, other === undefined ? `write it as ${FORM}` : `it starts with "${other}"`);
}

function decode(text: string): string {
  try {
    // A "%" that starts no escape can only be meant as itself.
    const decoded = decodeURIComponent(text.replace(/%(?![0-9a-f]{2})/gi, "%25"));
    encodeURIComponent(decoded);
    return decoded;
  } catch {
    return refuse("its percent-encoding must be UTF-8", 'write a "%" of a password as "%25"');
  }
}

/** Reads `name`, `name:port`, `[address]` or `[address]:port`, where the name may be encoded. */
function readHost(text: string): Host {
  const [, address, name = "", port = ""] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(text) ?? [];
  return checkHost(address ?? decode(name), port);
}

/** A host in the query: a folder and an address have no port there, as each holds colons. */
function readQueryHost(text: string): Host {
  return /^\/|^[^[]*:.*:/.test(text) ? checkHost(text, "") : readHost(text);
}

function checkHost(name: string, port: string): Host {
  if (port !== "" && !(/^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    refuse("the port must be an integer from 1 to 65535", `change it, or ${DELIMITERS}`);
  }
  const number = port && String(Number(port));
  if (isSocket(name) ? !name.includes(",") : /^[\w.-]*$/.test(name)) {
    return { name, port: number };
  }
  // postgres.js would look up the percent-encoded form of a name that is not ASCII.
  const url = `http://${name.includes(":") ? `[${name}]` : name}`;
  if (!/^([\w.\u0080-\uffff-]+|[\da-f:.]+)$/i.test(name) || !URL.canParse(url)) {
    refuse("each host must be a name, an address or the folder of a Unix socket", DELIMITERS);
  }
  return { name: new URL(url).hostname.replace(/[[\]]/g, ""), port: number };
}

function isSocket(name: string): boolean {
  return name.startsWith("/");
}

/** Hosts and ports of the query come before those of the address, as in libpq. */
function mergeHosts(hosts: readonly Host[], target: DsnParameters["target"]): readonly Host[] {
  const list = (name: string) => target.get(name)?.flatMap((value) => value.split(","));
  const named = list("host") ?? (hosts.length === 0 ? list("hostaddr") : undefined);
  const ports = list("port");
  const given = hosts.length === 1 ? hosts[0]!.port : "";
  const merged = named?.map(readQueryHost)
    .map(({ name, port }) => ({ name, port: port || given })) ?? hosts;
  if (ports === undefined) return merged;

  const ported = merged.length === 0 ? [{ name: "", port: "" }] : merged;
  if (ports.length !== 1 && ports.length !== ported.length) {
    refuse("each host must have one port", 'change "port"');
  }
  return ported.map(({ name }, i) => checkHost(name, ports[i] ?? ports[0]!));
}

function formatDsn(parts: Omit<DsnParts, "query">, parameters: Map<string, string>): string {
  const { user, password, hosts, database } = parts;
  const userinfo = encodeURIComponent(user) + (password && `:${encodeURIComponent(password)}`);
  // postgres.js would give a host without a port the port of the first one.
  const hasPort = hosts.length > 1 && hosts.some(({ port }) => port !== "");
  const authority = hosts.map(({ name, port }) =>
    formatHost(name, port || (hasPort ? "5432" : ""))
  );
  // A URL has no user without a host.
  const address = authority.join() || (userinfo && "localhost");

  const path = database && `/${encodeURIComponent(database)}`;
  // postgres.js does not decode the path, but sends this name to the server in its place.
  if (path.slice(1) !== database || /^\.+$/.test(database)) parameters.set("database", database);

  const query = [...parameters].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
  return `postgresql://${userinfo && `${userinfo}@`}${address}${path}${query && `?${query}`}`;
}

function formatHost(name: string, port: string): string {
  const isAddress = name.includes(":") && !isSocket(name);
  const host = isAddress ? `[${name}]` : encodeURIComponent(name) || "localhost";
  return host + (port && `:${port}`);
}
