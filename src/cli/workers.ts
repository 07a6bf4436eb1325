import { formatMib } from "../lib/units.ts";
import type { WorkerJson } from "../wire/json.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { formatAgo, formatCount, formatPairs, formatPercent, tintOf } from "./format.ts";
import { outputOf } from "./output.ts";
import { type Column, renderTable } from "./table.ts";

const COLUMNS: readonly Column<WorkerJson>[] = [
  { title: "WORKER", text: (worker) => worker.worker_id, cut: "middle" },
  { title: "STATE", text: (worker) => worker.state, tint: (worker) => tintOf(worker.state) },
  { title: "TASKS", text: (worker) => String(worker.running_tasks_count), right: true },
  { title: "CPU HELD", text: (worker) => held(worker, "cpu", formatCount), right: true, spare: 1 },
  { title: "MEMORY HELD", text: (worker) => held(worker, "memory", formatMib), right: true, spare: 4 },
  { title: "GPU HELD", text: (worker) => held(worker, "gpu", formatCount), right: true, spare: 5 },
  { title: "CPU USED", text: (worker) => used(worker, worker.cpu_usage), right: true, spare: 2 },
  { title: "MEMORY USED", text: (worker) => used(worker, worker.memory_usage), right: true, spare: 3 },
  { title: "RUNTIMES", text: (worker) => worker.runtimes.join(","), spare: 6 },
  { title: "SEEN", text: (worker) => formatAgo(worker.last_heartbeat), spare: 7 },
  { title: "ADDRESS", text: (worker) => worker.address, cut: "end", spare: 8 },
  { title: "LABELS", text: (worker) => formatPairs(worker.labels), cut: "end", spare: 9 },
];

export const workers = defineSubcommand({
  name: "workers",
  about: `"Held" is what tasks were given, of what the worker has; "used" is what the host measures, of all it has.`,
  flags: clientFlags,
  run: async ({ flags }, context) => {
    const answer = await clientOf(flags, context).workers();
    const columns = COLUMNS.filter(({ text }) => answer.workers.some((worker) => text(worker) !== ""));
    await outputOf(flags.output, context).show({
      json: answer,
      ids: answer.workers.map((worker) => worker.worker_id),
      text: (page) => (answer.workers.length === 0 ? "" : renderTable(columns, answer.workers, page)),
    });
    if (answer.workers.length === 0 && flags.output === "table") {
      context.err("No workers yet; cloudai worker --master HOST:50051 adds one.\n");
    }
    return EXIT.done;
  },
});

function held(
  worker: WorkerJson,
  what: "cpu" | "memory" | "gpu",
  format: (amount: number) => string,
): string {
  const total = worker.total_resources[what];
  return total === 0 ? "" : `${format(worker.allocated_resources[what])} / ${format(total)}`;
}

function used(worker: WorkerJson, percent: number): string {
  return worker.is_active ? formatPercent(percent) : "";
}
