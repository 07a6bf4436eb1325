// Time as a thing that is handed in, so that a whole cluster can run on a clock that a test turns by hand.

/** Stops what was set; more than once does no harm. */
export type Cancel = () => void;

/** What time it is, and how to be woken. */
export interface Clock {
  /** Unix milliseconds. People and NTP set it: it may jump either way. */
  now(): number;
  /** Milliseconds since some moment. Never jumps and never goes back: for measuring silence. */
  monotonic(): number;
  /** Calls `wake` once, after at least `ms`. */
  after(ms: number, wake: () => void): Cancel;
  /** Calls `wake` once, after what the event loop has read already was dealt with. */
  soon(wake: () => void): Cancel;
  /** In [0, 1), for jitter. */
  random(): number;
}

/** What setTimeout can hold, about 24 days; longer waits are wound again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  after: (ms, wake) => {
    let timer: ReturnType<typeof setTimeout>;
    const wind = (leftMs: number) => {
      timer =
        leftMs <= LONGEST_TIMER_MS
          ? setTimeout(wake, leftMs)
          : setTimeout(() => wind(leftMs - LONGEST_TIMER_MS), LONGEST_TIMER_MS);
    };
    wind(Math.max(0, ms));
    return () => clearTimeout(timer);
  },
  soon: (wake) => {
    const immediate = setImmediate(wake);
    return () => clearImmediate(immediate);
  },
  random: Math.random,
};
