import { formatMib } from "../lib/units.ts";
import type { RunningTaskJson, WorkerDetailJson } from "../wire/json.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import {
  formatAgo,
  formatCount,
  formatPairs,
  formatPercent,
  formatRate,
  formatTime,
  tintOf,
} from "./format.ts";
import { outputOf } from "./output.ts";
import { type Column, type Page, renderFacts, renderTable } from "./table.ts";

const RUNNING: readonly Column<RunningTaskJson>[] = [
  { title: "TASK", text: (task) => task.task_id, cut: "middle" },
  {
    title: "CPU USED",
    text: (task) => `${task.cpu_used.toFixed(2)} / ${formatCount(task.cpu_allocated)}`,
    right: true,
  },
  {
    title: "MEMORY USED",
    text: (task) => `${formatMib(task.memory_used)} / ${formatMib(task.memory_allocated)}`,
    right: true,
  },
  { title: "GPU", text: (task) => formatCount(task.gpu_allocated), right: true, spare: 1 },
];

export const workerInfo = defineSubcommand({
  name: "worker-info",
  positionals: [{ name: "WORKER", about: "a worker's id, as cloudai workers lists it" }],
  flags: clientFlags,
  run: async ({ flags, words: [id = ""] }, context) => {
    const worker = await clientOf(flags, context).worker(id);
    await outputOf(flags.output, context).show({
      json: worker,
      ids: [worker.worker_id],
      text: (page) => renderWorker(worker, page),
    });
    return EXIT.done;
  },
});

function renderWorker(worker: WorkerDetailJson, page: Page): string {
  const { total_resources: total, allocated_resources: allocated } = worker;
  const facts = renderFacts(
    [
      ["worker", worker.worker_id],
      ["state", worker.state, tintOf(worker.state)],
      ["address", worker.worker_info.worker_ip],
      ["version", worker.version],
      ["runtimes", worker.runtimes.join(", ")],
      ["labels", formatPairs(worker.labels)],
      ["registered", formatTime(worker.worker_info.registered_at)],
      ["last sample", formatAgo(worker.last_update)],
      ["CPU held", `${formatCount(allocated.cpu)} of ${formatCount(total.cpu)} cores`],
      ["memory held", `${formatMib(allocated.memory)} of ${formatMib(total.memory)}`],
      ["storage held", `${formatMib(allocated.storage)} of ${formatMib(total.storage)}`],
      ["GPU held", total.gpu === 0 ? "" : `${formatCount(allocated.gpu)} of ${formatCount(total.gpu)}`],
      ...(worker.last_update === 0 ? [] : usageFacts(worker)),
      ...worker.gpus.map((gpu, index) => [`GPU ${index}`, gpuText(gpu)] as const),
    ],
    page,
  );
  if (worker.running_tasks.length === 0) return facts;
  return `${facts}\n${renderTable(RUNNING, worker.running_tasks, page)}`;
}

function usageFacts(worker: WorkerDetailJson): (readonly [string, string])[] {
  const memory = `${formatMib(worker.memory_used)} of ${formatMib(worker.memory_total)}`;
  return [
    ["CPU used", formatPercent(worker.cpu_usage)],
    ["memory used", `${formatPercent(worker.memory_usage)} (${memory})`],
    ["storage used", formatPercent(worker.storage_usage)],
    ["load", worker.load_average.map((load) => load.toFixed(2)).join(" ")],
    ["network", `${formatRate(worker.network.in)} in, ${formatRate(worker.network.out)} out`],
  ];
}

function gpuText(gpu: WorkerDetailJson["gpus"][number]): string {
  const memory = `${formatMib(gpu.memory_used)} of ${formatMib(gpu.memory_total)}`;
  return `${gpu.name}: ${formatPercent(gpu.utilisation)}, ${memory}, ${gpu.temperature} °C, ${gpu.power} W`;
}
