// Puts what `bench.ts --json` has printed into docs/performance.md and its plots.
// bun test/bench/report.ts RESULTS.json
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchResult } from "./harness.ts";
import { markdownOf, verdictOf } from "./table.ts";

const DOCS = join(import.meta.dir, "../../docs");

const [, , file = ""] = process.argv;
const report: { version: string; machine: string; quick: boolean; seconds: number; rows: BenchResult[] } =
  await Bun.file(file).json();

const WIDTH = 900;
const LABEL = 430;
const LINE = 22;
const TOP = 40;
const RIGHT = 70;
const COLOURS = { met: "#2f7d4f", missed: "#b4452c", text: "#222222", line: "#888888" } as const;

/** A bar on a logarithmic scale. */
interface Bar {
  readonly label: string;
  readonly value: number;
  readonly text: string;
  readonly met: boolean;
}

/** How far each target is reached: 1 is just met, more is better, whatever the row's direction. */
function reached(row: BenchResult): Bar | undefined {
  const [, limit] = /([\d.]+) (?:×|ms|% of a core)/.exec(row.target) ?? [];
  if (row.met === null || limit === undefined || row.number === "-") return undefined;
  const wanted = Number(limit);
  const value = row.target.includes("floor +")
    ? wanted / (row.figure.median - row.floor.median)
    : row.target.startsWith("≥")
      ? row.ratio / wanted
      : wanted / (row.target.includes("×") ? row.ratio : row.figure.median);
  const text = value >= 10 ? `${Math.round(value)} ×` : `${value.toFixed(2)} ×`;
  return { label: `${row.number}  ${row.name}`, value, text, met: row.met };
}

/** Bars from 1/10 to 10 times the target; what is further out ends at the edge, its number beside it. */
function chart(title: string, bars: readonly Bar[]): string {
  const height = TOP + bars.length * LINE + 16;
  const x = (value: number) => {
    const share = (Math.log10(Math.min(10, Math.max(0.1, value))) + 1) / 2;
    return LABEL + share * (WIDTH - LABEL - RIGHT);
  };
  const lines = bars.map(({ label, value, text, met }, index) => {
    const y = TOP + index * LINE;
    const [from, to] = [x(1), x(value)].sort((a, b) => a - b);
    const colour = met ? COLOURS.met : COLOURS.missed;
    return [
      `<text x="${LABEL - 8}" y="${y + 15}" text-anchor="end" fill="${COLOURS.text}">${escaped(label)}</text>`,
      `<rect x="${from}" y="${y + 4}" width="${Math.max(1, (to ?? 0) - (from ?? 0))}" height="14" fill="${colour}"/>`,
      `<text x="${WIDTH - RIGHT + 8}" y="${y + 15}" fill="${colour}">${text}</text>`,
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
<text x="${LABEL}" y="20" font-size="14" fill="${COLOURS.text}">${escaped(title)}</text>
${lines.join("\n")}
<line x1="${x(1)}" x2="${x(1)}" y1="${TOP - 6}" y2="${height - 8}" stroke="${COLOURS.line}"/>
</svg>
`;
}

function escaped(text: string): string {
  const short = text.length > 68 ? `${text.slice(0, 67)}…` : text;
  return short.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

const targets = report.rows.flatMap((row) => reached(row) ?? []);
writeFileSync(
  join(DOCS, "images/targets.svg"),
  chart("How far each target is reached (the line: just met; logarithmic)", targets),
);

const runs = report.quick ? "a quick run, too short to quote" : "a full run";
const about = `cloudai ${report.version} on ${report.machine}; ${runs}, ${report.seconds} s: ${verdictOf(report.rows)}.`;
const page = join(DOCS, "performance.md");
const text = readFileSync(page, "utf8").replace(
  /(<!-- table -->\n)[\s\S]*(\n<!-- end of the table -->)/,
  (_, start: string, end: string) => `${start}${about}\n\n${markdownOf(report.rows)}${end}`,
);
writeFileSync(page, text);
