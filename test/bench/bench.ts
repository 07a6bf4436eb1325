// `make bench`: prints what cloudai does, each figure beside its floor from the same run.
// bun test/bench/bench.ts [--quick] [--json] [--only TEXT] [--dir FOLDER]
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { COMMIT, VERSION } from "../../src/lib/version.ts";
import { type BenchResult, type BenchRow, measureRow, tableOf } from "./harness.ts";
import { logRows } from "./rows/logs.ts";
import { commitRows } from "./rows/store-commit.ts";
import { loadRows } from "./rows/store-load.ts";
import { pageRows } from "./rows/store-pages.ts";

const ROWS: readonly BenchRow[] = [...commitRows, ...loadRows, ...pageRows, ...logRows];

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    /** Only rows whose name holds this text. */
    only: { type: "string", default: "" },
    /** Where the rows write; on the disk that is to be measured. */
    dir: { type: "string", default: tmpdir() },
  },
});

const results: BenchResult[] = [];
const shared = mkdtempSync(join(values.dir, "cloudai-bench-"));
try {
  for (const row of ROWS.filter(({ name }) => name.includes(values.only))) {
    const folder = mkdtempSync(join(values.dir, "cloudai-bench-"));
    try {
      process.stderr.write(`${row.name} …\n`);
      results.push(await measureRow(row, { quick: values.quick, folder, shared }));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
} finally {
  rmSync(shared, { recursive: true });
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown CPU"}, ${process.platform}, Bun ${Bun.version}`;
if (values.json) {
  const report = { version: VERSION, commit: COMMIT, machine, quick: values.quick, rows: results };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} else {
  process.stdout.write(`cloudai ${VERSION} (${COMMIT}) on ${machine}${values.quick ? ", quick" : ""}\n\n`);
  process.stdout.write(`${tableOf(results)}\n`);
}
