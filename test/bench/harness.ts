// What a row of the benchmark is, how it is measured, and how the table is printed. Called by: bench.ts and rows/*.ts.

export interface BenchSettings {
  /** Fewer and smaller runs: to see that it works, not to quote. */
  readonly quick: boolean;
  /** An empty folder for this row alone, removed afterwards. */
  readonly folder: string;
  /** A folder for what is dear to make and only read: shared by all rows of a bench, removed at its end. */
  readonly shared: string;
}

/** One measured value per run; both lists are as long as there were runs. */
export interface Samples {
  readonly figure: readonly number[];
  readonly floor: readonly number[];
}

/** One row: what cloudai does, beside the least that the same work costs on this machine with these libraries. */
export interface BenchRow {
  readonly name: string;
  /** What the floor does. */
  readonly floor: string;
  /** Of figure and floor: `ms`, `commits/s`. */
  readonly unit: string;
  /** `more`: the ratio figure / floor must be at least `target`; `less`: at most. */
  readonly better: "more" | "less";
  readonly target: number;
  readonly run: (settings: BenchSettings) => Samples | Promise<Samples>;
}

/** A median with the least and the most of its runs. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface BenchResult {
  readonly name: string;
  readonly unit: string;
  readonly figure: Spread;
  readonly floor: Spread;
  readonly floor_is: string;
  /** The median of the runs' own ratios: a slow moment of the machine slows both halves of a run. */
  readonly ratio: number;
  /** `≥ 0.8`. */
  readonly target: string;
  readonly met: boolean;
  readonly runs: number;
}

export async function measureRow(row: BenchRow, settings: BenchSettings): Promise<BenchResult> {
  const { figure, floor } = await row.run(settings);
  const ratio = medianOf(figure.map((value, run) => value / (floor[run] ?? Number.NaN)));
  return {
    name: row.name,
    unit: row.unit,
    figure: spreadOf(figure),
    floor: spreadOf(floor),
    floor_is: row.floor,
    ratio,
    target: `${row.better === "more" ? "≥" : "≤"} ${row.target}`,
    met: row.better === "more" ? ratio >= row.target : ratio <= row.target,
    runs: figure.length,
  };
}

/**
 * Measures figure and floor in turns, and in each turn the other one first, so that neither gets the warm caches or the
 * quiet minute. One turn more than `runs` comes first and is thrown away.
 */
export async function interleave(
  runs: number,
  figure: (run: number) => number | Promise<number>,
  floor: (run: number) => number | Promise<number>,
): Promise<Samples> {
  const samples = { figure: [] as number[], floor: [] as number[] };
  for (let run = 0; run <= runs; run++) {
    const figureFirst = run % 2 === 0;
    const before = figureFirst ? await figure(run) : await floor(run);
    const after = figureFirst ? await floor(run) : await figure(run);
    if (run === 0) continue;
    samples.figure.push(figureFirst ? before : after);
    samples.floor.push(figureFirst ? after : before);
  }
  return samples;
}

/** How long `work` takes, in milliseconds. */
export function timeMs(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}

function spreadOf(values: readonly number[]): Spread {
  return { median: medianOf(values), least: Math.min(...values), most: Math.max(...values) };
}

const COLUMNS = ["what", "figure", "floor", "unit", "ratio", "target", ""] as const;

/** The results as a table for people: medians, with the least and the most of the runs in brackets. */
export function tableOf(results: readonly BenchResult[]): string {
  const lines = [
    COLUMNS,
    ...results.map((result) => [
      result.name,
      spreadText(result.figure),
      spreadText(result.floor),
      result.unit,
      short(result.ratio),
      result.target,
      result.met ? "met" : "NOT MET",
    ]),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const table = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...table, "", "floor:", ...results.map(({ name, floor_is }) => `  ${name}: ${floor_is}`)].join(
    "\n",
  );
}

function spreadText({ median, least, most }: Spread): string {
  return `${short(median)} [${short(least)}..${short(most)}]`;
}

/** Three digits that count, thousands apart. */
function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3);
}
