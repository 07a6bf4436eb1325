// Ids from a path to what they name; whatever cannot be an id names nothing.
import { CloudError } from "../../model/error.ts";
import { isTaskId, isWorkerId, quote } from "../../model/ids.ts";
import type { Attempt, AttemptEnd, Task } from "../../model/task.ts";
import type { WorkerFacts } from "../../wire/worker-json.ts";
import { isLogRemoved } from "../log-text.ts";
import type { GatewayParts } from "../parts.ts";
import type { WorkerStatus } from "../port.ts";

/** @throws CloudError task_not_found */
export function findTask({ store }: Pick<GatewayParts, "store">, id: string): Task {
  const task = isTaskId(id) ? store.task(id) : undefined;
  if (task !== undefined) return task;
  throw new CloudError("task_not_found", `No task ${quote(id)}.`, "GET /api/tasks lists them.");
}

/** @throws CloudError invalid_argument for an attempt that the task has not had. */
export function assertHadAttempt(task: Task, attempt: number): void {
  if (attempt <= task.attempts) return;
  const allowed = task.attempts === 0 ? "there has been none yet" : `it must be from 1 to ${task.attempts}`;
  throw new CloudError("invalid_argument", `attempt is ${attempt}; ${allowed}.`);
}

/** @throws CloudError worker_not_found, also for what cannot be an id. */
export function findWorker({ master }: GatewayParts, id: string): WorkerStatus {
  const status = isWorkerId(id) ? master.worker(id) : undefined;
  if (status !== undefined) return status;
  throw workerNotFound(id);
}

export function workerNotFound(id: string): CloudError {
  return new CloudError("worker_not_found", `No worker ${quote(id)}.`, "GET /api/workers lists them.");
}

/** An attempt that failed or was lost. */
export interface FailedAttempt extends Attempt {
  readonly end: AttemptEnd & { readonly kind: "failed" | "lost" };
}

export function hasFailed(attempt: Attempt): attempt is FailedAttempt {
  const kind = attempt.end?.kind;
  return kind === "failed" || kind === "lost";
}

/** Whether the last minutes of an attempt are kept; they go with its output. */
export function isRecorded({ recordings, store }: GatewayParts, attempt: Attempt): boolean {
  return hasFailed(attempt) && recordings.has(attempt.ref) && !isLogRemoved(store, attempt.ref);
}

/** What the master and the hub know of a worker, together. */
export function factsOf({ hub }: GatewayParts, status: WorkerStatus): WorkerFacts {
  const { id, registeredAtMs } = status.worker;
  const telemetry = hub.latest(id) ?? { workerId: id, active: false, updatedAtMs: registeredAtMs, seq: 0 };
  return { ...status, telemetry };
}
