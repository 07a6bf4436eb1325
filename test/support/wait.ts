// Called by: every test. May touch: timers. Never: waits for a fixed time; it waits for a condition.

/** A value that is not "not yet". */
type Truthy<T> = Exclude<T, undefined | null | false | 0 | "">;

/**
 * Asks `condition` every 10 ms until it gives something truthy, and returns that.
 * A condition that throws is "not yet"; its last error becomes the failure's cause.
 * @param what completes "Waited N s for …".
 * @throws Error once `timeoutMs` (default 10 s) have passed.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  what: string,
  { timeoutMs = 10_000 }: { timeoutMs?: number } = {},
): Promise<Truthy<T>> {
  const deadline = performance.now() + timeoutMs;
  let last: { value: T } | { error: unknown };
  do {
    try {
      const value = await condition();
      if (isTruthy(value)) return value;
      last = { value };
    } catch (error) {
      last = { error };
    }
    await Bun.sleep(10);
  } while (performance.now() < deadline);
  const waited = `Waited ${timeoutMs / 1000} s for ${what}`;
  if ("error" in last) throw new Error(`${waited}; last: ${String(last.error)}`, { cause: last.error });
  throw new Error(`${waited}; last: ${Bun.inspect(last.value)}`);
}

function isTruthy<T>(value: T): value is Truthy<T> {
  return Boolean(value);
}
