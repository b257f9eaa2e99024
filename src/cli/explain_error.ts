/** Fields that errors of clients and runtimes have. */
interface ErrorFields {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly hostname?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

type Explain = (error: ErrorFields, message: string) => string;

const TLS_CERTIFICATE: Explain = (_, message) =>
  `Cannot connect as the server's TLS certificate is not trusted (${message}): name its root certificate in NODE_EXTRA_CA_CERTS (DENO_CERT in Deno), or write sslmode=require to encrypt without checking it`;

const UNREACHABLE: Explain = (error) =>
  `Cannot reach PostgreSQL at ${
    placeOf(error)
  } as there is no route: check the host, the network and the VPN`;

const TIMED_OUT: Explain = (error) =>
  `Cannot reach PostgreSQL at ${
    placeOf(error)
  } as it gave no answer in time: check host and port, and whether a firewall is in between`;

const CLOSED: Explain = () =>
  "Cannot go on as the server closed the connection: look into its log, it may be restarting";

const NO_HOST: Explain = (error, message) =>
  `Cannot find host "${
    error.hostname ?? message.split(" ").at(-1)
  }": check the host in the DSN and the name server`;

/** By the `code` of an error: of the system, of postgres.js, or of the server. */
const BY_CODE: Readonly<Record<string, Explain>> = {
  ECONNREFUSED: (error) =>
    `Cannot reach PostgreSQL at ${
      placeOf(error)
    } as the connection is refused: is PostgreSQL running there?`,
  ENOTFOUND: NO_HOST,
  EAI_AGAIN: NO_HOST,
  EHOSTUNREACH: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ETIMEDOUT: TIMED_OUT,
  CONNECT_TIMEOUT: TIMED_OUT,
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  CONNECTION_CLOSED: CLOSED,
  CONNECTION_ENDED: CLOSED,
  CONNECTION_DESTROYED: CLOSED,
  "28P01": (_, message) => `Cannot log in as ${message}: check user and password of the DSN`,
  "28000": (_, message) => `Cannot log in as ${message}: check the user of the DSN and pg_hba.conf`,
  "3D000": (_, message) =>
    `Cannot connect as ${message}: create it with "createdb", or change the DSN`,
  "42501": (_, message) => `Cannot go on as ${message}: ask the owner for the right`,
  "53300": (_, message) =>
    `Cannot connect as the server has no room (${message}): raise max_connections, or close others`,
  "57P03": (_, message) => `Cannot connect as ${message}: try again in a moment`,
  "57P01": (_, message) => `Cannot go on as the server said "${message}": try again in a moment`,
  SELF_SIGNED_CERT_IN_CHAIN: TLS_CERTIFICATE,
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS_CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS_CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT: TLS_CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TLS_CERTIFICATE,
  CERT_HAS_EXPIRED: TLS_CERTIFICATE,
  CERT_NOT_YET_VALID: TLS_CERTIFICATE,
  ERR_TLS_CERT_ALTNAME_INVALID: TLS_CERTIFICATE,
};

/** By the message, where there is no code or it says too little. */
const BY_MESSAGE: readonly (readonly [RegExp, Explain])[] = [
  [
    /before secure TLS connection was established|wrong version number|InvalidContentType/i,
    () =>
      "Cannot connect as the server refuses TLS, which the DSN asks for: turn it on there, or remove sslmode from the DSN",
  ],
  [/self[- ]signed certificate|UnknownIssuer|invalid peer certificate/i, TLS_CERTIFICATE],
  [
    /\.s\.PGSQL\.\d+/,
    (_, message) =>
      `Cannot reach PostgreSQL as there is no socket "${
        /\S*\.s\.PGSQL\.\d+/.exec(message)?.[0]
      }": is PostgreSQL running, and is its folder of sockets this one?`,
  ],
];

/** By the message of the server, or of a pooler in its place, where its code has several meanings. */
const BY_SERVER_MESSAGE: readonly (readonly [RegExp, Explain])[] = [
  [
    /^(unrecognized configuration parameter|unsupported startup parameter)/,
    (_, message) =>
      `Cannot connect as the DSN has a parameter that is not known there (${message}): remove it`,
  ],
];

/** Errors whose message already says action, state and fix. By name, as the package may be loaded twice. */
const SELF_EXPLAINING = [
  "PgQueuerError",
  "DuplicateJobError",
  "SchemaError",
  "EmbeddedPostgresError",
];

/**
 * One line for an error that a user can mend, with the fix. `undefined` for any other one, such as a bug.
 *
 * @param error What was thrown.
 */
export function explainKnownError(error: unknown): string | undefined {
  for (const each of chainOf(error)) {
    const message = typeof each.message === "string" ? each.message : "";
    if (SELF_EXPLAINING.includes(String(each.name))) return message;
    if (message.startsWith("Cannot read the DSN as ")) return message;
    // The driver's word for a half-open connection.
    if (message.startsWith("Cannot go on with a connection as ")) return message;

    const code = String(each.code);
    // The server's own words may hold anything.
    const isFromServer = /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
    const explain = byMessage(message, isFromServer ? BY_SERVER_MESSAGE : BY_MESSAGE) ??
      (Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined);
    if (explain !== undefined) return oneLine(explain(each, message));
  }
  return undefined;
}

/** One line for any error. */
export function explainError(error: unknown): string {
  const known = explainKnownError(error);
  if (known !== undefined) return known;
  if (!(error instanceof Error)) return `Something was thrown that is no error: ${String(error)}`;
  // Those of our own checks.
  if (error.message.startsWith("Cannot ")) return oneLine(error.message);
  return `${oneLine(`${error.name}: ${error.message}`)} (PGQ_DEBUG=1 shows the stack)`;
}

/** Puts `***` in place of passwords in addresses: a message of somebody else may hold one. */
export function hidePasswords(text: string): string {
  return text
    // All but those of our own examples.
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/(?!user:password@)[^\s:/@'"]*):[^\s'"/]*@/gi, "$1:***@")
    .replace(/([?&](?:password|pass|sslpassword)=)[^\s&'"]+/gi, "$1***");
}

/** The error, those that it bundles (an AggregateError of Node's has no message of its own) and its causes. */
function* chainOf(error: unknown, depth = 0): Generator<ErrorFields> {
  if (typeof error !== "object" || error === null || depth > 5) return;
  const fields = error as ErrorFields;
  if (Array.isArray(fields.errors)) {
    for (const each of fields.errors) yield* chainOf(each, depth + 1);
  }
  yield fields;
  yield* chainOf(fields.cause, depth + 1);
}

function byMessage(message: string, list: typeof BY_MESSAGE): Explain | undefined {
  return list.find(([pattern]) => pattern.test(message))?.[1];
}

function placeOf({ address, port, message }: ErrorFields): string {
  if (address === undefined) {
    return /\S+:\d+$/.exec(String(message))?.[0] ?? "the host of the DSN";
  }
  const host = Array.isArray(address) ? address[0] : String(address);
  const at = Array.isArray(port) ? port[0] : port;
  if (at === undefined) return host;
  return host.includes(":") ? `[${host}]:${at}` : `${host}:${at}`;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").trim();
}
