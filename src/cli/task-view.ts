import { formatMib } from "../lib/units.ts";
import type { AttemptJson, TaskDetailJson, TaskJson } from "../wire/json.ts";
import { formatCount, formatPairs, formatRunTime, formatTime, tintOf } from "./format.ts";
import type { View } from "./output.ts";
import { type Column, type Page, paint, renderFacts, renderTable } from "./table.ts";

/** Either kind of task object: `attempts` is all that differs between a list's and a single one. */
type AnyTask = Omit<TaskJson, "attempts">;

const TASK_COLUMNS: readonly Column<TaskJson>[] = [
  { title: "TASK", text: (task) => task.task_id, cut: "middle", least: 13 },
  { title: "NAME", text: (task) => task.name, cut: "end" },
  { title: "STATUS", text: (task) => task.status, tint: (task) => tintOf(task.status) },
  { title: "EXIT", text: (task) => task.exit_code?.toString() ?? "", right: true, spare: 1 },
  { title: "WORKER", text: (task) => task.worker_id ?? "", cut: "middle", spare: 2 },
  { title: "USER", text: (task) => task.user_id, cut: "end", spare: 5 },
  { title: "CPU", text: (task) => formatCount(task.cpu_required), right: true, spare: 6 },
  { title: "MEMORY", text: (task) => formatMib(task.memory_required), right: true, spare: 6 },
  { title: "CREATED", text: (task) => formatTime(task.created_at), spare: 4 },
  { title: "RAN", text: (task) => formatRunTime(task), right: true, spare: 3 },
  { title: "REASON", text: (task) => task.reason, cut: "end", spare: 7 },
];

/** A table of tasks; columns that are empty in every row are left out. */
export function renderTasks(tasks: readonly TaskJson[], page: Page): string {
  const columns = TASK_COLUMNS.filter(({ text }) => tasks.some((task) => text(task) !== ""));
  return renderTable(columns, tasks, page);
}

/** Everything about one task, except what it printed. */
export function taskView(task: TaskDetailJson): View {
  return { json: task, ids: [task.task_id], text: (page) => renderTask(task, page) };
}

function renderTask(task: TaskDetailJson, page: Page): string {
  const facts = renderFacts(
    [
      ["task", task.task_id],
      ["name", task.name],
      ["status", outcomeOf(task), tintOf(task.status)],
      ["reason", reasonBeside(task)],
      ["image", task.docker_image],
      ["command", task.command],
      ["asks for", needsOf(task)],
      ["only on", task.required_worker_id ?? undefined],
      ["labels", formatPairs(task.labels)],
      ["environment", formatPairs(task.env)],
      ["user", task.user_id],
      ["tag", task.tag],
      ["priority", task.priority === 0 ? "" : String(task.priority)],
      ["retries", task.max_retries === 0 ? "" : String(task.max_retries)],
      ["timeout", task.timeout_seconds === 0 ? "" : `${task.timeout_seconds} s`],
      ["worker", task.worker_id ?? undefined],
      ["created", formatTime(task.created_at)],
      ["started", formatTime(task.started_at)],
      ["finished", formatTime(task.finished_at)],
      ["ran", formatRunTime(task)],
    ],
    page,
  );
  const attempts = task.attempts.length > 1 ? `\n${renderTable(ATTEMPT_COLUMNS, task.attempts, page)}` : "";
  return `${facts}${renderWhy(task, page)}${attempts}`;
}

const ATTEMPT_COLUMNS: readonly Column<AttemptJson>[] = [
  { title: "ATTEMPT", text: ({ attempt }) => String(attempt), right: true },
  { title: "WORKER", text: ({ worker_id }) => worker_id, cut: "middle" },
  { title: "STATUS", text: ({ status }) => status, tint: ({ status }) => tintOf(status) },
  { title: "EXIT", text: ({ exit_code }) => exit_code?.toString() ?? "", right: true },
  { title: "STARTED", text: ({ started_at }) => formatTime(started_at), spare: 1 },
  { title: "RAN", text: (attempt) => formatRunTime(attempt), right: true, spare: 2 },
  { title: "REASON", text: ({ reason }) => reason, cut: "end" },
];

function renderWhy({ why }: TaskDetailJson, page: Page): string {
  if (why === undefined) return "";
  const blockers = why.workers.map(
    (worker) => [`  ${worker.worker_id}`, `${worker.message}${worker.never ? " (never can)" : ""}`] as const,
  );
  const title = paint("why it waits", "dim", page);
  return `\n${title}  ${why.message}\n${blockers.length > 0 ? renderFacts(blockers, page) : ""}`;
}

/** `completed`, `failed with exit code 3`. */
export function outcomeOf(task: Pick<AnyTask, "status" | "exit_code">): string {
  if (task.exit_code === null || task.status === "completed") return task.status;
  return `${task.status} with exit code ${task.exit_code}`;
}

/** The reason, unless the outcome's exit code says the same. */
export function reasonBeside(task: Pick<AnyTask, "status" | "exit_code" | "reason">): string {
  return task.reason === `exit code ${task.exit_code}` && outcomeOf(task).endsWith(task.reason)
    ? ""
    : task.reason;
}

export function needsOf(task: AnyTask): string {
  const parts = [
    `${formatCount(task.cpu_required)} CPU`,
    `${formatMib(task.memory_required)} memory`,
    `${formatMib(task.storage_required)} storage`,
  ];
  if (task.gpu_required > 0) parts.push(`${formatCount(task.gpu_required)} GPU`);
  return parts.join(", ");
}

/** What a shell gets for a task that has ended: its own exit code, and never 0 unless it is completed. */
export function exitCodeOf(task: Pick<AnyTask, "status" | "exit_code">): number {
  if (task.status === "completed") return 0;
  const code = (task.exit_code ?? 1) & 0xff;
  return code === 0 ? 1 : code;
}

export function hasEnded(task: Pick<AnyTask, "status">): boolean {
  return task.status !== "queued" && task.status !== "running";
}
