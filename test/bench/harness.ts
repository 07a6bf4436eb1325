// What a row of the benchmark is, how it is measured, and how the table is printed. Called by: bench.ts and rows/*.ts.

export interface BenchSettings {
  /** Fewer and smaller runs: to see that it works, not to quote. */
  readonly quick: boolean;
  /** An empty folder for this row alone, removed afterwards. */
  readonly folder: string;
  /** A folder for what is dear to make and only read: shared by all rows of a bench, removed at its end. */
  readonly shared: string;
  /** The compiled cloudai. */
  readonly binary: string;
}

/** One measured value per run; both lists are as long as there were runs. */
export interface Samples {
  readonly figure: readonly number[];
  readonly floor: readonly number[];
}

/** What a row is to reach. A ratio is figure / floor. */
export type Target =
  | { readonly ratioAtLeast: number }
  | { readonly ratioAtMost: number }
  /** Of the figure alone, in the row's unit. */
  | { readonly figureAtMost: number }
  /** Figure minus floor, in the row's unit. */
  | { readonly atMostAbove: number }
  /** Told, but nothing is asked of it. */
  | "told";

/** One row: what cloudai does, beside the least that the same work costs on this machine with these libraries. */
export interface BenchRow {
  /** Of the table in docs/performance.md; rows of one number belong together. `-` for a part measured by itself. */
  readonly number: number | "-";
  readonly name: string;
  /** What the floor does. */
  readonly floor: string;
  /** Of figure and floor: `ms`, `commits/s`. */
  readonly unit: string;
  readonly target: Target;
}

/** Rows that one measurement gives: the same keys in `rows` and in what `run` resolves with. */
export interface BenchGroup<Key extends string = string> {
  readonly rows: Readonly<Record<Key, BenchRow>>;
  readonly run: (settings: BenchSettings) => Promise<Readonly<Record<Key, Samples>>>;
}

/** A group of one row. */
export function single(
  row: BenchRow,
  run: (settings: BenchSettings) => Samples | Promise<Samples>,
): BenchGroup<"only"> {
  return { rows: { only: row }, run: async (settings) => ({ only: await run(settings) }) };
}

/** A median with the least and the most of its runs. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface BenchResult {
  readonly number: number | "-";
  readonly name: string;
  readonly unit: string;
  readonly figure: Spread;
  readonly floor: Spread;
  readonly floor_is: string;
  /** The median of the runs' own ratios: a slow moment of the machine slows both halves of a run. */
  readonly ratio: number;
  /** `≥ 0.8 ×`; empty when nothing is asked. */
  readonly target: string;
  /** Null when nothing is asked. */
  readonly met: boolean | null;
  readonly runs: number;
}

export function resultOf(row: BenchRow, { figure, floor }: Samples): BenchResult {
  const ratio = medianOf(figure.map((value, run) => value / (floor[run] ?? Number.NaN)));
  const above = medianOf(figure.map((value, run) => value - (floor[run] ?? Number.NaN)));
  return {
    number: row.number,
    name: row.name,
    unit: row.unit,
    figure: spreadOf(figure),
    floor: spreadOf(floor),
    floor_is: row.floor,
    ratio,
    ...judge(row, medianOf(figure), ratio, above),
    runs: figure.length,
  };
}

function judge(
  { target, unit }: BenchRow,
  figure: number,
  ratio: number,
  above: number,
): Pick<BenchResult, "target" | "met"> {
  if (target === "told") return { target: "", met: null };
  if ("ratioAtLeast" in target) {
    return { target: `≥ ${target.ratioAtLeast} ×`, met: ratio >= target.ratioAtLeast };
  }
  if ("ratioAtMost" in target)
    return { target: `≤ ${target.ratioAtMost} ×`, met: ratio <= target.ratioAtMost };
  if ("figureAtMost" in target) {
    return { target: `≤ ${target.figureAtMost} ${unit}`, met: figure <= target.figureAtMost };
  }
  return { target: `≤ floor + ${target.atMostAbove} ${unit}`, met: above <= target.atMostAbove };
}

/**
 * Measures figure and floor in turns, and in each turn the other one first, so that neither gets the warm caches or the
 * quiet minute. `warmUps` turns come first and are thrown away.
 */
export async function interleave<T>(
  runs: number,
  figure: (run: number) => T | Promise<T>,
  floor: (run: number) => T | Promise<T>,
  warmUps = 1,
): Promise<{ figure: T[]; floor: T[] }> {
  const samples: { figure: T[]; floor: T[] } = { figure: [], floor: [] };
  for (let run = 0; run < runs + warmUps; run++) {
    const figureFirst = run % 2 === 0;
    const before = figureFirst ? await figure(run) : await floor(run);
    const after = figureFirst ? await floor(run) : await figure(run);
    if (run < warmUps) continue;
    samples.figure.push(figureFirst ? before : after);
    samples.floor.push(figureFirst ? after : before);
  }
  return samples;
}

/** One row's samples out of runs that measured several things at once. */
export function pick<T>(
  { figure, floor }: { readonly figure: readonly T[]; readonly floor: readonly T[] },
  value: (run: T) => number,
): Samples {
  return { figure: figure.map(value), floor: floor.map(value) };
}

/** How long `work` takes, in milliseconds. */
export function timeMs(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** @param share 0.5 for the median, 0.99 for what one in a hundred exceeds. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: medianOf(values), least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}
