import { formatDuration, formatMib } from "../lib/units.ts";
import type { AttemptJson, TaskDetailJson } from "../wire/json.ts";
import { formatRunTime, formatTime, tintOf } from "./format.ts";
import { type Page, paint, printable, prose, shorten, shownId, wrap } from "./table.ts";
import { outcomeOf, reasonBeside } from "./task-view.ts";

export interface Story {
  readonly task: TaskDetailJson;
  /** The state of every worker that the cluster knows now. */
  readonly workers: ReadonlyMap<string, string>;
  /** Of attempts that did not go well, the last lines that they printed. */
  readonly outputs: ReadonlyMap<number, readonly string[]>;
}

/** What happened to a task that runs or has ended, attempt by attempt. */
export function renderStory(story: Story, page: Page): string {
  const { task } = story;
  const reason = reasonBeside(task);
  const head = `${shownId(task.task_id, page)} ${task.status === "running" ? "is running" : `is ${outcomeOf(task)}`.replace("is failed", "failed")}`;
  const paragraphs = [
    `${paint(head, tintOf(task.status), page)}${reason && `: ${printable(reason)}`}`,
    timesOf(task),
    ...hintsFor(task),
  ];
  const attempts = task.attempts.map((attempt) => renderAttempt(attempt, story, page));
  const none = task.attempts.length === 0 ? ["It was never given to a worker."] : [];
  return `${prose([...paragraphs, ...none], page).join("\n")}\n${attempts.join("")}`;
}

/** `Submitted 12:00:01, first started 35 ms later, ended 4.2 s after the submit.` */
function timesOf(task: TaskDetailJson): string {
  // Starts and ends are told by the clocks of workers.
  const after = (timeMs: number) => formatDuration(Math.max(0, timeMs - task.created_at_ms));
  const parts = [`Submitted ${formatTime(task.created_at)}`];
  const first = task.attempts.find(({ started_at_ms }) => started_at_ms !== null)?.started_at_ms ?? null;
  if (first !== null) parts.push(`first started ${after(first)} later`);
  if (task.attempts.length > 1) parts.push(`${task.attempts.length} attempts`);
  if (task.finished_at_ms !== null) parts.push(`ended ${after(task.finished_at_ms)} after the submit`);
  return `${parts.join(", ")}.`;
}

/** What to change for the next time. */
function hintsFor(task: TaskDetailJson): string[] {
  const last = task.attempts.at(-1);
  const hints: string[] = [];
  if (last?.out_of_memory) {
    hints.push(`It may use ${formatMib(task.memory_required)}; more is asked for with --memory.`);
  }
  if (last?.timed_out)
    hints.push(`It may run ${task.timeout_seconds} s; longer is asked for with --timeout.`);
  const failures = task.attempts.filter(({ status }) => status === "failed").length;
  if (task.status === "failed" && task.max_retries > 0 && failures > task.max_retries) {
    hints.push(`It was tried again as often as --retries ${task.max_retries} allows.`);
  }
  return hints;
}

function renderAttempt(attempt: AttemptJson, { workers, outputs }: Story, page: Page): string {
  const { attempt: n, worker_id, status, started_at, assigned_at, finished_at, reason, exit_code } = attempt;
  const state = workers.get(worker_id);
  const worker =
    state === undefined
      ? `${worker_id} (gone from the cluster)`
      : state === "active"
        ? worker_id
        : `${worker_id} (${state} now)`;
  const ran =
    started_at === null
      ? "never started"
      : `${finished_at === null ? "running for" : "ran"} ${formatRunTime(attempt)}`;
  const exit =
    status === "completed" || exit_code === null || reason.startsWith("exit code")
      ? ""
      : `, exit code ${exit_code}`;
  const why = reason === "" ? "" : `: ${printable(reason)}`;
  const head = `Attempt ${n}, ${formatTime(started_at ?? assigned_at)}, on ${worker}: ${status}, ${ran}${exit}${why}`;
  const lines = wrap(head, page.width, "  ");
  const printed = (outputs.get(n) ?? []).map((line) =>
    shorten(`    ${printable(line)}`, page.width ?? Number.POSITIVE_INFINITY, "end"),
  );
  const quoted = printed.length === 0 ? [] : [paint("  It printed last:", "dim", page), ...printed];
  const kept = attempt.recording ? ["  The task's page shows what it used in its last minutes."] : [];
  const tail = [...quoted, ...kept.map((line) => paint(line, "dim", page))];
  return `\n${[paint(lines[0] ?? "", tintOf(status), page), ...lines.slice(1), ...tail].join("\n")}\n`;
}
