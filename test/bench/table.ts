// The results for people. Called by: bench.ts and report.ts.
import type { BenchResult, Spread } from "./harness.ts";

const COLUMNS = ["#", "what", "figure", "floor", "unit", "ratio", "target", ""] as const;

/** Medians, with the least and the most of the runs in brackets; below them what each floor does. */
export function tableOf(results: readonly BenchResult[]): string {
  const lines = [COLUMNS, ...results.map(cellsOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const table = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const floors = Map.groupBy(results, ({ floor_is }) => floor_is);
  const legend = [...floors].map(
    ([floor, rows]) => `  ${rows.map(({ number, name }) => label(number, name)).join("; ")}:\n    ${floor}`,
  );
  return [...table, "", "floors:", ...legend].join("\n");
}

/** The same as Markdown, for docs/performance.md. */
export function markdownOf(results: readonly BenchResult[]): string {
  const lines = [
    [...COLUMNS.slice(0, -1), "met"],
    COLUMNS.map(() => "---"),
    ...results.map((result) => cellsOf(result)),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** `5 of 7 targets met`. */
export function verdictOf(results: readonly BenchResult[]): string {
  const asked = results.filter(({ met }) => met !== null);
  return `${asked.filter(({ met }) => met).length} of ${asked.length} targets met`;
}

function cellsOf(result: BenchResult): string[] {
  return [
    String(result.number),
    result.name,
    spreadText(result.figure),
    spreadText(result.floor),
    result.unit,
    short(result.ratio),
    result.target,
    result.met === null ? "" : result.met ? "met" : "NOT MET",
  ];
}

function label(number: number | "-", name: string): string {
  return number === "-" ? name : `${number} ${name}`;
}

function spreadText({ median, least, most }: Spread): string {
  return `${short(median)} [${short(least)}..${short(most)}]`;
}

/** Three digits that count, thousands apart. */
function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value === 0 ? "0" : value.toPrecision(3);
}
