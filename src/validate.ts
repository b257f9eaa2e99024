/** `setTimeout` holds 32 bits: a longer delay would fire at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

const INT4_MAX = 2 ** 31 - 1;

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
/** A URL, or the words of a connection string: a DSN in the wrong place may not be printed. */
const HOLDS_PASSWORD = /^\s*["'`]?[a-z][a-z0-9+.-]*:\/\/|password\s*=/i;

/** How a value is shown in a message: short, never more of a payload than its type, and of a DSN no more than its scheme. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    if (HOLDS_PASSWORD.test(value)) return `"${SCHEME.exec(value)?.[0] ?? ""}***"`;
    return value.length > 60 ? `"${value.slice(0, 57)}…"` : `"${value}"`;
  }
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return value.constructor?.name === "Object" || value.constructor === undefined
    ? "an object"
    : `an instance of ${value.constructor.name}`;
}

/** Throws unless `value` is an integer of at least `min`. Returns it, so that a caller can inline the check. */
export function integerAtLeast(name: string, value: unknown, min: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min) return value as number;
  throw new RangeError(
    `Cannot use "${name}" as it must be an integer >= ${min}: current value is ${shown(value)}`,
  );
}

/** Throws unless `value` fits PostgreSQL's `int4`. */
export function int4(name: string, value: unknown): number {
  if (
    Number.isInteger(value) && (value as number) >= -INT4_MAX - 1 && (value as number) <= INT4_MAX
  ) {
    return value as number;
  }
  throw new RangeError(
    `Cannot use "${name}" as it must be an integer from -2147483648 to 2147483647: current value is ${
      shown(value)
    }`,
  );
}

/** Throws unless `value` is text that PostgreSQL can store and that is not empty. */
export function nonEmptyText(name: string, value: unknown): string {
  if (typeof value !== "string") {
    throw new TypeError(
      `Cannot use "${name}" as it must be a string: current value is ${shown(value)}`,
    );
  }
  if (value === "") {
    throw new RangeError(`Cannot use "${name}" as it must not be empty: give it a name`);
  }
  return storableText(name, value);
}

/** Throws if `value` holds what PostgreSQL's `text` cannot: U+0000, or half of a surrogate pair. */
export function storableText(name: string, value: string): string {
  if (value.includes("\u0000")) {
    throw new RangeError(
      `Cannot use "${name}" as PostgreSQL text cannot hold the character U+0000: remove it`,
    );
  }
  if (/\p{Surrogate}/u.test(value)) {
    throw new RangeError(
      `Cannot use "${name}" as it must be well-formed Unicode: it has half of a surrogate pair`,
    );
  }
  return value;
}

/** Throws unless `value` is one of `allowed`. */
export function oneOf<const T extends string>(
  name: string,
  value: unknown,
  allowed: readonly T[],
): T {
  if (allowed.includes(value as T)) return value as T;
  const choices = allowed.map((choice) => `"${choice}"`).join(", ");
  throw new RangeError(
    `Cannot use "${name}" as it must be one of ${choices}: current value is ${shown(value)}`,
  );
}

/** Throws unless `value` is true, false or not given; that counts as false. */
export function flag(name: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw new TypeError(
    `Cannot use "${name}" as it must be true or false: current value is ${shown(value)}`,
  );
}

/** Throws unless `value` is an `AbortSignal` or not given. By shape, as a runtime may have several classes of it. */
export function abortSignal(name: string, value: unknown): AbortSignal | undefined {
  const { addEventListener, aborted } = (value ?? {}) as Partial<AbortSignal>;
  const is = typeof addEventListener === "function" && typeof aborted === "boolean";
  if (value === undefined || is) return value as AbortSignal | undefined;
  throw new TypeError(
    `Cannot use "${name}" as it must be an AbortSignal: current value is ${shown(value)}`,
  );
}

/** Throws if `options` is no object or has a key that is not in `known`: a misspelt option must not be ignored. */
export function knownOptions(name: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(
      `Cannot use "${name}" as it must be an object: current value is ${shown(options)}`,
    );
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new TypeError(
      `Cannot use "${name}" as "${key}" is not an option: known are ${
        known.map((option) => `"${option}"`).join(", ")
      }`,
    );
  }
}
