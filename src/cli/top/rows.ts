// The columns and orders of workers and tasks.
import { formatDuration, formatMib } from "../../lib/units.ts";
import type { RunningTaskJson, TaskJson, TelemetryJson, WorkerJson } from "../../wire/json.ts";
import { formatBar } from "../bar.ts";
import { formatAgo, formatCount, formatRate, heat, tintOf } from "../format.ts";
import type { Context } from "../spec.ts";
import type { Column } from "../table.ts";
import type { Feed } from "./feed.ts";
import { List } from "./list.ts";

/** A worker: what the cluster knows of it, and its last sample, where there is one. */
export interface WorkerRow {
  readonly id: string;
  readonly worker: WorkerJson | undefined;
  readonly sample: TelemetryJson | undefined;
}

export interface TaskRow {
  readonly task: TaskJson;
  /** What it uses, from its worker's last sample. */
  readonly used: RunningTaskJson | undefined;
}

export function workerRows({ workers, samples }: Feed): WorkerRow[] {
  const known = new Map(workers.map((worker) => [worker.worker_id, worker]));
  const ids = new Set([...known.keys(), ...Object.keys(samples)]);
  return [...ids].map((id) => ({ id, worker: known.get(id), sample: samples[id] }));
}

export function taskRows({ tasks, samples }: Feed): TaskRow[] {
  const used = new Map(
    Object.values(samples).flatMap((sample) =>
      sample.running_tasks.map((running) => [running.task_id, running] as const),
    ),
  );
  return tasks.map((task) => ({ task, used: used.get(task.task_id) }));
}

export function stateOf({ worker, sample }: WorkerRow): string {
  // A sample is newer than a list; only the list knows of draining.
  if (sample !== undefined && !sample.is_active) return "inactive";
  return worker?.state ?? "active";
}

export function workerList(): List<WorkerRow> {
  const most = (pick: (sample: TelemetryJson) => number) => (a: WorkerRow, b: WorkerRow) =>
    (b.sample ? pick(b.sample) : -1) - (a.sample ? pick(a.sample) : -1) || compareText(a.id, b.id);
  return new List<WorkerRow>({
    idOf: ({ id }) => id,
    textOf: (row) => `${row.id} ${stateOf(row)} ${JSON.stringify(row.worker?.labels ?? {})}`.toLowerCase(),
    orders: [
      { name: "name", compare: (a, b) => compareText(a.id, b.id) },
      { name: "CPU", compare: most((sample) => sample.cpu_usage) },
      { name: "memory", compare: most((sample) => sample.memory_usage) },
      { name: "GPU", compare: most((sample) => sample.gpu_usage) },
      { name: "tasks", compare: most((sample) => sample.running_tasks.length) },
      { name: "state", compare: (a, b) => compareText(stateOf(a), stateOf(b)) || compareText(a.id, b.id) },
    ],
  });
}

export function taskList(): List<TaskRow> {
  const since = ({ task }: TaskRow) => task.started_at ?? task.created_at;
  const by = (pick: (row: TaskRow) => string) => (a: TaskRow, b: TaskRow) =>
    compareText(pick(a), pick(b)) || since(a) - since(b);
  return new List<TaskRow>({
    idOf: ({ task }) => task.task_id,
    textOf: ({ task }) =>
      [task.task_id, task.name, task.status, task.user_id, task.tag, task.worker_id ?? "", task.docker_image]
        .join(" ")
        .toLowerCase(),
    orders: [
      // As the feed has them: running ones first, each from the oldest.
      { name: "status", compare: () => 0 },
      { name: "CPU", compare: (a, b) => (b.used?.cpu_used ?? -1) - (a.used?.cpu_used ?? -1) },
      { name: "memory", compare: (a, b) => (b.used?.memory_used ?? -1) - (a.used?.memory_used ?? -1) },
      { name: "newest", compare: (a, b) => since(b) - since(a) },
      { name: "name", compare: by(({ task }) => task.name) },
      { name: "worker", compare: by(({ task }) => task.worker_id ?? "") },
      { name: "user", compare: by(({ task }) => task.user_id) },
    ],
  });
}

export function workerColumns(width: number, env: Context["env"]): readonly Column<WorkerRow>[] {
  const barWidth = width < 60 ? 4 : width < 100 ? 8 : width < 160 ? 12 : 20;
  const meter = (pick: (sample: TelemetryJson) => number | undefined) => {
    const percent = ({ sample }: WorkerRow) => (sample?.is_active ? pick(sample) : undefined);
    return {
      text: (row: WorkerRow) => {
        const now = percent(row);
        if (now === undefined) return "";
        return `${formatBar(now / 100, barWidth, env)} ${Math.round(now)}%`.padEnd(barWidth + 5);
      },
      tint: (row: WorkerRow) => heat(percent(row) ?? 0),
    };
  };
  return [
    { title: "WORKER", text: ({ id }) => id, cut: "middle" },
    { title: "STATE", text: stateOf, tint: (row) => tintOf(stateOf(row)), spare: 3 },
    { title: "CPU", ...meter((sample) => sample.cpu_usage) },
    { title: "MEMORY", ...meter((sample) => sample.memory_usage) },
    { title: "GPU", ...meter(({ gpus, gpu_usage }) => (gpus.length > 0 ? gpu_usage : undefined)), spare: 2 },
    {
      title: "TASKS",
      text: ({ sample, worker }) => String(sample?.running_tasks.length ?? worker?.running_tasks_count ?? 0),
      right: true,
      spare: 1,
    },
    { title: "CPU HELD", text: ({ worker }) => held(worker, "cpu", formatCount), right: true, spare: 4 },
    { title: "MEMORY HELD", text: ({ worker }) => held(worker, "memory", formatMib), right: true, spare: 5 },
    { title: "GPU HELD", text: ({ worker }) => held(worker, "gpu", formatCount), right: true, spare: 6 },
    { title: "LOAD", text: ({ sample }) => sample?.load_average[0]?.toFixed(2) ?? "", right: true, spare: 7 },
    {
      title: "IN",
      text: ({ sample }) => (sample ? formatRate(sample.network.in) : ""),
      right: true,
      spare: 8,
    },
    {
      title: "OUT",
      text: ({ sample }) => (sample ? formatRate(sample.network.out) : ""),
      right: true,
      spare: 8,
    },
    { title: "SAMPLE", text: ({ sample }) => formatAgo(sample?.last_update ?? null), spare: 9 },
  ];
}

export function taskColumns(nowMs: number): readonly Column<TaskRow>[] {
  return [
    { title: "TASK", text: ({ task }) => task.task_id, cut: "middle", least: 13 },
    { title: "NAME", text: ({ task }) => task.name, cut: "end" },
    { title: "STATUS", text: ({ task }) => task.status, tint: ({ task }) => tintOf(task.status) },
    { title: "WORKER", text: ({ task }) => task.worker_id ?? "", cut: "middle", spare: 1 },
    { title: "CPU", text: cpuOf, right: true, spare: 3 },
    { title: "MEMORY", text: memoryOf, right: true, spare: 4 },
    {
      title: "GPU",
      text: ({ task }) => (task.gpu_required > 0 ? formatCount(task.gpu_required) : ""),
      right: true,
      spare: 5,
    },
    { title: "FOR", text: ({ task }) => ageOf(task, nowMs), right: true, spare: 2 },
    { title: "USER", text: ({ task }) => task.user_id, cut: "end", spare: 6 },
    { title: "TAG", text: ({ task }) => task.tag, cut: "end", spare: 7 },
    { title: "COMMAND", text: ({ task }) => task.command, cut: "end", spare: 8 },
  ];
}

/** Used of asked for; of a task that waits, what it asks for. */
function cpuOf({ task, used }: TaskRow): string {
  const asked = formatCount(task.cpu_required);
  return used === undefined ? asked : `${used.cpu_used.toFixed(1)} / ${asked}`;
}

function memoryOf({ task, used }: TaskRow): string {
  const asked = formatMib(task.memory_required);
  return used === undefined ? asked : `${formatMib(Math.round(used.memory_used))} / ${asked}`;
}

/** How long it runs, or waits. */
function ageOf(task: TaskJson, nowMs: number): string {
  const since = task.status === "running" ? (task.started_at ?? task.created_at) : task.created_at;
  return formatDuration(Math.max(1, Math.floor(nowMs / 1000) - since) * 1000);
}

function held(
  worker: WorkerJson | undefined,
  what: "cpu" | "memory" | "gpu",
  format: (amount: number) => string,
): string {
  if (worker === undefined || worker.total_resources[what] === 0) return "";
  return `${format(worker.allocated_resources[what])} / ${format(worker.total_resources[what])}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
