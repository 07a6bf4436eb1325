// Bars on a time axis, packed into as few lanes as they need.

export interface Bar {
  /** Unix seconds. */
  readonly from: number;
  readonly to: number;
}

export interface Placed<T extends Bar> {
  readonly bar: T;
  /** From the top. */
  readonly lane: number;
}

/** @param gap Seconds that two bars of one lane keep apart. */
export function pack<T extends Bar>(bars: readonly T[], gap: number): readonly Placed<T>[] {
  const ends: number[] = [];
  return [...bars]
    .sort((a, b) => a.from - b.from)
    .map((bar) => {
      const free = ends.findIndex((end) => end + gap <= bar.from);
      const lane = free === -1 ? ends.length : free;
      ends[lane] = bar.to;
      return { bar, lane };
    });
}
