// The units of the outside: Unix seconds, cores and devices.

/** Unix milliseconds to whole Unix seconds. */
export function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** The same; null for what has not happened. */
export function secondsOrNull(ms: number | undefined): number | null {
  return ms === undefined ? null : seconds(ms);
}

/** Thousandths of a core (or device) to cores. */
export function coresOf(millis: number): number {
  return millis / 1000;
}

/** Cores (or devices) to thousandths, rounded up; the tolerance keeps 0.1 + 0.2 at 300. */
export function millisOf(cores: number): number {
  return Math.ceil(cores * 1000 - 1e-6);
}
