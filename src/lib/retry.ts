// Called by: worker, runtime, core (delays only), cli. May touch: the clock. Never: decides what is worth retrying.
import { type Clock, systemClock } from "./clock.ts";

export interface BackoffOptions {
  /** The first delay's upper bound. */
  readonly firstMs: number;
  /** No delay is longer. */
  readonly mostMs: number;
}

/**
 * The delay before try number `tryNumber` (from 1): exponential, "full jitter" over the upper half so that a thousand
 * workers do not come back in one instant and none of them comes back at once.
 * `random` is in [0, 1).
 */
export function backoffMs(tryNumber: number, options: BackoffOptions, random: number): number {
  const bound = Math.min(options.mostMs, options.firstMs * 2 ** Math.min(tryNumber - 1, 30));
  return Math.round(bound * (0.5 + random / 2));
}

/** Resolves after `ms` on `clock`, or at once when `signal` aborts: the caller looks at the signal. */
export function sleep(ms: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
