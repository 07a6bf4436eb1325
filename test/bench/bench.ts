// `make bench`: prints what cloudai does, each figure beside its floor from the same run.
// bun test/bench/bench.ts [--quick] [--json] [--only TEXT] [--dir FOLDER] [--binary FILE]
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { VERSION } from "../../src/lib/version.ts";
import { type BenchGroup, type BenchResult, resultOf, type Samples } from "./harness.ts";
import { heartbeatGroups } from "./rows/heartbeats.ts";
import { idleGroups } from "./rows/idle.ts";
import { logGroups } from "./rows/logs.ts";
import { pageGroups } from "./rows/pages.ts";
import { commitGroups } from "./rows/store-commit.ts";
import { loadGroups } from "./rows/store-load.ts";
import { storePageGroups } from "./rows/store-pages.ts";
import { submitGroups } from "./rows/submits.ts";
import { taskGroups } from "./rows/tasks.ts";
import { viewerGroups } from "./rows/viewers.ts";
import { tableOf, verdictOf } from "./table.ts";

const GROUPS: readonly BenchGroup[] = [
  ...[...heartbeatGroups, ...viewerGroups, ...idleGroups, ...submitGroups, ...taskGroups, ...pageGroups],
  ...[...commitGroups, ...loadGroups, ...storePageGroups, ...logGroups],
];

const NOTHING: Samples = { figure: [], floor: [] };

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    /** Only measurements of which a row's name holds this text. */
    only: { type: "string", default: "" },
    /** Where everything is written; on the disk that is to be measured. */
    dir: { type: "string", default: tmpdir() },
    binary: { type: "string", default: join(import.meta.dir, "../../dist/cloudai") },
  },
});

const binary = resolve(values.binary);
if (process.platform !== "linux") fail("The bench reads /proc, so it needs Linux.");
if (!existsSync(binary)) fail(`There is no ${binary}; make bench builds it.`);

const startMs = performance.now();
const results: BenchResult[] = [];
// Removed however the bench ends; a master or worker that still runs then is ended before that, by master.ts.
const root = mkdtempSync(join(values.dir, "cloudai-bench-"));
const shared = join(root, "shared");
mkdirSync(shared);
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
for (const { rows, run } of GROUPS) {
  const named = Object.entries(rows);
  if (!named.some(([, { name }]) => name.includes(values.only))) continue;
  process.stderr.write(`${String(secondsSoFar()).padStart(4)} s  ${named[0]?.[1].name} …\n`);
  const folder = mkdtempSync(join(root, "row-"));
  const samples = await run({ quick: values.quick, folder, shared, binary }).catch(untold);
  for (const [key, row] of named) results.push(resultOf(row, samples[key] ?? NOTHING));
  rmSync(folder, { recursive: true });
}
results.sort((a, b) => orderOf(a) - orderOf(b));

const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown CPU"}, ${process.platform}, Bun ${Bun.version}`;
const seconds = secondsSoFar();
const about = `cloudai ${VERSION} on ${machine}${values.quick ? ", quick" : ""}, measured in ${seconds} s`;
if (values.json) {
  const report = { version: VERSION, machine, quick: values.quick, seconds, rows: results };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} else {
  process.stdout.write(`${about}\n\n${tableOf(results)}\n\n${verdictOf(results)}\n`);
}

/** The table's order; parts that were measured by themselves come last. */
function orderOf({ number }: BenchResult): number {
  return number === "-" ? 99 : number;
}

/** A measurement that fails costs the table its own rows and no others. */
function untold(error: unknown): Record<string, Samples> {
  process.stderr.write(`        it failed: ${Bun.inspect(error)}\n`);
  return {};
}

function secondsSoFar(): number {
  return Math.round((performance.now() - startMs) / 1000);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
