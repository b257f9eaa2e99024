/** A length of time in its two largest units, such as `3m 12s`. */
export function durationText(ms: number): string {
  if (ms < 0) return `-${durationText(-ms)}`;
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)}s`;
  const units: [string, number][] = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], [
    "s",
    1_000,
  ]];
  const first = units.findIndex(([, size]) => ms >= size);
  const [[large, size], [small, rest]] = [units[first]!, units[first + 1]!];
  const left = Math.floor((ms % size) / rest);
  return `${Math.floor(ms / size)}${large}${left === 0 ? "" : ` ${left}${small}`}`;
}

/** A number of bytes, such as `12.3 kB`. */
export function sizeText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1_000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** How many sessions listen. */
export function sessionsText(count: number): string {
  return count === 1 ? "1 session listens" : `${count} sessions listen`;
}
