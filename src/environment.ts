/**
 * Variables of the process, or nothing where there are none or they may not be read.
 *
 * @param names Which ones: Deno may permit some and not others.
 */
export function environmentOf(
  names: readonly string[],
): Readonly<Record<string, string | undefined>> {
  const { process } = globalThis as {
    process?: { env?: Readonly<Record<string, string | undefined>> };
  };
  const environment: Record<string, string | undefined> = {};
  try {
    for (const name of names) environment[name] = process?.env?.[name];
  } catch {
    // Deno without --allow-env: the defaults then count.
  }
  return environment;
}
