import { sleep } from "../lib/retry.ts";
import { formatDuration } from "../lib/units.ts";
import type { TaskDetailJson } from "../wire/json.ts";
import type { Client } from "./client.ts";
import { InterruptedError, RefusedError, UnreachableError } from "./errors.ts";

/** A task that starts at once needs no line that only flashes up. */
const FIRST_MS = 300;
const POLL_MS = 1000;

/** Where it is shown that a task waits. */
export interface WaitingLine {
  show(text: string): void;
  hide(): void;
}

/** While a task waits says where and why, until `signal` aborts. Never throws: whoever follows the task sees why not. */
export async function showWaiting(
  client: Client,
  taskId: string,
  signal: AbortSignal,
  line: WaitingLine,
): Promise<void> {
  await sleep(FIRST_MS, signal);
  while (!signal.aborted) {
    try {
      const task = await client.task(taskId);
      if (signal.aborted) return;
      if (task.status === "queued") line.show(waitingText(task, Date.now()));
      else line.hide();
    } catch (error) {
      if (error instanceof InterruptedError || error instanceof RefusedError) return;
      if (!(error instanceof UnreachableError)) throw error;
      line.show("The master does not answer; trying again.");
    }
    await sleep(POLL_MS, signal);
  }
}

/** `queued 12 s: No worker can take it now: cpu on 2. (task-…)`. */
function waitingText(task: TaskDetailJson, nowMs: number): string {
  const sinceMs = Math.max(0, nowMs - (task.attempts.at(-1)?.finished_at_ms ?? task.created_at_ms));
  const since = formatDuration(Math.floor(sinceMs / 1000) * 1000).replace(/^0 ms$/, "0 s");
  const why = task.why?.message ?? "";
  return `queued ${since}${why && `: ${why}`} (${task.task_id})`;
}
